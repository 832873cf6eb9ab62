# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A real runner whose every part takes a known time of a fake clock.

A batch of four takes .08 s to load, a step .10 s, logging .02 s an iteration: .20 s
in all, of which the loader takes 40 %. The first batch of a pass over the data takes
one second more, a validation batch 5 s, a checkpoint 3 s.
"""

import uuid

import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader, Dataset, SequentialSampler

BATCH = 4
BATCHES = 5


def events_by(clock):
    """A CUDA event stamped by a clock, and the list of times at which one waited."""
    syncs = []

    class Event:
        def record(self):
            self.stamp = clock.now

        def synchronize(self):
            syncs.append(clock.now)

        def elapsed_time(self, end):
            return (end.stamp - self.stamp) * 1e3

    return Event, syncs


class ClockedImages(Dataset):
    """Vectors of eight numbers, .02 s each."""

    metainfo = {'classes': ('a', 'b', 'c')}

    def __init__(self, clock, batches=BATCHES, seconds=0.02):
        self.clock = clock
        self.length = batches * BATCH
        self.seconds = seconds
        generator = torch.Generator().manual_seed(0)
        self.data = torch.randn(self.length, 8, generator=generator)

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        self.clock.advance(self.seconds)
        return {'inputs': self.data[index], 'data_samples': index % 3}


class SlowStart(SequentialSampler):
    """Takes one second to start, and another pass forever after the last."""

    def __init__(self, dataset, endless=False):
        super().__init__(dataset)
        self.endless = endless

    def __iter__(self):
        self.data_source.clock.advance(1.0)
        while True:
            yield from super().__iter__()
            if not self.endless:
                return


class ClockedNet(BaseModel):
    """A linear classifier; .1 s a step, 5 s a validation batch, 3 s a state dict."""

    def __init__(self, clock, seconds=0.1):
        super().__init__()
        self.fc = nn.Linear(8, 3)
        self.clock = clock
        self.seconds = seconds
        self.fail_at = None
        self.error = RuntimeError('toy failure')
        self.steps = 0

    def forward(self, inputs, data_samples=None, mode='tensor'):
        logits = self.fc(inputs)
        if mode != 'loss':
            self.clock.advance(5.0)
            return list(logits)
        self.steps += 1
        if self.steps == self.fail_at:
            raise self.error
        self.clock.advance(self.seconds)
        return {'loss': nn.functional.cross_entropy(logits, data_samples)}

    def state_dict(self, *args, **kwargs):
        self.clock.advance(3.0)
        return super().state_dict(*args, **kwargs)


class SlowLog(Hook):
    """Takes .02 s after each iteration, where loggers do."""

    priority = 'BELOW_NORMAL'

    def __init__(self, clock):
        self.clock = clock

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.clock.advance(0.02)


class ScriptedMetric(BaseMetric):
    """Yields the next of the values it was given, at each evaluation."""

    def __init__(self, values=(1.0,) * 100):
        super().__init__()
        self.values = iter(values)

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return {'acc': next(self.values)}


def clocked_runner(
    work_dir,
    clock,
    hooks,
    by_epoch=True,
    length=2,
    metric=None,
    val_interval=None,
    default_hooks=None,
    **kwargs,
):
    """A runner over ``length`` epochs or iterations.

    Validation, where asked for, is every ``val_interval``, as are checkpoints.
    """
    dataset = ClockedImages(clock)
    sampler = SlowStart(dataset, endless=not by_epoch)
    loader = DataLoader(dataset, batch_size=BATCH, sampler=sampler)
    train_cfg = (
        {'by_epoch': True, 'max_epochs': length}
        if by_epoch
        else {'by_epoch': False, 'max_iters': length}
    )
    parts = {
        'model': ClockedNet(clock),
        'work_dir': str(work_dir),
        'train_dataloader': loader,
        'train_cfg': train_cfg,
        'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 0.1}},
        'custom_hooks': [*hooks, SlowLog(clock)],
        'default_hooks': {'checkpoint': None, **(default_hooks or {})},
        'log_processor': {'by_epoch': by_epoch},
        'experiment_name': uuid.uuid4().hex,
    }
    if val_interval is not None:
        train_cfg['val_interval'] = val_interval
        images = ClockedImages(clock, batches=1)
        parts['val_dataloader'] = DataLoader(images, batch_size=BATCH)
        parts['val_cfg'] = {}
        parts['val_evaluator'] = Evaluator(metric or ScriptedMetric())
        if 'checkpoint' not in (default_hooks or {}):
            parts['default_hooks']['checkpoint'] = {
                'type': 'CheckpointHook',
                'interval': val_interval,
                'by_epoch': by_epoch,
            }
    return Runner(**{**parts, **kwargs})


def shown(runner, name):
    """All values that a live scalar has taken."""
    return runner.message_hub.get_scalar(f'train/{name}').data[0].tolist()
