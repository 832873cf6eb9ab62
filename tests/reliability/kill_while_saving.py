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
from harness import ToyData, fork, kill, toy_runner, wait, warm_up
from mmengine.evaluator import BaseMetric, Evaluator
from outcomes import Outcome, main

from hpml_mm.config.work_dir import find_checkpoint
from hpml_mm.config.work_dir.last_checkpoint import damage

#: Numbers of eight bytes less three bits: a checkpoint of 8 MB.
BALLAST = 2_000_000
OURS = {'type': 'hpml_mm.CheckpointHook'}
STOCK = {'type': 'mmengine.CheckpointHook'}
BEST = {'save_best': 'count', 'rule': 'greater'}
PLAIN = 'kill -9 while a checkpoint is written: one that resumes is left'
THREAD = 'kill -9 while a thread writes a checkpoint: one that resumes is left'
KEPT = 'kill -9 while a best checkpoint is written: a best one is left, and one resumes'
#: Promise, arm, settings of the hook, and rounds.
CASES = [
    (PLAIN, 'hpml_mm', OURS, 200),
    (PLAIN, 'stock', STOCK, 40),
    (THREAD, 'hpml_mm', {**OURS, 'in_background': True}, 200),
    (KEPT, 'hpml_mm', {**OURS, **BEST}, 100),
    (KEPT, 'stock', {**STOCK, **BEST}, 20),
]


class Counter(BaseMetric):
    """A score that is always better than the last one."""

    seen = 0

    def process(self, data_batch, data_samples) -> None:
        self.results.append(0)

    def compute_metrics(self, results) -> dict:
        self.seen += 1
        return {'count': self.seen}


def scored(hook: dict) -> dict:
    """Settings of a validation, where a hook saves the best."""
    if 'save_best' not in hook:
        return {}
    return dict(
        val_dataloader=dict(
            batch_size=32,
            num_workers=0,
            dataset=ToyData(),
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
        ),
        val_cfg={},
        val_evaluator=Evaluator(Counter()),
    )


def train(work_dir: Path, hook: dict, iters: int, **changes) -> None:
    """Train for a number of iterations, with a save after each."""
    cfg = dict(by_epoch=False, max_iters=iters, val_interval=1)
    runner = toy_runner(
        work_dir, hook, BALLAST, train_cfg=cfg, **scored(hook), **changes
    )
    runner.train()
    assert runner.iter == iters


def train_and_tell(work_dir: Path, hook: dict, pipe: int) -> None:
    """Train, and write a byte whenever the saving of a checkpoint begins."""
    original = mmengine.runner.runner.Runner.save_checkpoint

    def save_checkpoint(self, *args, **kwargs):
        os.write(pipe, b's')
        return original(self, *args, **kwargs)

    mmengine.runner.runner.Runner.save_checkpoint = save_checkpoint
    train(work_dir, hook, 99)


def resume(work_dir: Path, hook: dict) -> None:
    """Go on for two iterations from the newest checkpoint that is whole."""
    found = find_checkpoint(work_dir)
    assert found is not None
    done = torch.load(found, weights_only=False)['meta']['iter']
    train(work_dir, hook, done + 2, load_from=found, resume=True)
    left = [path.name for path in work_dir.glob('*') if '.tmp' in path.name]
    assert not left, left


def one_round(hook: dict, seed: int) -> str | None:
    """Kill one training amid one of its saves; tell what was lost."""
    random.seed(seed)
    folder = Path(tempfile.mkdtemp(prefix='kill-'))
    try:
        read, write = os.pipe()
        child = fork(lambda: train_and_tell(folder, hook, write))
        os.close(write)
        saves = random.randint(4, 7)
        began = time.perf_counter()
        for _ in range(saves):
            assert os.read(read, 1)
            began, step = time.perf_counter(), time.perf_counter() - began
        time.sleep(random.uniform(0, step))
        kill(child)
        os.close(read)
        best = folder.glob('best_*.pth')
        if 'save_best' in hook and all(damage(path) for path in best):
            return 'no best'
        return 'no resume' if wait(fork(lambda: resume(folder, hook))) else None
    finally:
        shutil.rmtree(folder)


def run(quick: bool) -> list[Outcome]:
    """Kill hundreds of trainings; in full, some of MMEngine's own hook as well."""
    warm_up()
    outcomes = []
    for promise, arm, hook, rounds in CASES:
        if quick and arm == 'stock':
            continue
        outcome = Outcome(promise, arm)
        for seed in range(rounds // 20 if quick else rounds):
            outcome.add(f'kill {seed}', one_round(hook, seed))
        outcomes.append(outcome)
    return outcomes


if __name__ == '__main__':
    main(run)
