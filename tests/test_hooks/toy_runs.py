# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A small convolutional model and a runner for it, for tests of hooks."""

import io
import random
import signal
import uuid
from pathlib import Path

import numpy as np
import optuna
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import VISBACKENDS
from mmengine.runner import Runner
from mmengine.visualization import BaseVisBackend
from torch import nn
from torch.utils.data import Dataset

from hpml_mm.utils.studies import open_storage

NUM_IMAGES = 16
BATCH = 4


class ToyNet(BaseModel):
    """A backbone, and a head that is called past ``__call__``, as MMPose's are.

    It remembers the dtypes that it computed in.
    """

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
        )
        self.dtypes = {'loss': [], 'predict': []}
        self.fail_at = None

    def forward(self, inputs, data_samples=None, mode='tensor'):
        logits = self.head.forward(self.backbone(inputs))
        self.dtypes.setdefault(mode, []).append(logits.dtype)
        if self.fail_at == len(self.dtypes['loss']):
            raise RuntimeError('toy failure')
        if mode == 'loss':
            return {'loss': nn.functional.cross_entropy(logits, data_samples)}
        return list(logits)


class ToyImages(Dataset):
    """Fixed random images of 1x8x8 with fixed labels."""

    metainfo = {'classes': ('a', 'b', 'c')}

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randn(NUM_IMAGES, 1, 8, 8, generator=generator)
        self.labels = torch.arange(NUM_IMAGES) % 3

    def __len__(self):
        return NUM_IMAGES

    def __getitem__(self, index):
        return {'inputs': self.images[index], 'data_samples': self.labels[index]}


class NoisyImages(ToyImages):
    """Toy images with noise of each global generator on them."""

    def __getitem__(self, index):
        item = super().__getitem__(index)
        noise = random.random() + np.random.rand() + torch.rand(1, 8, 8)
        return {**item, 'inputs': item['inputs'] + noise}


class FailAt(Hook):
    """Raises an error before one iteration, counted from 1."""

    def __init__(self, iteration):
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.iteration:
            raise RuntimeError('toy failure')


class StopAt(FailAt):
    """Sends this process SIGTERM instead."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == self.iteration:
            signal.raise_signal(signal.SIGTERM)


@VISBACKENDS.register_module()
class Recorder(BaseVisBackend):
    """A tracker that keeps the names and the step of each call."""

    experiment = None

    def __init__(self, save_dir):
        super().__init__(save_dir)
        self.calls = []

    def _init_env(self):
        pass

    def add_scalars(self, scalar_dict, step=0, file_path=None):
        self.calls.append((tuple(scalar_dict), step))

    def add_scalar(self, name, value, step=0):
        self.calls.append(((name,), step))

    def add_image(self, name, image, step=0):
        self.calls.append(((name,), step))


class Terminal(io.StringIO):
    """What a progress bar takes for a terminal."""

    def isatty(self):
        return True


class ToyMetric(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(len(data_samples))

    def compute_metrics(self, results):
        return {'count': sum(results)}


def toy_runner(work_dir, hooks=(), **overrides) -> Runner:
    """Runner over 4 batches an epoch, in order, without a checkpoint hook."""
    torch.manual_seed(0)
    cfg = {
        'model': ToyNet(),
        'work_dir': str(work_dir),
        'train_dataloader': loader(),
        'train_cfg': {'by_epoch': True, 'max_epochs': 1},
        'optim_wrapper': {'optimizer': {'type': 'SGD', 'lr': 0.1, 'momentum': 0.9}},
        'default_hooks': {'checkpoint': None},
        'custom_hooks': list(hooks),
        'visualizer': {
            'type': 'Visualizer',
            'vis_backends': [{'type': 'TensorboardVisBackend'}],
        },
        'log_level': 'INFO',
        'experiment_name': uuid.uuid4().hex,
        'default_scope': 'mmengine',
    }
    cfg.update(overrides)
    if 'cfg' not in cfg:
        cfg['cfg'] = Config()
    return Runner(**cfg)


def loader(**sampler) -> dict:
    """Config of a loader of the toy images, in order."""
    return {
        'dataset': ToyImages(),
        'sampler': {'type': 'DefaultSampler', 'shuffle': False, **sampler},
        'batch_size': BATCH,
        'num_workers': 0,
        'collate_fn': {'type': 'default_collate'},
    }


def for_validation() -> dict:
    """What a runner needs to validate after each epoch."""
    return {
        'val_dataloader': loader(),
        'val_cfg': {},
        'val_evaluator': Evaluator(ToyMetric()),
    }


def for_pruning(folder: Path) -> dict:
    """A PruningHook's arguments: the only trial of a study in a folder."""
    place = str(folder / 'journal.log')
    study = optuna.create_study(
        study_name='toys', storage=open_storage(place), load_if_exists=True
    )
    if not study.trials:
        study.ask()
    return {'storage': place, 'study': 'toys', 'trial': 0, 'metric': 'count'}


def for_testing() -> dict:
    """What a runner needs to test."""
    return {
        'test_dataloader': loader(),
        'test_cfg': {},
        'test_evaluator': Evaluator(ToyMetric()),
    }
