# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Runner of a config, for one or several processes, on GPU or CPU."""

import os
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.hooks import CheckpointHook as MMEngineCheckpointHook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from hpml_mm.compat import has_mmpose
from hpml_mm.config.work_dir import checkpoint_hooks
from hpml_mm.datasets.sources import check_sources
from hpml_mm.datasets.stock_detection import check_detection
from hpml_mm.engine.hooks import (
    DivergenceHook,
    GracefulStopHook,
    LoadFromHook,
    MonitoredMetricHook,
    ResumeHook,
    ScreenHook,
)
from hpml_mm.engine.trackers import prepare_trackers

CHECKPOINT_HOOK = 'hpml_mm.CheckpointHook'


def build_runner(
    cfg: Config,
    launcher: str = 'none',
    trains: bool = False,
    screen: ScreenHook | None = None,
) -> Runner:
    """Build the runner that ``cfg`` asks for, with checks of weights and metrics.

    A run that diverges is ended, see
    :class:`~hpml_mm.engine.hooks.divergence_hook.DivergenceHook`. A training that is
    told to stop does so with a checkpoint, see
    :class:`~hpml_mm.engine.hooks.graceful_stop_hook.GracefulStopHook`.

    Args:
        cfg: A checked config.
        launcher: ``'none'``, or ``'pytorch'`` within torchrun.
        trains: True to save checkpoints by this package's hook instead of MMEngine's.
        screen: Hook to add unless the config has one of its kind.
    """
    cfg.launcher = launcher
    if launcher != 'none':
        _join_processes(cfg)
    replaced = trains and replace_checkpoint_hooks(cfg)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    runner.register_hook(LoadFromHook())
    runner.register_hook(MonitoredMetricHook())
    kinds = (ResumeHook, DivergenceHook, *([GracefulStopHook] if trains else []))
    for kind in kinds:
        if not any(isinstance(hook, kind) for hook in runner.hooks):
            runner.register_hook(kind())
    if screen is not None:
        _add_screen(runner, screen)
    prepare_trackers(runner)
    if replaced:
        runner.logger.info(
            f"{CHECKPOINT_HOOK} saves the checkpoints; type='mmengine.CheckpointHook' "
            "in the config keeps MMEngine's, which may lose the last one in a crash"
        )
    return runner


def _add_screen(runner: Runner, screen: ScreenHook) -> None:
    own = [hook for hook in runner.hooks if isinstance(hook, ScreenHook)]
    for hook in own:
        hook.verbose = screen.verbose
    if not own:
        runner.register_hook(screen)


def replace_checkpoint_hooks(cfg: Config) -> bool:
    """Put this package's CheckpointHook where a config has MMEngine's.

    One that the config names ``mmengine.CheckpointHook`` stays, and so does that of a
    FlexibleRunner, which has ways of its own to save.

    Returns:
        Whether there was any.
    """
    if cfg.get('runner_type', 'Runner') != 'Runner':
        return False
    if cfg.get('default_hooks') is None:
        cfg.default_hooks = {}
    cfg.default_hooks.setdefault(
        'checkpoint', {'type': 'CheckpointHook', 'interval': 1}
    )
    stock = [
        hook
        for hook in checkpoint_hooks(cfg, MMEngineCheckpointHook)
        if hook.get('type') not in (None, 'mmengine.CheckpointHook')
    ]
    for hook in stock:
        hook['type'] = CHECKPOINT_HOOK
    return bool(stock)


def check_data(cfg: Config, modes: Sequence[str]) -> None:
    """Check what data sets will read, before anything is built.

    See :func:`~hpml_mm.datasets.sources.check_sources`, for boxes
    :func:`~hpml_mm.datasets.stock_detection.check_detection`, and for poses
    :func:`~hpml_mm.datasets.pose.stock_annotations.check_loaders`.
    """
    check_sources(cfg, modes)
    check_detection(cfg, modes)
    if has_mmpose():
        from hpml_mm.datasets.pose.stock_annotations import check_loaders

        check_loaders(cfg, modes)


def meeting_place_of_restart() -> dict[str, Any]:
    """Arguments of ``init_process_group`` for processes that torchrun starts again.

    torchrun's static rendezvous keeps one store for all starts, though PyTorch expects
    a new one for each: a process that comes first would find the addresses of those
    that died. Empty for a first start, and where torchrun holds no store.
    """
    start = int(os.environ.get('TORCHELASTIC_RESTART_COUNT', 0))
    if not start or os.environ.get('TORCHELASTIC_USE_AGENT_STORE') != 'True':
        return {}
    size = int(os.environ['WORLD_SIZE'])
    place = os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT'])
    store = dist.TCPStore(*place, size, is_master=False)
    return {
        'store': dist.PrefixStore(f'start_{start}', store),
        'rank': int(os.environ['RANK']),
        'world_size': size,
    }


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
    again = meeting_place_of_restart()
    if torch.cuda.is_available():
        if again and not dist.is_initialized():
            torch.cuda.set_device(int(os.environ['LOCAL_RANK']))
            dist.init_process_group(dist_cfg['backend'], **again)
        return
    if not dist.is_initialized():
        dist.init_process_group('gloo', **again)
    cfg.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel',
        'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
        **(cfg.get('model_wrapper_cfg') or {}),
        'device_ids': None,
    }
