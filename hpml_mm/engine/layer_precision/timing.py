# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Times of layers and of steps in fp32 and in 16 bits, forward and backward.

One precision for a whole network can be the wrong grain: on a CPU with matrix units
most convolutions are faster in bf16, while the gradient of a depthwise one may take
several times as long as in fp32.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, median
from typing import Any

import torch
from mmengine.dist import all_gather_object
from torch import nn
from torch.nn.modules.conv import _ConvNd

from hpml_mm.engine.amp import Precision

from .plan import FULL, REDUCED, Plan, watched_layers

#: Timed passes of each layer, and of the whole step with each plan; one warms up first.
LAYER_ROUNDS, STEP_ROUNDS = 2, 4

Clock = Callable[[], float]
Seconds = tuple[float, float]


@dataclass(frozen=True)
class Trial:
    """Training step that may be repeated, on a copy of a model.

    Attributes:
        model: The copy. Its buffers and gradients change.
        batch: Makes a batch, which the step may change.
        step: Forward and backward pass of a batch under autocast, as in training.
        precision: Precision of that autocast.
        clock: Seconds, which wait for the device.
    """

    model: nn.Module
    batch: Callable[[], Any]
    step: Callable[[Any], object]
    precision: Precision
    clock: Clock = time.perf_counter

    def seconds(self, plan: Plan) -> float:
        """Time one step with a plan; infinite where it does not run.

        Raises:
            RuntimeError: From a step in 16 bits, which would fail in training too.
        """
        batch = self.batch()
        kept = plan.apply(self.model, self.precision.device_type)
        try:
            started = self.clock()
            self.step(batch)
            return self.clock() - started
        except RuntimeError:
            # fp32 takes more memory, for instance.
            if plan == REDUCED:
                raise
            return math.inf
        finally:
            kept.remove()
            self.model.zero_grad()


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
    """Run a step, and tell the largest input of each layer.

    Layers are left out that the step does not call with gradients, or that get or give
    anything but one floating tensor.
    """
    found: dict[str, LayerInput] = {}
    handles = []
    for name, layer in watched_layers(model).items():

        def see(module: nn.Module, args: tuple, output: Any, name: str = name) -> None:
            values = (*args, output)
            floating = all(isinstance(v, torch.Tensor) for v in values) and all(
                value.is_floating_point() for value in values
            )
            if len(args) == 1 and floating and output.requires_grad:
                known = found.get(name)
                if known is None or math.prod(known.shape) < args[0].numel():
                    found[name] = _described(args[0])

        handles.append(layer.register_forward_hook(see))
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
) -> Seconds:
    """Shortest forward and backward pass of a layer, in fp32 and in 16 bits.

    Input and gradient are of the type that the pass computes in; the weight is cast in
    each 16-bit pass, as in a step.
    """
    full, half = (
        _shortest(layer, given, precision, dtype, clock)
        for dtype in (torch.float32, precision.dtype)
    )
    return full, half


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
    shortest = math.inf
    for turn in range(1 + LAYER_ROUNDS):
        started = clock()
        with torch.autocast(precision.device_type, precision.dtype, enabled=reduced):
            result = layer(value)
        result.backward(torch.ones_like(result))
        if turn:
            shortest = min(shortest, clock() - started)
        value.grad = None
        layer.zero_grad()
    return shortest


def plans(
    layers: Mapping[str, nn.Module], seconds: Mapping[str, Seconds]
) -> list[Plan]:
    """Plans worth a whole step: single precisions, depthwise, and layer by layer.

    Layer by layer knows nothing of the conversions between neighbours, so that it need
    not be the best.

    Args:
        layers: Convolutions and linear layers, by name.
        seconds: In fp32 and in 16 bits, of those that were timed.
    """
    faster = tuple(name for name, (full, half) in seconds.items() if full < half)
    depthwise = tuple(name for name in seconds if is_depthwise(layers[name]))
    found = [FULL, REDUCED]
    for names in (depthwise, faster):
        mixed = names and set(names) != set(layers)
        if mixed and all(set(plan.layers) != set(names) for plan in found):
            found.append(Plan(names))
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
    single = min((p for p in medians if not p.is_mixed), key=medians.__getitem__)
    best = min(medians, key=medians.__getitem__)
    wins = sum(a < b for a, b in zip(rounds[best], rounds[single], strict=True))
    if 4 * wins < 3 * len(rounds[best]) or medians[best] > 0.99 * medians[single]:
        best = single
    return replace(best, seconds=medians[best])


def measure_plan(trial: Trial) -> tuple[Plan, list[Plan]]:
    """Find the plan with which a step is fastest, on all ranks the same.

    The ranks measure at the same time, as they train, and average their times.

    Returns:
        The plan, and all that were timed, with the seconds of their steps.
    """
    layers = watched_layers(trial.model)
    given = layer_inputs(trial.model, lambda: trial.step(trial.batch()))
    known: dict[tuple, Seconds] = {}
    seconds = {}
    for name, value in given.items():
        key = _likeness(layers[name], value)
        if key not in known:
            known[key] = layer_seconds(
                layers[name], value, trial.precision, trial.clock
            )
        seconds[name] = known[key]
    tried = plans(layers, _over_ranks(seconds))
    rounds: list[list[float]] = [[] for _ in tried]
    for turn in range(1 + STEP_ROUNDS):
        for plan, values in zip(tried, rounds, strict=True):
            found = trial.seconds(plan)
            if turn:
                values.append(found)
    gathered = all_gather_object(rounds)
    timed = [
        (plan, [fmean(values) for values in zip(*of_ranks, strict=True)])
        for plan, of_ranks in zip(tried, zip(*gathered, strict=True), strict=True)
    ]
    return fastest(timed), [replace(p, seconds=median(v)) for p, v in timed]


def _likeness(layer: nn.Module, given: LayerInput) -> tuple:
    """Key of layers that take the same time."""
    weight: Any = layer.weight
    return repr(layer), weight.stride(), weight.requires_grad, given


def _over_ranks(seconds: Mapping[str, Seconds]) -> dict[str, Seconds]:
    """Means over the ranks that have timed a layer; their batches may differ."""
    gathered = all_gather_object(dict(seconds))
    names = dict.fromkeys(name for one in gathered for name in one)
    found = {}
    for name in names:
        full, half = zip(*(one[name] for one in gathered if name in one), strict=True)
        found[name] = fmean(full), fmean(half)
    return found
