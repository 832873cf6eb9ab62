# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Runner of a config, for one or several processes, on GPU or CPU."""

import os
from collections.abc import Sequence

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from hpml_mm.compat import has_mmpose
from hpml_mm.engine.hooks import DivergenceHook, LoadFromHook, MonitoredMetricHook
from hpml_mm.engine.trackers import prepare_trackers


def build_runner(cfg: Config, launcher: str = 'none') -> Runner:
    """Build the runner that ``cfg`` asks for, with checks of weights and metrics.

    A run that diverges is ended, see
    :class:`~hpml_mm.engine.hooks.divergence_hook.DivergenceHook`.

    Args:
        cfg: A checked config.
        launcher: ``'none'``, or ``'pytorch'`` within torchrun.
    """
    cfg.launcher = launcher
    if launcher != 'none':
        _join_processes(cfg)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    runner.register_hook(LoadFromHook())
    runner.register_hook(MonitoredMetricHook())
    if not any(isinstance(hook, DivergenceHook) for hook in runner.hooks):
        runner.register_hook(DivergenceHook())
    prepare_trackers(runner)
    return runner


def check_data(cfg: Config, modes: Sequence[str]) -> None:
    """Check what data sets will read, before anything is built.

    Poses only, see :func:`~hpml_mm.datasets.pose.stock_annotations.check_loaders`.
    """
    if has_mmpose():
        from hpml_mm.datasets.pose.stock_annotations import check_loaders

        check_loaders(cfg, modes)


def _join_processes(cfg: Config) -> None:
    """Start distributed training with the backend of the device.

    It sets a CUDA device before it joins the processes, and names a device to
    DistributedDataParallel, which a model on the CPU must not have.
    """
    os.environ.setdefault('LOCAL_RANK', '0')
    env_cfg = dict(cfg.get('env_cfg') or {})
    dist_cfg = dict(env_cfg.get('dist_cfg') or {})
    if torch.cuda.is_available():
        dist_cfg.setdefault('backend', 'nccl')
    else:
        dist_cfg['backend'] = 'gloo'
    cfg.env_cfg = {**env_cfg, 'dist_cfg': dist_cfg}
    if torch.cuda.is_available():
        return
    if not dist.is_initialized():
        dist.init_process_group('gloo')
    cfg.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel',
        'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
        **(cfg.get('model_wrapper_cfg') or {}),
        'device_ids': None,
    }
