# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Small trainings in forked children, which a test may kill."""

import os
import signal
import sys
import tempfile
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import mmengine.runner.runner
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

import hpml_mm  # noqa: F401

torch.set_num_threads(1)


class ToyNet(BaseModel):
    """A linear layer, beside ballast that makes a checkpoint take its time."""

    def __init__(self, ballast: int = 0) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.register_buffer('ballast', torch.zeros(ballast))

    def forward(self, inputs, labels, mode='loss'):
        scores = self.layer(inputs)
        if mode == 'loss':
            return dict(loss=nn.functional.cross_entropy(scores, labels))
        return scores.argmax(1)


class ToyData(Dataset):
    """Points with the sign of their first number as a label."""

    def __init__(self, length: int = 32) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        generator = torch.Generator().manual_seed(index)
        inputs = torch.randn(4, generator=generator)
        return dict(inputs=inputs, labels=int(inputs[0] > 0))


def toy_runner(work_dir: Path, hook: dict, ballast: int = 0, **changes) -> Runner:
    """A training of six iterations that saves after each one."""
    settings = dict(
        model=ToyNet(ballast),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=4,
            num_workers=0,
            dataset=ToyData(),
            sampler=dict(type='InfiniteSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=False, max_iters=6),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        default_hooks=dict(
            checkpoint=dict(by_epoch=False, interval=1, max_keep_ckpts=1) | hook
        ),
        experiment_name=uuid.uuid4().hex,
        log_level='ERROR',
        default_scope='mmengine',
        randomness=dict(seed=0),
    )
    return Runner(**settings | changes)


def warm_up() -> None:
    """Import here what every child would import, and spare each the long questions.

    The children of a warm parent start in a moment.
    """
    # It asks compilers and git for their versions.
    mmengine.runner.runner.collect_env = dict
    with tempfile.TemporaryDirectory() as folder:
        toy_runner(Path(folder), {'type': 'hpml_mm.CheckpointHook'})


def fork(work: Callable[[], None]) -> int:
    """Start a child that does some work and exits with 0, or 1 after an error."""
    pid = os.fork()
    if not pid:
        _run(work)
    return pid


def _run(work: Callable[[], None]) -> NoReturn:
    code = 1
    try:
        with Path(os.devnull).open('w') as sys.stdout:
            work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait(pid: int) -> int:
    """Wait for a child; its exit code, below 0 for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill(pid: int) -> None:
    """End a child at once, as a machine that goes away does."""
    os.kill(pid, signal.SIGKILL)
    wait(pid)
