# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Kill trainings at any iteration and resume them: do they end as unbroken ones?"""

import json
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mmengine.runner.loops
import torch
from harness import fork, wait
from mmengine.config import Config
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.runner import Runner
from outcomes import Outcome, main
from torch import distributed

sys.path.append(str(Path(__file__).parents[1]))
from differences import differences
from toy_tasks import KINDS, METRICS, toy_task, write_data

from hpml_mm.config.work_dir import find_checkpoint
from hpml_mm.registry import HOOKS
from hpml_mm.runner import build_runner
from hpml_mm.utils.random_states import random_states

SAME = 'kill -9 at any iteration, --resume: all equals the unbroken run'
MADE_UP = 'a validation that a kill cut short is made up for'
FINISHED = '--resume of a finished run keeps its summary'
ITERATIONS = 18
#: What a kill can hit, besides the end of an iteration.
MOMENTS = ('iteration', 'save', 'validation', 'best')
#: Scalars and facts that tell of the clock or of this process.
OF_THE_CLOCK = ('time', 'memory', 'eta', 'throughput', 'cfg', 'experiment_name', 'wait')


@dataclass(frozen=True)
class Case:
    """One training and where it is killed.

    Attributes:
        kind: Its data, one of ``KINDS``.
        at: Iteration after which the next chance to kill it is taken; where early
            stopping ends the run before, that many modulo its iterations.
        moment: One of ``MOMENTS``.
        every: Iterations between two checkpoints; 0 counts by epochs.
        accumulate: Iterations for a step of the optimizer.
        endless: True for a sampler without an end.
        patience: Validations without a better score that end the training.
        by_sample: True for a SampleSeedHook.
    """

    kind: str = 'faces'
    at: int = 8
    moment: str = 'iteration'
    every: int = 0
    workers: int = 0
    bf16: bool = False
    processes: int = 1
    accumulate: int = 1
    endless: bool = False
    patience: int = 99
    by_sample: bool = False

    def __str__(self) -> str:
        changed = {k: v for k, v in asdict(self).items() if v != getattr(Case, k)}
        return ' '.join(f'{key}={value}' for key, value in changed.items()) or 'plain'


#: Each axis once, then what once went wrong.
CASES = [
    Case(),
    Case('arrays', workers=2, every=4, at=10),
    Case('poses', bf16=True, moment='validation', every=5, endless=True),
    Case('faces', workers=2, processes=2, every=4, at=10, moment='save'),
    Case('arrays', bf16=True, moment='validation', at=12),
    Case('poses', workers=2, moment='best', at=11),
    Case('faces', accumulate=4, at=7),
    Case('arrays', accumulate=4, every=5, processes=2, at=11),
    Case('faces', patience=1, moment='validation', at=10),
    Case('faces', every=6, at=13, workers=2),
    Case('poses', processes=2, moment='validation', at=6),
    Case('poses', workers=2, by_sample=True, at=13),
]


def random_cases(count: int) -> Iterator[Case]:
    """Draw cases, the same ones each time."""
    draw = random.Random(15)
    for _ in range(count):
        yield Case(
            kind=draw.choice(KINDS),
            at=draw.randint(1, ITERATIONS - 1),
            moment=draw.choice(MOMENTS),
            every=draw.choice([0, 0, 3, 4, 5]),
            workers=draw.choice([0, 2]),
            bf16=draw.random() < 0.5,
            processes=draw.choice([1, 1, 2]),
            accumulate=draw.choice([1, 4]),
            endless=draw.random() < 0.5,
            patience=draw.choice([1, 99]),
        )


@HOOKS.register_module()
class KillHook(Hook):
    """Ends the process without a warning, at the first chance after an iteration."""

    priority = 'LOWEST'

    def __init__(self, at: int, moment: str) -> None:
        self.at, self.moment = at, moment

    def _hit(self, runner: Runner, moment: str, done: int) -> None:
        if moment == self.moment and done >= self.at:
            os.kill(os.getpid(), 9)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self._hit(runner, 'iteration', runner.iter + 1)

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self._hit(runner, 'validation', runner.iter)

    def after_val_epoch(self, runner, metrics=None):  # there was no better score
        self._hit(runner, 'best', runner.iter)

    def before_save_checkpoint(self, runner, checkpoint):
        best = 'optimizer' not in checkpoint
        self._hit(runner, 'best' if best else 'save', runner.iter)


