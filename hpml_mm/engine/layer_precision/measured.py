# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Precision plans of a training: measured once, kept in the run and on the machine."""

import copy
import gc
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import broadcast_object_list, get_world_size
from mmengine.model import BaseModel
from mmengine.optim import BaseOptimWrapper
from mmengine.runner import Runner
from torch import nn

from hpml_mm.engine.amp import AmpOptimWrapper, Precision
from hpml_mm.measure.step_cost import has_compiled_parts
from hpml_mm.utils.device import device_name
from hpml_mm.utils.files import dump_strict, user_cache, write_atomic
from hpml_mm.utils.model import bare_model, model_device
from hpml_mm.utils.random_states import random_states_kept

from .plan import FULL, Plan, watched_layers
from .timing import Clock, Trial, measure_plan

# What the variables begin with that set oneDNN up.
_ONEDNN = ('ONEDNN_', 'DNNL_')
#: Where a run, and so its checkpoints, keep the plan that it trains with.
INFO = 'amp/plan'


def measurable_precision(
    model: nn.Module, wrappers: Mapping[str, BaseOptimWrapper]
) -> Precision:
    """Tell the 16-bit precision of a training whose step can be repeated on a copy.

    Args:
        model: The model itself, not a distributed wrapper of it.
        wrappers: Its optimizer wrappers, by name.

    Raises:
        ValueError: If the model has a ``train_step`` of its own or compiled parts, or
            there is not just one optimizer wrapper, which AmpHook has converted.
    """
    name = type(model).__name__
    # A stand-in that counts calls may hide the method, but not that of the class.
    if getattr(type(model), 'train_step', None) is not BaseModel.train_step:
        raise ValueError(
            f'AmpHook(layers="measured") repeats the train_step of MMEngine\'s '
            f'BaseModel, and {name} has its own: use layers="all"'
        )
    wrapper, *others = wrappers.values()
    if others or not isinstance(wrapper, AmpOptimWrapper):
        kinds = ', '.join(type(one).__name__ for one in wrappers.values())
        raise ValueError(
            'AmpHook(layers="measured") needs one optim_wrapper of '
            f'type="OptimWrapper", and found {kinds}: use layers="all"'
        )
    if has_compiled_parts(model):
        raise ValueError(
            f'AmpHook(layers="measured") times the layers of {name} one by one, and '
            'some are compiled: use layers="all", or remove compile from SpeedHook'
        )
    return wrapper.precision


def plan_of(runner: Runner, precision: Precision, data_batch: Any) -> Plan:
    """Tell which layers of a run's model stay in fp32.

    A resumed run goes on with its own plan. Else the plan that this machine has found
    for such a model and batch is taken, and else one is measured on a copy of the
    model, in the time of about thirty training steps. Neither weights, buffers nor
    random numbers of the run change; forward hooks are called for the copy too.

    Args:
        runner: Runner in training.
        precision: Precision of its autocast.
        data_batch: Batch as the loader gives it.

    Raises:
        ValueError: If the model cannot be copied.
    """
    model = bare_model(runner.model)
    known = _valid(runner.message_hub.runtime_info.get(INFO), model)
    note = 'as this run began'
    if known is None:
        path = cache_file(model, precision, data_batch)
        known = _read(path, model)
        note = f'as measured before, {path}'
    # One rank's file decides for all; where there is none, all measure.
    known, note = _of_first_rank(known, note)
    if known is None:
        known, note = _measured(model, precision, data_batch)
        _write(path, known, runner)
    runner.logger.info(f'AmpHook: {_described(known, model, precision)}; {note}')
    runner.message_hub.update_info(INFO, list(known.layers))
    return known


