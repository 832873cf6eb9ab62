# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""State of each process that MMEngine's checkpoints lack."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from mmengine.hooks import EMAHook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from hpml_mm.utils.model import bare_model, single_wrappers
from hpml_mm.utils.random_states import random_states, set_random_states


def process_state(runner: Runner) -> dict[str, Any]:
    """Copy what is this process's own: random states, buffers, pending gradients.

    Buffers such as BatchNorm's statistics differ among processes until they are
    averaged, and gradients while they are accumulated.
    """
    return {
        'random': random_states(),
        'buffers': {name: _copy(value) for name, value in _buffers(runner)}
        if runner.world_size > 1
        else {},
        'gradients': {
            name: _copy(parameter.grad)
            for name, parameter in bare_model(runner.model).named_parameters()
            if parameter.grad is not None
        }
        if gradients_pending(runner)
        else {},
    }


def without_repetition(states: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out the buffers that are those of the first process, which saves them."""
    first = states[0]['buffers']
    return [
        state
        | {
            'buffers': {
                name: value
                for name, value in state['buffers'].items()
                if not torch.equal(value, first[name])
            }
        }
        for state in states
    ]


def set_process_state(runner: Runner, state: Mapping[str, Any]) -> None:
    """Go on from a state that :func:`process_state` copied."""
    set_random_states(state['random'])
    buffers = dict(_buffers(runner))
    for name, value in state['buffers'].items():
        if name in buffers:
            buffers[name].copy_(value)
    parameters = dict(bare_model(runner.model).named_parameters())
    for name, gradient in state['gradients'].items():
        if name in parameters:
            parameters[name].grad = gradient.to(parameters[name])


def gradients_pending(runner: Runner) -> bool:
    """Return whether accumulated gradients wait for an optimizer's next step."""
    return not all(one.should_update() for one in accumulating_wrappers(runner))


def accumulating_wrappers(runner: Runner) -> list[OptimWrapper]:
    """Find the optimizer wrappers that may accumulate: those of MMEngine's kind."""
    found = single_wrappers(runner.optim_wrapper).values()
    return [one for one in found if isinstance(one, OptimWrapper)]


def _buffers(runner: Runner) -> Iterator[tuple[str, Tensor]]:
    modules: dict[str, nn.Module] = {'model': bare_model(runner.model)}
    averages = [hook for hook in runner.hooks if isinstance(hook, EMAHook)]
    modules |= {f'ema{n}': hook.ema_model for n, hook in enumerate(averages)}
    for prefix, module in modules.items():
        yield from module.named_buffers(prefix)


def _copy(value: Tensor) -> Tensor:
    return value.detach().cpu().clone()
