# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Workloads of a config, built as training and test runs build them."""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseDataPreprocessor
from mmengine.runner import Runner

from hpml_mm.config.overrides import load_config
from hpml_mm.engine.hooks import AmpHook
from hpml_mm.runner import build_runner
from hpml_mm.utils.model import bare_model, model_device

from .baseline import baseline_config, check_other_input, nested_dicts
from .jobs import STOCK, Job
from .profiles import operator_profile, stage_profile
from .session import (
    Session,
    first_batches,
    load_batches,
    loop_steps,
    prefetched,
    repeat_step,
)

Serve = Callable[[Session], None]
_PARTS = ('dataloader', 'cfg', 'evaluator')


def job_config(job: Job) -> Config:
    """Config that a job measures, without the parts that it does not need.

    Checkpoints, validation and pretrained weights go: they say nothing about speed.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If a key is unknown, the config has no such part, or its form in
            stock MMEngine is not known.
    """
    cfg = load_config(job.side.config, job.side.options)
    if job.mode == 'infer':
        _keep_test(cfg)
    if job.side.kind == STOCK:
        baseline = baseline_config(cfg, job.mode)
        if job.mode == 'data' and not job.side.elsewhere:
            check_other_input(cfg)
        cfg = baseline
    _drop(cfg, 'val')
    _drop(cfg, 'train' if job.mode == 'infer' else 'test')
    part = 'test' if job.mode == 'infer' else 'train'
    loader = cfg.get(f'{part}_dataloader')
    if not isinstance(loader, dict):
        raise ValueError(f'{job.side.config} has no {part}_dataloader to benchmark')
    _fit_loader(loader, job)
    cfg.load_from, cfg.resume = None, False
    _forget_pretrained(cfg.get('model'))
    cfg.default_hooks = {**(cfg.get('default_hooks') or {}), 'checkpoint': None}
    cfg.work_dir = job.work_dir
    return cfg


def open_config(job: Job, serve: Serve) -> None:
    """Build and start the config's runner, and serve a session in place of its loop.

    Hooks have then seen ``before_run`` and ``before_train``, so that the model is as it
    trains: its layout, its precision, its compiled parts.
    """
    runner = build_runner(job_config(job))
    if job.mode == 'infer':
        runner.test_loop.run = lambda: _serve_test(runner, serve)
        runner.test()
    else:
        runner.train_loop.run = lambda: _serve_train(runner, job, serve)
        runner.train()


def open_pipeline(job: Job, serve: Serve) -> None:
    """Serve another project's input pipeline, up to the transfer to the device.

    The job's ``kind`` is the ``module:function`` that makes it. The function is called
    with the config, the batch size and the number of workers, the latter two None
    where its own count, and returns a loader.

    Raises:
        ValueError: If there is no such module or function.
    """
    name, _, function = job.side.kind.partition(':')
    try:
        make = getattr(importlib.import_module(name), function)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ValueError(
            f'--against {job.side.kind}: {error}; write MODULE:FUNCTION, with a module '
            'that can be imported here'
        ) from error
    cfg = load_config(job.side.config, job.side.options)
    loader = make(cfg, job.batch_size, job.workers)
    device = torch.device(get_device())
    serve(_input_session(loader, BaseDataPreprocessor().to(device), device))


def _input_session(
    loader: Any, prepare: Callable[[Any], Any], device: torch.device
) -> Session:
    steps = partial(load_batches, loader, prepare)
    profile = partial(stage_profile, loader, prepare)
    return Session(steps, device, profile, rewarm=prefetched(loader))


def _serve_train(runner: Runner, job: Job, serve: Serve) -> torch.nn.Module:
    runner.call_hook('before_train')
    runner.model.train()
    loader, device = runner.train_loop.dataloader, model_device(runner.model)
    if job.mode == 'data':
        preprocessor = bare_model(runner.model).data_preprocessor
        assert isinstance(preprocessor, torch.nn.Module)
        serve(_input_session(loader, partial(preprocessor, training=True), device))
    elif job.loop:
        steps = partial(loop_steps, runner)
        serve(Session(steps, device, operator_profile, rewarm=prefetched(loader)))
    else:
        runner.call_hook('before_train_epoch')
        batches = first_batches(loader)
        for hook in runner.hooks:
            if isinstance(hook, AmpHook):  # decides with the first batch
                hook.before_train_iter(runner, 0, batches[0])
        step = partial(runner.model.train_step, optim_wrapper=runner.optim_wrapper)
        steps = partial(repeat_step, batches, step)
        serve(Session(steps, device, operator_profile))
    return runner.model


def _serve_test(runner: Runner, serve: Serve) -> dict:
    runner.call_hook('before_test')
    runner.call_hook('before_test_epoch')
    runner.model.eval()
    device = model_device(runner.model)
    batches = first_batches(runner.test_loop.dataloader)
    with torch.no_grad():
        steps = partial(repeat_step, batches, runner.model.test_step)
        serve(Session(steps, device, operator_profile, each=True))
    return {}


def _keep_test(cfg: Config) -> None:
    """Use the validation part where there is no test part."""
    for key in _PARTS:
        if cfg.get(f'test_{key}') is None:
            cfg[f'test_{key}'] = cfg.get(f'val_{key}')


def _drop(cfg: Config, part: str) -> None:
    for key in _PARTS:
        cfg[f'{part}_{key}'] = None
    if part == 'train':
        cfg.optim_wrapper = cfg.param_scheduler = None
        cfg.pop('auto_scale_lr', None)


def _fit_loader(loader: dict[str, Any], job: Job) -> None:
    """Set batch size and workers of a job's loader."""
    if job.batch_size is not None:
        loader['batch_size'] = job.batch_size
    if job.mode in ('train', 'infer') and not job.loop:
        loader['num_workers'] = 0  # the few batches are made before
    elif job.workers is not None:
        loader['num_workers'] = job.workers
    loader['persistent_workers'] = False
    if not loader.get('num_workers'):
        for key in ('prefetch_factor', 'multiprocessing_context', 'timeout'):
            loader.pop(key, None)


def _forget_pretrained(model: Any) -> None:
    for part in nested_dicts(model):
        inits = part.get('init_cfg')
        inits = inits if isinstance(inits, list | tuple) else [inits]
        if any(isinstance(i, dict) and i.get('type') == 'Pretrained' for i in inits):
            part['init_cfg'] = None
