# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Precision plans of a training: measured once, kept in the run and on the machine."""

import copy
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import broadcast_object_list
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import nn

from hpml_mm.engine.amp import AmpOptimWrapper, Precision
from hpml_mm.measure.step_cost import has_compiled_parts
from hpml_mm.utils.device import device_name
from hpml_mm.utils.files import dump_strict, user_cache, write_atomic
from hpml_mm.utils.model import bare_model, model_device
from hpml_mm.utils.random_states import random_states_kept

from .plan import Plan, watched_layers
from .timing import Clock, measure_plan

#: Where a run, and so its checkpoints, keep the plan that it trains with.
INFO = 'amp/plan'


def measurable_precision(model: nn.Module, wrapper: OptimWrapper) -> Precision:
    """Tell the 16-bit precision of a training whose step can be repeated on a copy.

    Raises:
        ValueError: If the model has a ``train_step`` of its own or compiled parts, or
            the optimizer wrapper came with its own mixed precision.
    """
    name = type(model).__name__
    if not isinstance(wrapper, AmpOptimWrapper):
        raise ValueError(
            f'AmpHook(layers="measured") has to convert the optimizer wrapper, and '
            f'{type(wrapper).__name__} is mixed precision already: use '
            'type="OptimWrapper" in optim_wrapper, or layers="all"'
        )
    # A stand-in that counts calls may hide the method, but not that of the class.
    if getattr(type(model), 'train_step', None) is not BaseModel.train_step:
        raise ValueError(
            f'AmpHook(layers="measured") repeats the train_step of MMEngine\'s '
            f'BaseModel, and {name} has its own: use layers="all"'
        )
    if has_compiled_parts(model):
        raise ValueError(
            f'AmpHook(layers="measured") times the layers of {name} one by one, and '
            'some are compiled: use layers="all", or remove compile from SpeedHook'
        )
    return wrapper.precision


def plan_of(
    runner: Runner,
    precision: Precision,
    data_batch: Any,
    clock: Clock | None = None,
) -> Plan:
    """Tell which layers of a run's model stay in fp32.

    A resumed run goes on with its own plan. Else the plan that this machine has found
    for such a model and batch is taken, and else one is measured on a copy of the
    model, in the time of about thirty training steps. Neither weights, buffers nor
    random numbers of the run change.

    Args:
        runner: Runner in training.
        precision: Precision of its autocast.
        data_batch: Batch as the loader gives it.
        clock: Seconds, which wait for the device.
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
        known, note = _measured(model, precision, data_batch, clock)
        _write(path, known, runner)
    runner.logger.info(f'AmpHook: {_described(known, model, precision)}; {note}')
    runner.message_hub.update_info(INFO, _as_dict(known))
    return known


def cache_file(model: nn.Module, precision: Precision, data_batch: Any) -> Path:
    """File in which this machine keeps the plan of such a model and batch.

    Its name depends on the device, the threads, PyTorch, the instruction sets that
    oneDNN may use, the layers with their layout, and the shapes of the batch.
    """
    layers = [
        [name, repr(layer), list(layer.weight.stride()), layer.weight.requires_grad]  # type: ignore[operator]
        for name, layer in watched_layers(model).items()
    ]
    key = {
        'device': device_name(model_device(model)),
        'threads': torch.get_num_threads(),
        'torch': torch.__version__,
        'instructions': os.environ.get('ONEDNN_MAX_CPU_ISA'),
        'precision': precision.name,
        'layers': layers,
        'batch': sorted(_shapes(data_batch)),
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return user_cache('precision') / f'{digest[:32]}.json'


def _shapes(data: Any) -> Iterator[str]:
    """Shapes of all tensors of a nested batch; those of its samples' are not seen."""
    if isinstance(data, torch.Tensor):
        yield str(tuple(data.shape))
    elif isinstance(data, Mapping):
        for value in data.values():
            yield from _shapes(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _shapes(value)


def _measured(
    model: nn.Module, precision: Precision, data_batch: Any, clock: Clock | None
) -> tuple[Plan, str]:
    device = model_device(model)
    devices = [device] if device.type == 'cuda' else []
    started = time.perf_counter()
    with random_states_kept(), torch.random.fork_rng(devices):
        trial = copy.deepcopy(model)
        step = _training_pass(trial, precision, data_batch)
        plan, found = measure_plan(trial, step, precision, clock or _clock(device))
    steps = ', '.join(f'{_side(one)} {one.seconds:.3g} s' for one in found)
    took = time.perf_counter() - started
    return plan, f'a step takes {steps}; found in {took:.0f} s'


def _side(plan: Plan) -> str:
    if plan.name == 'mixed':
        return f'with {len(plan.layers)} layers in fp32'
    return f'in {plan.name}'


def _training_pass(
    model: Any, precision: Precision, data_batch: Any
) -> Callable[[], None]:
    """Forward and backward pass, as MMEngine's ``train_step`` has them."""

    def run() -> None:
        # A preprocessor may change the batch.
        batch = copy.deepcopy(data_batch)
        with precision.autocast():
            losses = model._run_forward(
                model.data_preprocessor(batch, True), mode='loss'
            )
        model.parse_losses(losses)[0].backward()
        model.zero_grad()

    return run


def _clock(device: torch.device) -> Clock:
    def read() -> float:
        if device.type == 'cuda':
            torch.cuda.synchronize(device)
        return time.perf_counter()

    return read


def _described(plan: Plan, model: nn.Module, precision: Precision) -> str:
    if plan.name == 'mixed':
        total = len(watched_layers(model))
        return f'{plan.count(model)} of {total} layers in fp32, others in {precision}'
    if plan.name == 'fp32':
        return f'all in fp32, which is faster here than {precision.name}'
    return f'all layers in {precision}'


def _as_dict(plan: Plan) -> dict[str, Any]:
    return {'name': plan.name, 'layers': list(plan.layers)}


def _valid(found: Any, model: nn.Module) -> Plan | None:
    """Plan from its dict; None where it is none, or not of this model."""
    if not isinstance(found, dict) or not isinstance(found.get('layers'), list):
        return None
    known = {'', *watched_layers(model)}
    if not all(isinstance(n, str) and n in known for n in found['layers']):
        return None
    return Plan(str(found.get('name')), tuple(found['layers']))


def _read(path: Path, model: nn.Module) -> Plan | None:
    try:
        return _valid(json.loads(path.read_text(encoding='utf-8')), model)
    except (OSError, ValueError):  # none yet, or damaged: it is measured anew
        return None


def _write(path: Path, plan: Plan, runner: Runner) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, dump_strict(_as_dict(plan)))
    except OSError as error:  # a home that is read-only or full: measured each time
        runner.logger.debug(f'AmpHook: the plan is not kept: {error}')


def _of_first_rank(plan: Plan | None, note: str) -> tuple[Plan | None, str]:
    shared: list[Any] = [None if plan is None else (_as_dict(plan), note)]
    broadcast_object_list(shared)
    if shared[0] is None:
        return None, note
    found, note = shared[0]
    return Plan(found['name'], tuple(found['layers'])), note