def cache_file(model: nn.Module, precision: Precision, data_batch: Any) -> Path:
    """File in which this machine keeps the plan of such a model and batch.

    Its name depends on the device, processes and threads, PyTorch and its settings of
    precision, the instruction sets that oneDNN may use, the layers with their layout,
    the data preprocessor, and the batch: shapes of tensors, lengths of lists.
    """
    layers = [
        [name, repr(layer), list(layer.weight.stride()), layer.weight.requires_grad]  # type: ignore[operator]
        for name, layer in watched_layers(model).items()
    ]
    key = {
        'device': device_name(model_device(model)),
        'instructions': torch.backends.cpu.get_cpu_capability(),
        'processes': get_world_size(),
        'threads': torch.get_num_threads(),
        'torch': torch.__version__,
        'products': torch.get_float32_matmul_precision(),
        'onednn': [
            torch.backends.mkldnn.enabled,
            sorted(v for v in os.environ.items() if v[0].startswith(_ONEDNN)),
        ],
        'precision': precision.name,
        'layers': layers,
        'preprocessor': repr(getattr(model, 'data_preprocessor', None)),
        'batch': list(_shapes(data_batch)),
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return user_cache('precision') / f'{digest[:32]}.json'


def _shapes(data: Any) -> Iterator[str]:
    """Shapes of the tensors of a nested batch; of a list, whose vary, its length."""
    if isinstance(data, torch.Tensor):
        yield str(tuple(data.shape))
    elif isinstance(data, Mapping):
        for value in data.values():
            yield from _shapes(value)
    elif isinstance(data, list | tuple):
        yield str(len(data))


def _measured(
    model: nn.Module, precision: Precision, data_batch: Any
) -> tuple[Plan, str]:
    device = model_device(model)
    cuda = device.type == 'cuda'
    started = time.perf_counter()
    with random_states_kept(), torch.random.fork_rng([device], enabled=cuda):
        copied = _copied(model)
        batch = partial(copy.deepcopy, data_batch)  # a preprocessor may change it
        step = partial(_train_pass, copied, precision)
        trial = Trial(copied, batch, step, precision, _clock(device))
        plan, found = measure_plan(trial)
    # Patched methods of the copy refer to it, and it may be large.
    del copied, step, trial
    gc.collect()
    if cuda:
        torch.cuda.empty_cache()
    steps = ', '.join(f'{_side(one, precision)} {one.seconds:.3g} s' for one in found)
    took = time.perf_counter() - started
    return plan, f'a step takes {steps}; found in {took:.0f} s'


def _copied(model: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(model)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f'AmpHook(layers="measured") tries plans on a copy, and '
            f'{type(model).__name__} cannot be copied ({error}): use layers="all"'
        ) from error


def _train_pass(model: Any, precision: Precision, batch: Any) -> None:
    """Forward and backward pass, as MMEngine's ``train_step`` has them."""
    with precision.autocast():
        losses = model._run_forward(model.data_preprocessor(batch, True), mode='loss')
    model.parse_losses(losses)[0].backward()


def _clock(device: torch.device) -> Clock:
    def read() -> float:
        if device.type == 'cuda':
            torch.cuda.synchronize(device)
        return time.perf_counter()

    return read


def _side(plan: Plan, precision: Precision) -> str:
    if plan.is_mixed:
        return f'with {len(plan.layers)} layers in fp32'
    return 'in fp32' if plan.layers else f'in {precision.name}'


def _described(plan: Plan, model: nn.Module, precision: Precision) -> str:
    if plan.is_mixed:
        total = len(watched_layers(model))
        return f'{plan.count(model)} of {total} layers in fp32, others in {precision}'
    return 'all in fp32' if plan.layers else f'all layers in {precision}'


def _valid(found: Any, model: nn.Module) -> Plan | None:
    """Plan from the names of its layers; None where they are none of this model."""
    if found == list(FULL.layers):
        return FULL
    if not isinstance(found, list) or not all(isinstance(n, str) for n in found):
        return None
    known = watched_layers(model)
    distinct = len(set(found)) == len(found)
    return Plan(tuple(found)) if distinct and set(found) <= set(known) else None


def _read(path: Path, model: nn.Module) -> Plan | None:
    try:
        return _valid(json.loads(path.read_text(encoding='utf-8')), model)
    except (OSError, ValueError, RecursionError):
        return None  # none yet, or damaged: it is measured anew


def _write(path: Path, plan: Plan, runner: Runner) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, dump_strict(list(plan.layers)))
    except OSError as error:  # a home that is read-only or full: measured each time
        runner.logger.debug(f'AmpHook: the plan is not kept: {error}')


def _of_first_rank(plan: Plan | None, note: str) -> tuple[Plan | None, str]:
    shared: list[Any] = [None if plan is None else (list(plan.layers), note)]
    broadcast_object_list(shared)
    if shared[0] is None:
        return None, note
    layers, note = shared[0]
    return Plan(tuple(layers)), note
