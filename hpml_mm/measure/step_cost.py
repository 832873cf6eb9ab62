# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Cost of one training step: operations, their precision, parameters."""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from .flop_formulas import (
    first_tensor,
    has_formula,
    multiply_accumulates,
    operator_name,
)

# Below this share of all operations no precision speaks for the whole step.
_DOMINANT = 0.9
# What a class of tensors has that leaves all operators to PyTorch.
_PLAIN = Tensor.__torch_dispatch__


class StepFlops:
    """Counts the floating point operations of what runs between start and stop.

    Convolutions, matrix products, attention and recurrent layers are counted, forward
    and backward, those of the optimizer too; a multiply-add counts two. What runs twice
    is counted twice, as with activation checkpointing. Everything else is left out:
    operators that multiply no matrices, and whatever PyTorch's dispatcher does not
    see, such as kernels that an extension launches itself, captured CUDA graphs, and
    threads that a step starts.

    What runs gives the same results as without the count. Start and stop may come
    several times, and add up.

    Attributes:
        problem: Reason why the operations are not known, None if they are.
    """

    def __init__(self) -> None:
        self.problem: str | None = None
        self._mode = _CountingMode()
        self._starts = 0
        self._graphs = 0

    @property
    def flops(self) -> int | None:
        """Operations so far, None if they are not known or none was counted."""
        return None if self.problem else sum(self._mode.flops.values()) or None

    @property
    def precision(self) -> str | None:
        """Precision of nine tenths of them, see :func:`dominant_precision`."""
        return None if self.problem else dominant_precision(self._mode.flops)

    def start(self) -> None:
        """Begin to count, at a Python call per operation until ``stop``."""
        self._starts += 1
        if self._starts == 1:
            self._graphs = _compiled_graphs()
            self._mode.__enter__()

    def stop(self) -> None:
        """End what the same number of ``start`` began."""
        self._starts -= 1
        if self._starts:
            return
        self._mode.__exit__(None, None, None)
        if _compiled_graphs() != self._graphs:
            self.problem = 'torch.compile hides the operations of a function'
        self.problem = self.problem or self._mode.problem


class _CountingMode(TorchDispatchMode):
    """Sums operations by the precision in which they really run.

    It only looks on: operators get the arguments that they would get without it, and
    what they raise goes through.
    """

    # Without it, PyTorch raises at control flow and other functions of functions.
    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()
        self.flops: dict[str, int] = defaultdict(int)
        self.problem: str | None = None

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """Let functions be compiled: PyTorch would give it up for good otherwise."""
        return True

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if any(cls.__torch_dispatch__ is not _PLAIN for cls in types):
            # A tensor made of tensors: what it does with them comes back here.
            return NotImplemented
        if not isinstance(func, torch._ops.OpOverload):
            self.problem = self.problem or f'{func} hides the operations of a function'
            return func(*args, **kwargs)
        if not has_formula(func) and not any(map(_is_nested, args)):
            # In inference mode, products come as what PyTorch would take apart next.
            with self:
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs)
        self._count(func, args, kwargs, out)
        return out

    def _count(self, func: Any, args: Sequence[Any], kwargs: dict, out: Any) -> None:
        try:
            macs = multiply_accumulates(func, args, kwargs, out)
            if macs is None:
                return
            if 'out' in func._overloadname:
                raise ValueError('compiled code hides operations')
            name = operator_name(func)
            by_cudnn = name.startswith('aten.') and ('conv' in name or 'rnn' in name)
            self.flops[precision_name(first_tensor(args), by_cudnn)] += 2 * macs
        except Exception as error:  # whatever it is, it must not stop the step
            self.problem = self.problem or str(error) or type(error).__name__


def precision_name(tensor: Tensor, convolution: bool) -> str:
    """Precision of a product with this operand, e.g. 'bfloat16' or 'tf32'.

    A GPU from Ampere on may run float32 products in TF32, for which PyTorch has one
    switch for convolutions and one for matrix products.
    """
    name = str(tensor.dtype).removeprefix('torch.')
    if name != 'float32' or tensor.device.type != 'cuda':
        return name
    if torch.cuda.get_device_capability(tensor.device) < (8, 0):
        return name
    backends = torch.backends
    switch = backends.cudnn if convolution else backends.cuda.matmul
    try:
        return 'tf32' if switch.allow_tf32 else 'float32'
    except RuntimeError:
        # PyTorch refuses to answer once its newer switches were used as well.
        return 'unknown'


def dominant_precision(flops: Mapping[str, int]) -> str | None:
    """The precision of at least nine tenths of the operations.

    Args:
        flops: Operations by precision.

    Returns:
        Its name, 'mixed' where there is none, None where nothing was counted.
    """
    total = sum(flops.values())
    if not total:
        return None
    name, most = max(flops.items(), key=lambda item: item[1])
    return name if most >= _DOMINANT * total else 'mixed'


def _is_nested(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_nested


def _compiled_graphs() -> int:
    """Number of functions that ``torch.compile`` has compiled in this process."""
    dynamo = sys.modules.get('torch._dynamo.utils')
    return 0 if dynamo is None else dynamo.counters['frames']['ok']


def has_compiled_parts(model: nn.Module) -> bool:
    """Return whether ``torch.compile`` was applied to the model, a part or a method."""
    for module in model.modules():
        if getattr(module, '_compiled_call_impl', None) is not None:
            return True
        if '_orig_mod' in module._modules:
            return True
        if any(hasattr(v, '_torchdynamo_orig_callable') for v in vars(module).values()):
            return True
    return False


def count_parameters(model: nn.Module) -> int | None:
    """Number of parameters, frozen ones too; None where a process holds a shard."""
    names = {cls.__name__ for m in model.modules() for cls in type(m).__mro__}
    if 'FullyShardedDataParallel' in names:
        return None
    return sum(parameter.numel() for parameter in model.parameters())
