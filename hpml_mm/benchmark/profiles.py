# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Profiles of a session: time by operator, by pipeline stage, or by hook."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from itertools import islice
from time import perf_counter
from typing import Any

from mmengine.runner import Runner

from hpml_mm.datasets.transforms.batch import BatchTransform
from hpml_mm.engine.profiling import ProfilerWindow, operator_rows, time_table
from hpml_mm.utils.messages import markdown_table
from hpml_mm.utils.patch import patch

from .session import Session, endless, images_of

_TOP = 15
_STEPS = 3
_SECONDS = 2.0
_LEAST_ITERATIONS = 4
_LOOP_ITERATIONS = 2000


class StageClock:
    """Clock that sums the seconds of named stages, without the stages nested in them.

    Args:
        clock: Source of time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._clock = clock
        self._open: list[str] = []
        self._since = 0.0

    def enter(self, stage: str) -> None:
        """Begin a stage; the enclosing one stands still."""
        self._book()
        self._open.append(stage)

    def leave(self) -> None:
        """End the innermost stage."""
        self._book()
        self._open.pop()

    def time_calls(self, target: object, method: str, stage: str) -> Callable[[], None]:
        """Time every call of a method as a stage; returns what undoes this."""
        return patch(target, method, lambda: self.enter(stage), self.leave)

    def _book(self) -> None:
        now = self._clock()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now


class TimedTransform:
    """Transform wrapper that books the time of each call as a stage."""

    def __init__(self, transform: Callable, stage: str, clock: StageClock) -> None:
        self.transform = transform
        self._stage = stage
        self._clock = clock

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Transform an item."""
        self._clock.enter(self._stage)
        try:
            return self.transform(*args, **kwargs)
        finally:
            self._clock.leave()


def operator_profile(session: Session) -> str:
    """Markdown table of the operators with the most self time in a few iterations."""
    cuda = session.device.type == 'cuda'
    window = ProfilerWindow(wait=0, warmup=1, active=_STEPS, cuda=cuda)
    steps = session.steps()
    next(steps)
    session.wait()
    window.start()
    for _ in range(1 + _STEPS):
        next(steps)
        session.wait()
        window.step()
    window.stop()
    steps.close()
    rows = operator_rows(window.profile.key_averages(), cuda)
    return time_table(rows, _TOP)


def stage_profile(loader: Any, prepare: Callable, session: Session) -> str:
    """Milliseconds per image of each transform, of the rest, and of the preprocessor.

    It runs in this process, whatever workers the loader has, so that a transform's time
    is the one that its own core spends.
    """
    clock, images = StageClock(), 0
    dataset, collate = loader.dataset, loader.collate_fn
    with ExitStack() as undo:
        for transforms in pipelines_of(dataset):
            _time_each(transforms, clock, undo)
        start, count = perf_counter(), 0
        for indices in endless(loader.batch_sampler):
            clock.enter('load the item, build the batch')
            batch = collate(_fetch(dataset, indices))
            clock.leave()
            images, count = images + images_of(batch), count + 1
            clock.enter('prepare for the model')
            prepare(batch)
            session.wait()
            clock.leave()
            if count >= _LEAST_ITERATIONS and perf_counter() - start > _SECONDS:
                break
    return stage_table(clock.seconds, images, 'ms an image', 1e3)


def hook_profile(runner: Runner, session: Session) -> str:
    """Microseconds per iteration of each hook, of the step, and of the rest."""
    clock = StageClock()
    with ExitStack() as undo:
        undo.callback(
            clock.time_calls(runner.model, 'train_step', 'train_step of the toy model')
        )
        for hook in runner.hooks:
            for method in ('before_train_iter', 'after_train_iter'):
                name = type(hook).__name__
                undo.callback(clock.time_calls(hook, method, name))
        steps = session.steps()
        count = _LOOP_ITERATIONS
        for _ in islice(steps, 100):
            pass
        clock.seconds.clear()
        for _ in range(count):
            clock.enter('loader and loop')
            next(steps)
            clock.leave()
        steps.close()
    return stage_table(clock.seconds, count, 'us an iteration', 1e6)


def stage_table(
    seconds: Mapping[str, float], count: int, unit: str, factor: float
) -> str:
    """Markdown table of stages, the most expensive first, with their shares.

    Seconds are divided by ``count`` and multiplied by ``factor``, units in a second.
    """
    total = sum(seconds.values())
    rows = []
    for stage, taken in sorted(seconds.items(), key=lambda item: -item[1]):
        share = 100 * taken / total if total else 0.0
        rows.append((stage, f'{factor * taken / count:.3f}', f'{share:.1f}'))
    rows.append(('all', f'{factor * total / count:.3f}', '100.0'))
    return markdown_table(('stage', unit, 'share (%)'), rows, padded=True)


def pipelines_of(dataset: Any) -> Iterable[list]:
    """Transform lists of a data set and of the data sets that it wraps.

    MMEngine's are in ``pipeline``, torchvision's in ``transform``, and those of
    :class:`hpml_mm.datasets.FaceArrayDataset` in ``augmentation``.
    """
    seen = set()
    while dataset is not None and id(dataset) not in seen:
        seen.add(id(dataset))
        for name in ('pipeline', 'transform', 'augmentation'):
            transforms = getattr(getattr(dataset, name, None), 'transforms', None)
            if isinstance(transforms, list):
                yield transforms
        dataset = getattr(dataset, 'dataset', None)


def _time_each(transforms: list, clock: StageClock, undo: ExitStack) -> None:
    original = list(transforms)
    for place, transform in enumerate(original):
        stage = type(transform).__name__
        if isinstance(transform, BatchTransform):  # called by this method
            undo.callback(clock.time_calls(transform, 'apply', stage))
        else:
            transforms[place] = TimedTransform(transform, stage, clock)
    undo.callback(lambda: transforms.__setitem__(slice(None), original))


def _fetch(dataset: Any, indices: list[int]) -> Any:
    """Fetch the items of a batch as torch's own fetcher does."""
    if hasattr(dataset, '__getitems__'):
        return dataset.__getitems__(indices)
    return [dataset[index] for index in indices]
