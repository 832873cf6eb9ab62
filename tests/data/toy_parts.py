# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A classifier of points that a config in this folder names, for tests of tools."""

import os
import signal
import time
from pathlib import Path

import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS
from torch import nn
from torch.utils.data import Dataset


@MODELS.register_module()
class ToyClassifier(BaseModel):
    """Two layers and a BatchNorm, so that the order of the data matters."""

    def __init__(self, width: int = 8):
        super().__init__()
        self.hidden = nn.Linear(4, width)
        self.norm = nn.BatchNorm1d(width)
        self.out = nn.Linear(width, 3)

    def forward(self, inputs, data_samples, mode='tensor'):
        logits = self.out(self.norm(self.hidden(torch.stack(inputs))).relu())
        if mode == 'loss':
            target = torch.stack(data_samples)
            return {'loss': nn.functional.cross_entropy(logits, target)}
        return list(logits)


@DATASETS.register_module()
class ToyPoints(Dataset):
    """Points of three well-separated classes, always the same."""

    metainfo = {'classes': ('a', 'b', 'c')}

    def __init__(self, data_root: str = '', size: int = 24):
        if data_root and not os.path.isdir(data_root):
            raise FileNotFoundError(f'no folder {data_root}')
        generator = torch.Generator().manual_seed(0)
        self.labels = torch.arange(size) % 3
        noise = torch.randn(size, 4, generator=generator)
        self.points = noise + 3 * nn.functional.one_hot(self.labels, 4)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return {'inputs': self.points[index], 'data_samples': self.labels[index]}


@DATASETS.register_module()
class BrokenPoints(ToyPoints):
    """Points, of which the tenth to be read cannot be."""

    read = 0

    def __getitem__(self, index):
        self.read += 1
        if self.read == 10:
            raise OSError('a broken image')
        return super().__getitem__(index)


@METRICS.register_module()
class ToyAccuracy(BaseMetric):
    """Percentage of right answers."""

    def process(self, data_batch, data_samples):
        pairs = zip(data_samples, data_batch['data_samples'], strict=True)
        self.results += [int(logits.argmax() == label) for logits, label in pairs]

    def compute_metrics(self, results):
        return {'accuracy/top1': 100 * sum(results) / len(results)}


@HOOKS.register_module()
class SignalAtHook(Hook):
    """Sends one process, or its whole group, a signal before one iteration from 1."""

    def __init__(
        self,
        iteration: int,
        name: str = 'SIGTERM',
        rank: int = 0,
        group: bool = False,
    ):
        self.group = group
        self.iteration = iteration
        self.signum = getattr(signal, name)
        self.rank = rank

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.iteration and runner.rank == self.rank:
            send = os.killpg if self.group else os.kill
            send(os.getpgrp() if self.group else os.getpid(), self.signum)


@HOOKS.register_module()
class FailAtHook(Hook):
    """A bug: raises a ValueError of its own in the second iteration."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 1:
            raise ValueError('toy bug')


@HOOKS.register_module()
class FillMemoryHook(Hook):
    """Asks for more memory than there is, in the second iteration."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 1:
            torch.empty(2**43)


@HOOKS.register_module()
class SlowStartHook(Hook):
    """Takes half a second for each iteration of the first process in a work dir."""

    def before_train(self, runner):
        mark = Path(runner.work_dir, 'slow')
        self.slow = not mark.exists()
        mark.touch()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if self.slow:
            time.sleep(0.5)
