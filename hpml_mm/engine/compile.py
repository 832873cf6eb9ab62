# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""``torch.compile`` for the training steps of MMEngine's models."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

PARTS = ('backbone', 'neck', 'head')
ARGUMENTS = ('backend', 'dynamic', 'fullgraph', 'mode', 'options')


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
        self._torchdynamo_orig_callable = self._eager = module.forward
        self._compiled = torch.compile(module.forward, **arguments)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
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
    modules = {name: getattr(model, name, None) for name in PARTS}
    parts = [name for name, part in modules.items() if isinstance(part, nn.Module)]
    if not parts:
        raise ValueError(
            f'{type(model).__name__} has none of the parts that can be compiled '
            f'({", ".join(PARTS)}): remove compile from SpeedHook'
        )
    for name in parts:
        if not isinstance(modules[name].forward, CompiledForward):
            modules[name].forward = CompiledForward(modules[name], arguments)
    return parts


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
