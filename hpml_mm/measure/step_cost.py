# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Cost of one training step: operations, their precision, parameters."""

from collections import defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

# Below this share of all operations no precision speaks for the whole step.
_DOMINANT = 0.9


class StepFlops:
    """Counts the floating point operations of what runs between start and stop.

    Convolutions, matrix products and attention are counted, forward and backward;
    a multiply-add counts two. Everything else is left out, as in PyTorch's
    ``FlopCounterMode``. Compiled code hides its operations: do not count there,
    see :func:`has_compiled_parts`.
    """

    def __init__(self) -> None:
        self.flops: int | None = None
        self.precision: str | None = None
        self._stack = ExitStack()

    def start(self) -> None:
        """Begin to count, at a Python call per operation until ``stop``."""
        self._counter = FlopCounterMode(display=False)
        self._precisions = _PrecisionMode(self._counter.flop_registry)
        # The counter goes innermost: what it takes apart reaches the other as parts.
        self._stack.enter_context(self._precisions)
        self._stack.enter_context(self._counter)

    def stop(self) -> None:
        """End, and set ``flops`` and ``precision``; None if nothing was counted."""
        self._stack.close()
        self.flops = self._counter.get_total_flops() or None
        self.precision = dominant_precision(self._precisions.flops)


class _PrecisionMode(TorchDispatchMode):
    """Sums operations by the precision in which they really run."""

    def __init__(self, formulas: Mapping) -> None:
        super().__init__()
        self._formulas = formulas
        self.flops: dict[str, int] = defaultdict(int)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        packet = getattr(func, '_overloadpacket', None)
        if packet in self._formulas:
            tensor = next(arg for arg in args if isinstance(arg, torch.Tensor))
            name = precision_name(tensor, 'convolution' in str(packet))
            count = self._formulas[packet](*args, **kwargs, out_val=out)
            self.flops[name] += count
        return out


def precision_name(tensor: torch.Tensor, convolution: bool) -> str:
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
