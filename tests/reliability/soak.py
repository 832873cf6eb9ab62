# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A long training with all hooks that go together: does anything grow?"""

import contextlib
import gc
import io
import statistics
import tempfile
import threading
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil
from harness import ToyData, toy_runner
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from outcomes import Outcome, main

PROMISE = 'all hooks, 50,000 iterations: memory, files, threads, time per iteration'
#: Share of a run in which memory may still be taken for the first time.
WARM_UP = 0.2
#: MiB that the allocators of Python and of PyTorch may take more or less.
SLACK = 8.0
#: Factor between the times of an iteration at both ends, on a machine with others.
SLOWER = 1.25
HOOKS = [
    dict(type='EMAHook'),
    dict(type='hpml_mm.AmpHook'),
    dict(type='hpml_mm.SpeedHook', optimizer='foreach'),
    dict(type='hpml_mm.SampleSeedHook'),
    dict(type='hpml_mm.ThroughputHook', warmup_iters=5),
    dict(type='hpml_mm.DataLoadRatioHook'),
    dict(type='hpml_mm.ProgressHook'),
    dict(type='hpml_mm.GracefulStopHook'),
    dict(type='hpml_mm.LoadFromHook'),
    dict(type='hpml_mm.MonitoredMetricHook'),
    dict(type='hpml_mm.ResumeHook'),
    dict(type='hpml_mm.DivergenceHook'),
    dict(type='hpml_mm.SummaryHook'),
]


class Score(BaseMetric):
    """Share of batches whose first answer is right."""

    def process(self, data_batch, data_samples):
        self.results.append(float(data_samples[0] == data_batch['labels'][0]))

    def compute_metrics(self, results):
        return dict(accuracy=sum(results) / len(results))


@dataclass
class Sizes:
    """What a process holds after some iterations.

    Attributes:
        memory: MiB in memory, without the histories of the log.
        files: Open files.
        threads: Threads.
        infos: Entries of the message hub.
    """

    memory: float
    files: int
    threads: int
    infos: int


@dataclass
class Watch(Hook):
    """Notes the time of each iteration, and a hundred times what the process holds."""

    every: int
    times: array = field(default_factory=partial(array, 'd'))
    sizes: list[Sizes] = field(default_factory=list)
    priority = 'LOWEST'

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self._began = time.perf_counter()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.times.append(time.perf_counter() - self._began)
        if self.every_n_train_iters(runner, self.every):
            self.sizes.append(held(runner.message_hub))


def held(hub) -> Sizes:
    """Measure this process."""
    gc.collect()
    process = psutil.Process()
    histories = hub.log_scalars.values()
    logged = sum(array.nbytes for history in histories for array in history.data)
    return Sizes(
        (process.memory_info().rss - logged) / 2**20,
        process.num_fds(),
        threading.active_count(),
        len(hub.runtime_info) + len(hub.log_scalars),
    )


def train(folder: Path, iterations: int, epochs: int) -> Watch:
    """Train with all hooks."""
    watch = Watch(iterations // epochs)
    loader = dict(
        batch_size=4,
        num_workers=0,
        dataset=ToyData(4 * iterations // epochs),
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type='default_collate'),
    )
    trackers = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
    runner = toy_runner(
        folder,
        {},
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=1),
        val_dataloader=loader | dict(dataset=ToyData(8)),
        val_evaluator=[Score()],
        val_cfg={},
        param_scheduler=dict(type='CosineAnnealingLR', T_max=epochs),
        default_hooks=dict(
            runtime_info=dict(type='hpml_mm.RuntimeInfoHook'),
            checkpoint=dict(
                type='hpml_mm.CheckpointHook',
                interval=1,
                max_keep_ckpts=2,
                save_best='accuracy',
                rule='greater',
            ),
        ),
        custom_hooks=HOOKS,
        visualizer=dict(type='Visualizer', vis_backends=trackers),
    )
    runner.register_hook(watch)
    runner.train()
    return watch


def grown(watch: Watch) -> dict[str, str | None]:
    """Tell what has grown after the warm-up, by its name; None for what has not."""
    begun = int(len(watch.sizes) * WARM_UP)
    late = watch.sizes[begun:]
    third = len(late) // 3
    first, last = late[:third], late[-third:]

    def median(sizes: Sequence[Sizes], name: str) -> float:
        return statistics.median(getattr(size, name) for size in sizes)

    found: dict[str, str | None] = {}
    for name, slack in (('memory', SLACK), ('files', 0), ('threads', 0), ('infos', 0)):
        before, after = median(first, name), median(last, name)
        text = f'{before:.6g}, then {after:.6g}'
        found[name] = text if after > before + slack else None
    tenth = len(watch.times) // 10
    # The first tenth warms up caches.
    before = statistics.median(watch.times[tenth : 2 * tenth])
    after = statistics.median(watch.times[-tenth:])
    text = f'{1e6 * before:.0f} us, then {1e6 * after:.0f} us'
    found['time per iteration'] = text if after > before * SLOWER else None
    return found


def run(quick: bool) -> list[Outcome]:
    """Train 50,000 iterations; 400 as a quick form, whose times tell nothing."""
    outcome = Outcome(PROMISE, 'hpml_mm')
    length = (400, 6) if quick else (50_000, 100)
    hidden = contextlib.redirect_stdout(io.StringIO())
    with tempfile.TemporaryDirectory() as folder, hidden:
        watch = train(Path(folder), *length)
    for name, text in grown(watch).items():
        if not (quick and name == 'time per iteration'):
            outcome.add(name, text)
    return [outcome]


if __name__ == '__main__':
    main(run)
