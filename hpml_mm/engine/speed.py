# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Memory format, compiler, fused activations and implementation of the optimizer.

All of them make a model train faster without changing what it computes.
"""

import copy
from collections.abc import Callable, Mapping, Set
from types import MethodType
from typing import Any, cast

import torch
from mmcv.cnn.bricks import Swish
from torch import nn
from torch.optim import Optimizer

PARTS = ('backbone', 'neck', 'head')
ARGUMENTS = ('backend', 'dynamic', 'fullgraph', 'mode', 'options')
CHOICES = ('auto', 'fused', 'foreach')


def use_channels_last_(model: nn.Module) -> int:
    """Store the weights of 2-D convolutions channels-last, in place.

    A convolution whose weight is channels-last computes channels-last, whatever its
    input is, and layers between two of them keep the layout. Parameters stay the
    same objects, so optimizers and distributed wrappers still hold them.

    Returns:
        Number of layers that convolve with such a weight; other parameters with four
        dimensions are converted too, and may serve as one.
    """
    for weight in [weight for weight in model.parameters() if weight.dim() == 4]:
        # `contiguous` would leave a weight with one input channel as it is: it counts
        # as contiguous in both layouts, but its strides decide how to compute.
        converted = torch.empty_like(weight, memory_format=torch.channels_last)
        weight.data = converted.copy_(weight.data)
    layers = (nn.Conv2d, nn.ConvTranspose2d)
    return sum(isinstance(module, layers) for module in model.modules())


def use_fused_swish_(model: nn.Module) -> int:
    """Compute MMCV's Swish by PyTorch's kernel for it, in place.

    MMCV's is ``x * torch.sigmoid(x)``: two operations forward, four backward, and two
    maps kept in between. ``nn.SiLU`` is the same function in one operation each way,
    which keeps its input alone.

    Returns:
        Number of layers.
    """
    layers = [module for module in model.modules() if type(module) is Swish]
    for layer in layers:
        # The class is changed and not the layer, which others may hold.
        layer.__class__ = nn.SiLU
        vars(layer)['inplace'] = False
    return len(layers)


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Refuse what ``torch.compile`` does not take.

    Raises:
        ValueError: If a name is not one of ``ARGUMENTS``.
    """
    if unknown := arguments.keys() - set(ARGUMENTS):
        raise ValueError(
            f'torch.compile: unknown argument {sorted(unknown)[0]!r}; known are '
            f'{", ".join(ARGUMENTS)}'
        )


class CompiledForward:
    """Stands in for ``forward`` of one module: compiled in training, else eager.

    Heads call ``self.forward`` as well as ``self`` within ``loss``, and only this
    attribute is on the way of both. It holds no parameters, so the keys of the state
    stay. Validation stays eager: it would compile another graph, and one more for
    each size of its batches. A copy of the module, as averaging makes it, has its own
    eager ``forward``.

    Args:
        module: The module whose ``forward`` it is.
        arguments: Arguments of ``torch.compile``.
    """

    def __init__(self, module: nn.Module, arguments: Mapping[str, Any]) -> None:
        self._module = module
        # By this name PyTorch marks what is compiled.
        self._torchdynamo_orig_callable = module.forward
        self._eager = cast(MethodType, module.forward)
        self._compiled = torch.compile(module.forward, **arguments)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: D102
        training = self._module.training and torch.is_grad_enabled()
        return (self._compiled if training else self._eager)(*args, **kwargs)

    def __deepcopy__(self, memo: dict) -> Callable:
        # The copy of the module is under way already, and `memo` knows it.
        owner = copy.deepcopy(self._module, memo)
        return self._eager.__func__.__get__(owner)


def compile_parts_(
    model: nn.Module, arguments: Mapping[str, Any] | None = None
) -> list[str]:
    """Compile backbone, neck and head of a model for training, in place.

    Not the training step as a whole: its data samples and loss dicts would break the
    graph anyway. Shapes are static unless ``arguments`` say otherwise: batches of an
    epoch have at most two sizes, and each is then compiled for what it is.

    Args:
        model: The model itself, not a distributed wrapper of it.
        arguments: Arguments of ``torch.compile``, out of ``ARGUMENTS``.

    Returns:
        Names of the parts.

    Raises:
        ValueError: If the model has none of them, or an argument is unknown.
    """
    arguments = {'dynamic': False, **(arguments or {})}
    check_arguments(arguments)
    modules = [(name, getattr(model, name, None)) for name in PARTS]
    parts = {name: part for name, part in modules if isinstance(part, nn.Module)}
    if not parts:
        raise ValueError(
            f'{type(model).__name__} has none of the parts that can be compiled '
            f'({", ".join(PARTS)}): remove compile from SpeedHook'
        )
    for part in parts.values():
        if not isinstance(part.forward, CompiledForward):
            part.forward = CompiledForward(part, arguments)
    return list(parts)