def config(case: Case, data: Path, work_dir: Path, ours: bool) -> Config:
    """Config of a case, with the hooks of one arm."""
    cfg = toy_task(case.kind, data, work_dir, case.workers)
    by_epoch = case.every == 0
    if not by_epoch:
        cfg.train_cfg = dict(by_epoch=False, max_iters=ITERATIONS, val_interval=4)
        if case.endless:
            cfg.train_dataloader.sampler.type = 'InfiniteSampler'
    metric = METRICS[case.kind]
    cfg.default_hooks.checkpoint = dict(
        type='hpml_mm.CheckpointHook' if ours else 'CheckpointHook',
        by_epoch=by_epoch,
        interval=case.every or 1,
        max_keep_ckpts=2,
        save_best=metric,
        rule='greater',
    )
    cfg.optim_wrapper.accumulative_counts = case.accumulate
    cfg.param_scheduler = [dict(type='PolyLR', by_epoch=False, end=ITERATIONS)]
    if by_epoch:
        plateau = dict(type='ReduceOnPlateauLR', monitor=metric, patience=0)
        cfg.param_scheduler.append(plateau | dict(rule='greater', by_epoch=True))
    cfg.custom_hooks = [
        dict(type='EMAHook', update_buffers=True),
        dict(type='EarlyStoppingHook', monitor=metric, patience=case.patience)
        | dict(rule='greater', min_delta=0.0),
        dict(type='hpml_mm.SummaryHook'),
    ]
    if case.by_sample:
        cfg.custom_hooks.append(dict(type='hpml_mm.SampleSeedHook'))
    if case.bf16:
        cfg.custom_hooks.append(dict(type='hpml_mm.AmpHook', dtype='bfloat16'))
    return cfg


def train(cfg: Config, ours: bool, rank: int, processes: int, store: str) -> None:
    """Train, and leave what the process ended with in ``end.pth``."""
    # MMEngine waits two seconds at the end of each pass of a loop by iterations.
    mmengine.runner.loops.time = SimpleNamespace(sleep=lambda seconds: None)
    os.environ['XDG_CACHE_HOME'] = str(Path(cfg.work_dir).parent / 'cache')
    launcher = 'none'
    if processes > 1:
        launcher = 'pytorch'
        os.environ |= dict(RANK=str(rank), WORLD_SIZE=str(processes), LOCAL_RANK='0')
        distributed.init_process_group('gloo', store, rank=rank, world_size=processes)
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel', broadcast_buffers=False, device_ids=None
        )
        cfg.launcher = launcher
    runner = build_runner(cfg, launcher) if ours else Runner.from_cfg(cfg)
    runner.train()
    runner.save_checkpoint(cfg.work_dir, f'end{rank}.tmp', meta={}, by_epoch=False)
    early = [hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]
    state = dict(
        random=random_states(),
        early_stopping=[(hook.wait_count, float(hook.best_score)) for hook in early],
        buffers=dict(runner.model.named_buffers()),
    )
    torch.save(state, Path(cfg.work_dir, f'state{rank}.tmp'))


def run_case(
    case: Case, data: Path, work_dir: Path, ours: bool, change: Callable[[Config], None]
) -> list[int]:
    """Train in as many processes as the case says; exit codes of all."""
    store = f'file://{tempfile.mktemp(prefix="store-", dir=data)}'
    children = []
    for rank in range(case.processes):
        cfg = config(case, data, work_dir, ours)
        change(cfg)
        job = (cfg, ours, rank, case.processes, store)
        children.append(fork(lambda job=job: train(*job)))
    codes = [wait(children[0])]
    for child in children[1:]:  # a machine goes away with all of its processes
        if codes[0]:
            os.kill(child, 9)
        codes.append(wait(child))
    return codes


