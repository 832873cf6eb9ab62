# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Timed rounds of a repeatable workload."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from time import perf_counter
from typing import Any

import torch
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from hpml_mm.measure.samples import count_samples
from hpml_mm.utils.stats import calibrate

from .memory import used_memory_gib

# Generator of iterations; yields the number of images of each.
Steps = Generator[int, None, None]


@dataclass(frozen=True)
class Lap:
    """Measurement of one round: time, images and memory.

    Attributes:
        seconds: From the first iteration's start to the last one's end.
        iterations: Number of iterations.
        images: Number of images in all of them.
        latencies: Seconds of each iteration where each was waited for.
        memory: GiB used so far, see :func:`~.memory.used_memory_gib`.
    """

    seconds: float
    iterations: int
    images: int
    latencies: list[float] = field(default_factory=list)
    memory: float | None = None


@dataclass(frozen=True)
class Session:
    """Workload that is timed in rounds.

    Attributes:
        steps: Starts an iterator of iterations; each round has one of its own, so
            that nothing works for it while the other side is timed.
        device: Where it computes; a round ends when that has done everything.
        profile: Makes a Markdown table of where the time goes.
        each: True to wait for the device after each iteration, for latencies.
        rewarm: Iterations that do not count at the beginning of every round: as many
            as can lie ready, loaded while nothing was timed.
        clock: Source of time in seconds.
    """

    steps: Callable[[], Steps]
    device: torch.device
    profile: Callable[['Session'], str]
    each: bool = False
    rewarm: int = 1
    clock: Callable[[], float] = perf_counter

    def warm_up(self, warmup: int, seconds: float) -> int:
        """Run warm-up iterations and return how many iterations fill a round."""
        steps = self.steps()
        for _ in range(max(warmup, self.rewarm)):
            next(steps)
        count = calibrate(lambda n: self.time(steps, n).seconds, seconds)
        steps.close()
        return count

    def run(self, iterations: int) -> Lap:
        """Time one round of iterations, after its own warm-up."""
        steps = self.steps()
        for _ in range(self.rewarm):
            next(steps)
        lap = self.time(steps, iterations)
        memory = used_memory_gib(self.device)  # while the loader's workers live
        steps.close()
        return replace(lap, memory=memory)

    def time(self, steps: Steps, iterations: int) -> Lap:
        """Time the next iterations of an iterator."""
        self.wait()
        images, latencies = 0, []
        start = last = self.clock()
        for _ in range(iterations):
            images += next(steps)
            if self.each:
                self.wait()
                now = self.clock()
                latencies.append(now - last)
                last = now
        self.wait()
        return Lap(self.clock() - start, iterations, images, latencies)

    def wait(self) -> None:
        """Synchronise the device."""
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)


def load_batches(loader: Iterable, prepare: Callable[[Any], Any]) -> Steps:
    """Yield after each batch that was loaded and preprocessed."""
    for batch in endless(loader):
        images = images_of(batch)  # before it may be changed
        prepare(batch)
        yield images


def repeat_step(batches: Sequence[Any], step: Callable[[Any], Any]) -> Steps:
    """Yield after each step on one of a few batches, in turn."""
    sizes = [images_of(batch) for batch in batches]  # counted outside the clock
    for batch, size in cycle(list(zip(batches, sizes, strict=True))):
        step(batch)
        yield size


def loop_steps(runner: Runner) -> Steps:
    """Yield after each iteration of a runner's training loop: loader, step and hooks.

    An epoch that ends is followed by the next one, with the hooks of both.

    Raises:
        ValueError: If the loop is of a kind that cannot be done step by step.
    """
    loop = runner.train_loop
    if isinstance(loop, IterBasedTrainLoop):
        for batch in endless(loop.dataloader):
            images = images_of(batch)
            loop.run_iter(batch)
            yield images
    if not isinstance(loop, EpochBasedTrainLoop):
        raise ValueError(
            f'train_cfg.type={type(loop).__name__} cannot be run iteration by '
            'iteration: benchmark it without --loop'
        )
    while True:
        runner.call_hook('before_train_epoch')
        runner.model.train()
        for index, batch in enumerate(loop.dataloader):
            images = images_of(batch)
            loop.run_iter(index, batch)
            yield images
        runner.call_hook('after_train_epoch')
        loop._epoch += 1


def first_batches(loader: Iterable, count: int = 4) -> list[Any]:
    """First batches of a loader, without those that are smaller than the first.

    Raises:
        ValueError: If it is empty.
    """
    batches = list(islice(loader, count))
    if not batches:
        raise ValueError('the data set has no whole batch: lower --batch-size')
    size = images_of(batches[0])
    return [batch for batch in batches if images_of(batch) == size]


def prefetched(loader: Any) -> int:
    """Number of batches that a loader may have prefetched, plus one."""
    workers = getattr(loader, 'num_workers', 0)
    return 1 + workers * (getattr(loader, 'prefetch_factor', None) or 0)


def endless(loader: Iterable) -> Iterator[Any]:
    """Iterate over a loader's epochs without end.

    Raises:
        ValueError: If an epoch has none.
    """
    while True:
        batch = None
        for batch in loader:  # None after an empty epoch
            yield batch
        if batch is None:
            raise ValueError('the data set has no whole batch: lower --batch-size')


def images_of(batch: Any) -> int:
    """Count the images of a batch.

    Raises:
        ValueError: If it has a form that is not known.
    """
    count = count_samples(batch)
    if count is None:
        raise ValueError(
            f'a batch of the type {type(batch).__name__} does not say how many images '
            'it has: use a loader with mmengine collate functions'
        )
    return count
