# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Overhead of the training loop and its hooks, measured with a toy network."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseModel
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader, Dataset

from hpml_mm.utils.model import model_device

from .baseline import class_name
from .jobs import Job
from .profiles import hook_profile
from .session import Session, Steps, endless, loop_steps
from .workload import job_config

_BATCH = 4
_SIZE = 40_000
_RUNNER_HOOKS = (
    *('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler'),
    'checkpoint',
)
_RUNNER_PARTS = ('default_hooks', 'param_scheduler', 'log_processor', 'visualizer')
# Hooks that change model or input rather than the loop: their cost is the step's.
_OF_THE_MODEL = frozenset(
    {'AmpHook', 'ClassWeightHook', 'FastPoseInputHook', 'SpeedHook'}
)


class ToyNet(BaseModel):
    """Linear layer so small that an iteration is nearly all overhead of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 2)

    def forward(
        self,
        inputs: torch.Tensor,
        data_samples: torch.Tensor | None = None,
        mode: str = 'tensor',
    ) -> Any:
        """Map vectors (N, 8) to logits (N, 2), or to the loss as a dict."""
        logits = self.linear(inputs)
        if mode != 'loss' or data_samples is None:
            return logits
        return {'loss': nn.functional.cross_entropy(logits, data_samples)}


class ToyData(Dataset):
    """Data set that repeats one vector.

    Seeding each sample (SampleSeedHook) is work of a loader, whose workers do it beside
    the loop. There are none here, so this data set says that it seeds itself.
    """

    metainfo = {'classes': ('a', 'b')}

    def __init__(self) -> None:
        self._item = {'inputs': torch.ones(8), 'data_samples': torch.tensor(0)}

    def seed_samples(
        self, seed: int | None, epoch: Callable[[], int] | None = None
    ) -> None:
        """Do nothing: the data are not random."""

    def __len__(self) -> int:
        return _SIZE

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return self._item


def open_loop(job: Job, serve: Callable[[Session], None]) -> None:
    """Serve the training loop of the toy network with one side's hooks."""
    if job.side.kind == 'plain':
        device = torch.device(get_device())
        serve(Session(partial(plain_pytorch, device), device, lambda session: ''))
        return
    runner = toy_runner(job)
    runner.train_loop.run = lambda: _serve(runner, serve)
    runner.train()


def toy_runner(job: Job) -> Runner:
    """Build a runner of the toy network with a config's hooks, or with none."""
    cfg = job_config(job)
    parts: dict[str, Any] = {'default_hooks': dict.fromkeys(_RUNNER_HOOKS)}
    runner_type = 'Runner'
    if job.side.kind != 'none':
        parts = {name: cfg.get(name) for name in _RUNNER_PARTS}
        hooks = cfg.get('custom_hooks') or []
        parts['custom_hooks'] = [hook for hook in hooks if not _of_model(hook)]
        runner_type = cfg.get('runner_type', 'Runner')
    return RUNNERS.get(runner_type)(
        model=ToyNet(),
        work_dir=job.work_dir,
        train_dataloader=dict(
            dataset=ToyData(),
            sampler=dict(type='DefaultSampler', shuffle=False),
            batch_size=_BATCH,
            num_workers=0,
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1000),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
        default_scope=cfg.get('default_scope') or 'mmengine',
        experiment_name=f'engine-{job.side.kind}',
        env_cfg=cfg.get('env_cfg') or {},
        cfg=Config(),
        **parts,
    )


def plain_pytorch(device: torch.device) -> Steps:
    """Train the toy network in plain PyTorch."""
    net = ToyNet().linear.to(device)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    for batch in endless(DataLoader(ToyData(), batch_size=_BATCH)):
        optimizer.zero_grad()
        logits = net(batch['inputs'].to(device))
        target = batch['data_samples'].to(device)
        nn.functional.cross_entropy(logits, target).backward()
        optimizer.step()
        yield _BATCH


def _serve(runner: Runner, serve: Callable[[Session], None]) -> nn.Module:
    runner.call_hook('before_train')
    device = model_device(runner.model)
    serve(Session(partial(loop_steps, runner), device, partial(hook_profile, runner)))
    return runner.model


def _of_model(hook: Any) -> bool:
    kind = hook.get('type') if isinstance(hook, Mapping) else type(hook)
    return class_name(kind) in _OF_THE_MODEL
