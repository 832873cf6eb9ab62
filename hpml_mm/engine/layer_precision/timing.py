# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Times of layers and of steps in fp32 and in 16 bits, forward and backward.

One precision for a whole network can be the wrong grain: on a CPU with matrix units
most convolutions are faster in bf16, while the gradient of a depthwise one may take
several times as long as in fp32.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
from mmengine.dist import all_reduce
from torch import nn
from torch.nn.modules.conv import _ConvNd

from hpml_mm.engine.amp import Precision

from .plan import Plan, watched_layers

#: Timed passes of each layer, and of the whole step with each plan; one warms up first.
LAYER_ROUNDS, STEP_ROUNDS = 2, 4

Clock = Callable[[], float]


@dataclass(frozen=True)
class LayerInput:
    """Input of a layer in a training step.

    Attributes:
        shape: Shape of its input.
        channels_last: True if the input is a channels-last batch of maps.
        needs_grad: True if the gradient of the input is computed too.
    """

    shape: tuple[int, ...]
    channels_last: bool
    needs_grad: bool


def layer_inputs(model: nn.Module, step: Callable[[], object]) -> dict[str, LayerInput]:
    """Run a step, and tell what each layer was given in its last call.

    Layers that the step does not call, or that get anything but one floating tensor,
    are left out.
    """
    found: dict[str, LayerInput] = {}
    handles = []
    for name, layer in watched_layers(model).items():

        def see(module: nn.Module, args: tuple, name: str = name) -> None:
            if len(args) == 1 and isinstance(args[0], torch.Tensor):
                found[name] = _described(args[0])

        handles.append(layer.register_forward_pre_hook(see))
    try:
        step()
    finally:
        for handle in handles:
            handle.remove()
    return found


def _described(value: torch.Tensor) -> LayerInput:
    last = value.dim() == 4 and value.is_contiguous(memory_format=torch.channels_last)
    return LayerInput(tuple(value.shape), last, value.requires_grad)


def layer_seconds(
    layer: nn.Module, given: LayerInput, precision: Precision, clock: Clock
) -> tuple[float, float]:
    """Shortest forward and backward pass of a layer, in fp32 and in 16 bits.

    Input and gradient are of the type that the pass computes in; the weight is cast in
    each 16-bit pass, as in a step.
    """
    return tuple(
        _shortest(layer, given, precision, dtype, clock)
        for dtype in (torch.float32, precision.dtype)
    )  # type: ignore[return-value]


def _shortest(
    layer: nn.Module,
    given: LayerInput,
    precision: Precision,
    dtype: torch.dtype,
    clock: Clock,
) -> float:
    weight: Any = layer.weight
    value = torch.randn(given.shape, device=weight.device).to(dtype)
    if given.channels_last:
        value = value.contiguous(memory_format=torch.channels_last)
    value.requires_grad_(given.needs_grad)
    reduced = dtype != torch.float32
    shortest = float('inf')
    for turn in range(1 + LAYER_ROUNDS):
        started = clock()
        with torch.autocast(precision.device_type, precision.dtype, enabled=reduced):
            result = layer(value)
        if result.requires_grad:
            result.backward(torch.ones_like(result))
        if turn:
            shortest = min(shortest, clock() - started)
        value.grad = None
        layer.zero_grad()
    return shortest


def plans(
    layers: Mapping[str, nn.Module],
    seconds: Mapping[str, tuple[float, float]],
    precision: Precision,
) -> list[Plan]:
    """Plans worth a whole step: single precisions, depthwise, and layer by layer.

    The single precisions come first. Layer by layer knows nothing of the conversions
    between neighbours, so that it need not be the best.

    Args:
        layers: Convolutions and linear layers, by name.
        seconds: In fp32 and in 16 bits, of those that were timed.
        precision: Precision of the rest.
    """
    faster = tuple(name for name, (full, half) in seconds.items() if full < half)
    depthwise = tuple(name for name, layer in layers.items() if is_depthwise(layer))
    found = [Plan('fp32', ('',)), Plan(precision.name, ())]
    for names in (depthwise, faster):
        mixed = names and set(names) != set(layers)
        if mixed and all(set(plan.layers) != set(names) for plan in found):
            found.append(Plan('mixed', names))
    return found


def is_depthwise(layer: nn.Module) -> bool:
    """Return whether each channel is convolved by itself."""
    return isinstance(layer, _ConvNd) and 1 < layer.groups == layer.in_channels


def fastest(timed: Sequence[tuple[Plan, Sequence[float]]]) -> Plan:
    """Choose the plan with the shortest median; of equal ones the first.

    A mixture is chosen only where its median is a hundredth below that of the better
    single precision, and where it was faster in three rounds of four, so that noise
    alone makes no mixture.
    """
    rounds = dict(timed)
    medians = {plan: median(values) for plan, values in timed}
    single = min((p for p in medians if p.name != 'mixed'), key=medians.__getitem__)
    best = min(medians, key=medians.__getitem__)
    wins = sum(a < b for a, b in zip(rounds[best], rounds[single], strict=True))
    if 4 * wins < 3 * len(rounds[best]) or medians[best] > 0.99 * medians[single]:
        best = single
    return replace(best, seconds=medians[best])


def measure_plan(
    model: nn.Module,
    step: Callable[[], object],
    precision: Precision,
    clock: Clock = time.perf_counter,
) -> tuple[Plan, list[Plan]]:
    """Find the plan with which a step of a model is fastest, on all ranks the same.

    The ranks measure at the same time, as they train, and average their times.

    Args:
        model: Model of which buffers and gradients change: a copy.
        step: Forward and backward pass of it under autocast, as in training.
        precision: Precision of that autocast.
        clock: Seconds, which wait for the device.

    Returns:
        The plan, and all that were timed, with the seconds of their steps.
    """
    layers = watched_layers(model)
    given = layer_inputs(model, step)
    known: dict[tuple, tuple[float, float]] = {}
    for name, value in given.items():
        if (key := _likeness(layers[name], value)) not in known:
            known[key] = layer_seconds(layers[name], value, precision, clock)
    shared = _over_ranks(list(known.values()))
    known = dict(zip(known, map(tuple, shared), strict=True))  # type: ignore[arg-type]
    seconds = {n: known[_likeness(layers[n], v)] for n, v in given.items()}
    timed: list[tuple[Plan, list[float]]] = [
        (plan, []) for plan in plans(layers, seconds, precision)
    ]
    for turn in range(1 + STEP_ROUNDS):
        for plan, values in timed:
            with _applied(plan, model, precision.device_type):
                started = clock()
                step()
                if turn:
                    values.append(clock() - started)
    shared = _over_ranks([values for _, values in timed])
    timed = [(plan, v) for (plan, _), v in zip(timed, shared, strict=True)]
    found = [replace(plan, seconds=median(values)) for plan, values in timed]
    return fastest(timed), found


def _likeness(layer: nn.Module, given: LayerInput) -> tuple:
    """Key of layers that take the same time."""
    weight: Any = layer.weight
    return repr(layer), weight.stride(), weight.requires_grad, given


@contextmanager
def _applied(plan: Plan, model: nn.Module, device_type: str) -> Iterator[None]:
    kept = plan.apply(model, device_type)
    try:
        yield
    finally:
        kept.remove()


def _over_ranks(values: Sequence[Sequence[float]]) -> list[list[float]]:
    """Means over the ranks of a table that has the same form on each."""
    table = torch.tensor(values, dtype=torch.float64)
    if table.numel():
        all_reduce(table, 'mean')
    return table.tolist()
