# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Which of PyTorch's implementations an optimizer that is built already uses."""

import torch
from torch.optim import Optimizer

CHOICES = ('auto', 'fused', 'foreach')


def choose_implementation(optimizer: Optimizer, wanted: str) -> str | None:
    """Which implementation an optimizer is to use.

    ``'auto'`` is fused where the optimizer has that: measured, an Adam step on one
    CPU core takes a fifth to a third of the time of PyTorch's default there, a loop
    over tensors. Else it is what PyTorch chooses: foreach on a GPU, and the loop on a
    CPU, where foreach is the faster one for small models only.

    Args:
        optimizer: Any; what it can do is read from its defaults.
        wanted: One of ``CHOICES``.

    Returns:
        ``'fused'``, ``'foreach'``, or None to leave the optimizer as it is.

    Raises:
        ValueError: If the optimizer cannot do what is asked for.
    """
    able = [name for name in ('fused', 'foreach') if name in optimizer.defaults]
    if wanted == 'auto':
        return 'fused' if 'fused' in able and _fusible(optimizer) else None
    if wanted in able and (wanted != 'fused' or _fusible(optimizer)):
        return wanted
    remedy = 'optimizer="auto"' if able else 'optimizer=None'
    raise ValueError(
        f'{type(optimizer).__name__} has no {wanted} implementation for these '
        f'parameters: use {remedy} in SpeedHook'
    )


def _fusible(optimizer: Optimizer) -> bool:
    """Whether there are fused kernels for all parameters."""
    parameters = [p for group in optimizer.param_groups for p in group['params']]
    if optimizer.defaults.get('differentiable') or not parameters:
        return False
    kinds = {p.device.type for p in parameters}
    floating = all(torch.is_floating_point(p) for p in parameters)
    return floating and kinds <= {'cpu', 'cuda'} and len(kinds) == 1


def use_implementation_(optimizer: Optimizer, name: str) -> None:
    """Have an optimizer use one of PyTorch's implementations, in place.

    What it computes stays the same. Loading a state brings back the implementation
    that it was saved with, so this has to be done after a run is resumed, too.

    Args:
        optimizer: With a state or without.
        name: ``'fused'`` or ``'foreach'``; the optimizer must have it.
    """
    fused = name == 'fused'
    for group in (optimizer.defaults, *optimizer.param_groups):
        group['foreach'] = not fused
        if 'fused' in group:
            group['fused'] = fused
    # As the constructor does it: a loss scaler may leave unscaling to the kernel.
    if fused:
        optimizer._step_supports_amp_scaling = True
    elif hasattr(optimizer, '_step_supports_amp_scaling'):
        del optimizer._step_supports_amp_scaling
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, torch.Tensor):
                state[key] = _in_place_for(key, value, parameter, fused)


def _in_place_for(
    key: str, value: torch.Tensor, parameter: torch.Tensor, fused: bool
) -> torch.Tensor:
    """A tensor of the state, where and in the layout in which a step expects it."""
    if key == 'step':  # fused kernels count on the device, the others on the CPU
        return value.to(parameter.device if fused else 'cpu', torch.float32)
    if value.shape != parameter.shape or value.stride() == parameter.stride():
        return value
    # Fused kernels on a CPU go through memory and do not look at strides.
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
