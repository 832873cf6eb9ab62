# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Kill trainings while they save: how many can be resumed?"""

import os
import random
import shutil
import tempfile
import time
from pathlib import Path

import mmengine.runner.runner
import torch
from harness import fork, kill, toy_runner, wait
from outcomes import Outcome, main

from hpml_mm.config.work_dir import find_checkpoint

PROMISE = 'kill -9 while a checkpoint is written: one that resumes is left'
#: Numbers of eight bytes less three bits: a checkpoint of 8 MB.
BALLAST = 2_000_000


def train_and_tell(work_dir: Path, hook: dict, pipe: int) -> None:
    """Train, and write a byte whenever the saving of a checkpoint begins."""
    original = mmengine.runner.runner.Runner.save_checkpoint

    def save_checkpoint(self, *args, **kwargs):
        os.write(pipe, b's')
        return original(self, *args, **kwargs)

    mmengine.runner.runner.Runner.save_checkpoint = save_checkpoint
    toy_runner(
        work_dir, hook, BALLAST, train_cfg=dict(by_epoch=False, max_iters=99)
    ).train()


def resume(work_dir: Path, hook: dict) -> None:
    """Go on for two iterations from the newest checkpoint that is whole."""
    found = find_checkpoint(work_dir)
    assert found is not None
    done = torch.load(found, weights_only=False)['meta']['iter']
    runner = toy_runner(
        work_dir,
        hook,
        BALLAST,
        train_cfg=dict(by_epoch=False, max_iters=done + 2),
        load_from=found,
        resume=True,
    )
    runner.train()
    assert runner.iter == done + 2


def one_round(hook: dict, seed: int) -> bool:
    """Kill one training amid its third to fifth save; True if it can be resumed."""
    random.seed(seed)
    folder = Path(tempfile.mkdtemp(prefix='kill-'))
    try:
        read, write = os.pipe()
        child = fork(lambda: train_and_tell(folder, hook, write))
        os.close(write)
        saves = random.randint(3, 5)
        began = time.perf_counter()
        for _ in range(saves):
            os.read(read, 1)
            began, step = time.perf_counter(), time.perf_counter() - began
        time.sleep(random.uniform(0, step))
        kill(child)
        os.close(read)
        return wait(fork(lambda: resume(folder, hook))) == 0
    finally:
        shutil.rmtree(folder)


def run(quick: bool) -> list[Outcome]:
    """Kill 200 trainings; as many of MMEngine's own hook for comparison."""
    arms = {'hpml_mm': 'hpml_mm.CheckpointHook', 'stock': 'mmengine.CheckpointHook'}
    outcomes = [Outcome(PROMISE, arm) for arm in arms]
    for outcome, hook in zip(outcomes, arms.values(), strict=True):
        for seed in range(4 if quick else 200):
            lost = None if one_round({'type': hook}, seed) else 'no resume'
            outcome.add(f'kill {seed}', lost)
    return outcomes


if __name__ == '__main__':
    main(run)
