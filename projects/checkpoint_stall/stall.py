# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Save checkpoints in several ways, in turns, amid the same training."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from hpml_mm.experiments.rows import ResultRow, result_row
from hpml_mm.utils.env import environment
from hpml_mm.utils.stats import quartiles

OURS = 'hpml_mm.CheckpointHook'
WAYS: dict[str, dict[str, Any]] = {
    'mmengine': {'type': 'mmengine.CheckpointHook'},
    'hpml_mm': {'type': OURS},
    'in-background': {'type': OURS, 'in_background': True},
}
METRIC = 'save_stall(ms)'


class Layers(BaseModel):
    """Linear layers; their weights and as much momentum make up a checkpoint."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Linear(width, width, bias=False) for _ in range(depth))
        )

    def forward(
        self, inputs: torch.Tensor, mode: str = 'loss'
    ) -> dict[str, torch.Tensor]:
        """Compute a loss that moves every weight."""
        return {'loss': self.layers(inputs).square().mean()}


class Noise(Dataset):
    """Random vectors."""

    def __init__(self, width: int, length: int) -> None:
        self.data = torch.randn(length, width)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {'inputs': self.data[index]}


def train(
    work_dir: Path, hook: dict[str, Any], width: int, depth: int, saves: int, every: int
) -> list[float]:
    """Train and save.

    Args:
        work_dir: Directory of the run.
        hook: Settings of the CheckpointHook.
        width: Numbers in and out of a layer.
        depth: Layers.
        saves: Checkpoints to write.
        every: Iterations between two of them.

    Returns:
        Seconds for which each save but the first held up the training.
    """
    runner = Runner(
        model=Layers(width, depth),
        work_dir=str(work_dir),
        train_dataloader={
            'batch_size': 8,
            'num_workers': 0,
            'dataset': Noise(width, 64),
            'sampler': {'type': 'InfiniteSampler', 'shuffle': False},
            'collate_fn': {'type': 'default_collate'},
        },
        train_cfg={'by_epoch': False, 'max_iters': saves * every},
        optim_wrapper={'optimizer': {'type': 'SGD', 'lr': 1e-3, 'momentum': 0.9}},
        default_hooks={
            'checkpoint': {
                **hook,
                'by_epoch': False,
                'interval': every,
                'max_keep_ckpts': 1,
            }
        },
        experiment_name=work_dir.name,
        log_level='ERROR',
        default_scope='mmengine',
    )
    saver = next(one for one in runner.hooks if type(one).__name__ == 'CheckpointHook')
    stalls: list[float] = []
    saver._save_checkpoint = _timed(saver._save_checkpoint, stalls)
    runner.train()
    return stalls[1:]


def _timed(function: Callable, seconds: list[float]) -> Callable:
    def call(*args: Any) -> None:
        began = time.perf_counter()
        function(*args)
        seconds.append(time.perf_counter() - began)

    return call


def stall_rows(
    name: str, found: Mapping[str, Sequence[float]], argv: Sequence[str]
) -> list[ResultRow]:
    """One row for each way to save: median and spread over all saves.

    Args:
        name: Name of the experiment.
        found: Seconds of each save by way, MMEngine's first.
        argv: ``sys.argv`` of the command.
    """
    baseline = 1000 * median(found['mmengine'])
    here = environment()
    return [
        result_row(
            f'{name}/{way}',
            METRIC,
            quartiles([1000 * one for one in seconds]).median_iqr,
            len(seconds),
            environment=here,
            argv=argv,
            baseline=None if way == 'mmengine' else baseline,
        )
        for way, seconds in found.items()
    ]