def compiled_graphs() -> tuple[int, int]:
    """Graphs that ``torch.compile`` made in this process, and breaks between them."""
    counters = torch._dynamo.utils.counters
    breaks = sum(counters['graph_break'].values())
    return counters['stats']['unique_graphs'], breaks


def check_compiler(device: str | torch.device, backend: str = 'inductor') -> None:
    """Compile something small, so that a missing tool is noticed before training.

    Raises:
        ValueError: If it does not work, with the reason and what to do about it.
    """
    with torch.enable_grad():
        value = torch.ones(8, device=device, requires_grad=True)
        try:
            torch.compile(_small, backend=backend, dynamic=False)(value).backward()
        except Exception as error:  # whatever it is, training would end with it
            cause = getattr(error, 'inner_exception', error)
            lines = str(cause).strip().splitlines() or [type(cause).__name__]
            raise ValueError(
                f'torch.compile does not work for the device "{device}": {lines[0]}. '
                'It needs a C++ compiler (apt install g++, or CXX set to one) and the '
                "headers of Python (apt install python3-dev), on a GPU Triton's, too; "
                'or remove compile from SpeedHook'
            ) from error


def _small(value: torch.Tensor) -> torch.Tensor:
    return (value * 2).relu().sum()


def sparse_parameters(model: nn.Module) -> set[torch.Tensor]:
    """Parameters that get sparse gradients, from layers that say so.

    ``torch.nn.functional.embedding(..., sparse=True)`` says it in its first step only.
    """
    return {
        layer.weight
        for layer in model.modules()
        if isinstance(layer, nn.Embedding | nn.EmbeddingBag) and layer.sparse
    }


def choose_implementation(
    optimizer: Optimizer, wanted: str, sparse: Set[torch.Tensor] = frozenset()
) -> str | None:
    """Choose one of PyTorch's implementations for an optimizer that is built.

    ``'auto'`` is fused where the optimizer has that: measured, an Adam step on one
    CPU core takes a fifth to a third of the time of PyTorch's default there, a loop
    over tensors. Else it is what PyTorch chooses: foreach on a GPU, and the loop on a
    CPU, where foreach is the faster one for small models only.

    Args:
        optimizer: Any; what it can do is read from its defaults.
        wanted: One of ``CHOICES``.
        sparse: Parameters with sparse gradients, for which no kernel is fused.

    Returns:
        ``'fused'``, ``'foreach'``, or None to leave the optimizer as it is.

    Raises:
        ValueError: If the optimizer cannot do what is asked for.
    """
    # One that is not PyTorch's own need not have defaults.
    defaults = getattr(optimizer, 'defaults', {})
    able = [name for name in ('fused', 'foreach') if name in defaults]
    fusible = 'fused' in able and _fusible(optimizer, sparse)
    if wanted == 'auto':
        return 'fused' if fusible else None
    if wanted in able and (wanted != 'fused' or fusible):
        return wanted
    remedy = 'optimizer="auto"' if able else 'optimizer=None'
    raise ValueError(
        f'{type(optimizer).__name__} has no {wanted} implementation for these '
        f'parameters: use {remedy} in SpeedHook'
    )


def _fusible(optimizer: Optimizer, sparse: Set[torch.Tensor]) -> bool:
    """Return whether there are fused kernels for all parameters."""
    parameters = [p for group in optimizer.param_groups for p in group['params']]
    if optimizer.defaults.get('differentiable') or not parameters:
        return False
    if not sparse.isdisjoint(parameters):
        return False
    kinds = {p.device.type for p in parameters}
    floating = all(torch.is_floating_point(p) for p in parameters)
    return floating and kinds <= {'cpu', 'cuda'} and len(kinds) == 1


def use_implementation_(optimizer: Optimizer, name: str) -> None:
    """Switch an optimizer to one of PyTorch's implementations, in place.

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
        vars(optimizer)['_step_supports_amp_scaling'] = True
    elif hasattr(optimizer, '_step_supports_amp_scaling'):
        del optimizer._step_supports_amp_scaling
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, torch.Tensor):
                state[key] = _in_place_for(key, value, parameter, fused)


def _in_place_for(
    key: str, value: torch.Tensor, parameter: torch.Tensor, fused: bool
) -> torch.Tensor:
    """Move a state tensor to the device and layout that a step expects."""
    if key == 'step':  # fused kernels count on the device, the others on the CPU
        return value.to(parameter.device if fused else 'cpu', torch.float32)
    if value.shape != parameter.shape or value.stride() == parameter.stride():
        return value
    # Fused kernels on a CPU go through memory and do not look at strides.
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