def unbroken(case: Case, data: Path, ours: bool, done: dict) -> Path:
    """Folder of the run that nothing interrupts, made once for equal trainings."""
    key = replace(case, at=0, moment='iteration'), ours
    if key not in done:
        done[key] = Path(tempfile.mkdtemp(dir=data))
        codes = run_case(case, data, done[key], ours, lambda cfg: None)
        assert not any(codes), f'{case}: {codes}'
    return done[key]


def killed(case: Case, data: Path, ours: bool, whole: Path) -> Path | str:
    """Folder of a run that was killed and resumed; text where that failed."""
    folder = Path(tempfile.mkdtemp(dir=data))
    iterations = json.loads((whole / 'summary.json').read_text())['train']['iters']
    at = case.at % iterations
    kill = dict(type='hpml_mm.KillHook', at=at, moment=case.moment)
    codes = run_case(
        case, data, folder, ours, lambda cfg: cfg.custom_hooks.append(kill)
    )
    if codes[0] != -9:
        return f'was not killed, but ended with {codes}'
    try:
        last = find_checkpoint(folder)
    except (OSError, ValueError) as error:
        return str(error)

    def go_on(cfg: Config) -> None:
        cfg.resume, cfg.load_from = last is not None, last

    codes = run_case(case, data, folder, ours, go_on)
    return f'resumed run ended with {codes}' if any(codes) else folder


def ending(folder: Path) -> dict[str, Any]:
    """All that a run left: files, their content, and the processes' last state."""
    # Pickled by this very script: HistoryBuffers and numbers of NumPy are among it.
    content = {
        path.name: torch.load(path, weights_only=False)
        for path in sorted([*folder.glob('*.pth'), *folder.glob('*.tmp')])
    }
    for each in content.values():
        if 'meta' in each:
            each['meta'] = {k: each['meta'].get(k) for k in ('epoch', 'iter', 'seed')}
    return content


def compare(case: Case, data: Path, ours: bool, done: dict) -> str | None:
    """Run a case: names of what differs, None where all is equal."""
    whole = unbroken(case, data, ours, done)
    part = killed(case, data, ours, whole)
    if isinstance(part, str):
        return part
    found = differences(ending(whole), ending(part), OF_THE_CLOCK)
    shutil.rmtree(part)
    return f'{len(found)} differ: {"; ".join(found[:4])}' if found else None


def keeps_summary(case: Case, data: Path, ours: bool, done: dict) -> str | None:
    """Resume a run that has ended: None where its summary stays what it was."""
    folder = unbroken(case, data, ours, done)
    before = (folder / 'summary.json').read_bytes()
    last = find_checkpoint(folder)

    def go_on(cfg: Config) -> None:
        cfg.resume, cfg.load_from = True, last

    codes = run_case(case, data, folder, ours, go_on)
    same = (folder / 'summary.json').read_bytes() == before
    return None if same and not any(codes) else f'another summary, {codes}'


def run(quick: bool) -> list[Outcome]:
    """Kill and resume; MMEngine's own hooks for comparison."""
    cases = [CASES[4]] if quick else [*CASES, *random_cases(12)]
    outcomes = []
    data = Path(tempfile.mkdtemp(prefix='resume-'))
    try:
        write_data(data)
        for arm in ('hpml_mm',) if quick else ('hpml_mm', 'stock'):
            ours, done = arm == 'hpml_mm', {}
            same, made_up, finished = (
                Outcome(promise, arm) for promise in (SAME, MADE_UP, FINISHED)
            )
            for case in cases if ours else CASES:
                error = compare(case, data, ours, done)
                same.add(str(case), error)
                if case.moment == 'validation':
                    made_up.add(str(case), error)
            outcomes += [same, made_up]
            if ours:  # MMEngine writes no summary
                for case in cases[:3]:
                    finished.add(str(case), keeps_summary(case, data, ours, done))
                outcomes.append(finished)
    finally:
        shutil.rmtree(data)
    return outcomes


if __name__ == '__main__':
    main(run)
