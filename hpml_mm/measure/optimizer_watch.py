# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Implementation by which an optimizer really takes its step."""

from collections.abc import Collection
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class _Operators(TorchDispatchMode):
    """Collects the names of the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        self.names.add(str(getattr(func, '__name__', func)))
        return func(*args, **(kwargs or {}))


class OptimizerWatch:
    """Watches the operators of an optimizer's steps between start and stop.

    PyTorch leaves what was asked for where it has no kernel, as for sparse gradients.
    """

    def __init__(self) -> None:
        self._operators = _Operators()

    def start(self) -> None:
        """Begin to watch, at a Python call per operator."""
        self._operators.__enter__()

    def stop(self) -> None:
        """Stop; the operators so far are kept."""
        self._operators.__exit__(None, None, None)

    @property
    def implementation(self) -> str | None:
        """``'fused'``, ``'foreach'`` or ``'for-loop'``; None before a step."""
        return name_implementation(self._operators.names)


def name_implementation(operators: Collection[str]) -> str | None:
    """Name the implementation that calls these operators of ATen."""
    for name in ('fused', 'foreach'):
        if any(operator.startswith(f'_{name}_') for operator in operators):
            return name
    return 'for-loop' if operators else None
