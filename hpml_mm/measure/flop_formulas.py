# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Multiply-accumulates of PyTorch's operators, from the shapes that went in.

Formulas of our own, because ``torch.utils.flop_counter`` ignores the groups of a
convolution's weight gradient, and knows neither attention on a CPU nor recurrent
layers, deformable convolutions, products with vectors and in-place ones.
"""

import re
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

Formula = Callable[[Sequence[Any], Any], int]

# Words in the names of operators that multiply matrices, whoever brings them.
_PRODUCTS = re.compile(
    r'(^|_)((add|b|badd|addb|sp)?mm|(add)?mv|q?conv(olution)?(\dd)?|attention|attn|rnn'
    r'|lstm|gru|linear|matmul|trilinear|transformer)(_|$)'
)
# These compute what is between the products, or arrange weights.
_BETWEEN = re.compile(r'_thnn_|flatten_weight')


def multiply_accumulates(
    func: Any, args: Sequence[Any], kwargs: dict[str, Any], out: Any
) -> int | None:
    """Count the multiply-accumulates of an operator that has run.

    One of complex numbers is four. Causal masks take nothing off, nor do zeros of a
    padding or a dilation.

    Args:
        func: Operator, as a dispatch mode gets it.
        args: Its positional arguments.
        kwargs: Its other arguments.
        out: Its result.

    Returns:
        The number, or None for an operator that multiplies no matrices.

    Raises:
        ValueError: It multiplies matrices, and their cost is not known.
    """
    name = operator_name(func)
    formula = _FORMULAS.get(name)
    registered = flop_registry.get(func._overloadpacket)
    if formula is None and registered is None and not _multiplies(name):
        return None
    for tensor in args:
        if isinstance(tensor, Tensor) and tensor.layout != torch.strided:
            raise ValueError(f'{name} works on {tensor.layout} tensors')
    if formula is not None:
        factor = 4 if first_tensor(args).is_complex() else 1
        return factor * formula(args, out)
    if registered is not None:
        return registered(*args, **kwargs, out_val=out) // 2
    raise ValueError(
        f'{name} has no formula, which register_flop_formula of PyTorch could add'
    )


def has_formula(func: Any) -> bool:
    """Return whether the operator is counted as it stands, not by its parts."""
    known = operator_name(func) in _FORMULAS
    return known or func._overloadpacket in flop_registry


def operator_name(func: Any) -> str:
    """Name with its library, e.g. 'aten.addmm', also of its in-place form."""
    return str(func._overloadpacket).removesuffix('_')


def first_tensor(args: Sequence[Any]) -> Tensor:
    """The first tensor of an operator's arguments, which tells in what it runs."""
    return next(arg for arg in args if isinstance(arg, Tensor))


def _multiplies(name: str) -> bool:
    operator = name.partition('.')[2]
    return bool(_PRODUCTS.search(operator)) and not _BETWEEN.search(operator)


def _product(position: int) -> Formula:
    """Matrix product: the length of the left factor's rows for each result."""
    return lambda args, out: out.numel() * args[position].shape[-1]


def _batch_sum(args: Sequence[Any], out: Tensor) -> int:
    left = args[1]
    return out.numel() * left.shape[0] * left.shape[-1]


def _convolve(source: Tensor, weight: Tensor, out: Tensor, transposed: bool) -> int:
    """Cost of a convolution and, as much again, of each of its two gradients.

    The weight, of shape (out, in / groups, *kernel), or (in, out / groups, *kernel) if
    transposed, is used once for each position of the output, or of the input.
    """
    positions = source if transposed else out
    return positions.shape[0] * prod(positions.shape[2:]) * weight.numel()


def _convolution(args: Sequence[Any], out: Tensor) -> int:
    return _convolve(args[0], args[1], out, transposed=args[6])


def _plain_convolution(args: Sequence[Any], out: Tensor) -> int:
    return _convolve(args[0], args[1], out, transposed=False)


def _convolution_backward(args: Sequence[Any], out: Any) -> int:
    gradient, source, weight = args[:3]
    needed = sum(map(bool, args[10][:2]))  # of input and weight; a bias is no product
    return needed * _convolve(source, weight, gradient, transposed=args[7])


def _deformable_backward(args: Sequence[Any], out: Any) -> int:
    return 2 * _convolve(args[1], args[2], args[0], transposed=False)


def _attention(args: Sequence[Any], out: Any) -> int:
    """Scores and weighted values of (batch, heads, length, channels)."""
    query, key, value = args[:3]
    return (
        query.shape[:-1].numel() * key.shape[-2] * (query.shape[-1] + value.shape[-1])
    )


def _attention_backward(args: Sequence[Any], out: Any) -> int:
    """Scores again, and gradients of weights, values, queries and keys."""
    query, key, value = args[1:4]
    channels = 3 * query.shape[-1] + 2 * value.shape[-1]
    return query.shape[:-1].numel() * key.shape[-2] * channels


def _recurrent(args: Sequence[Any], weights: Sequence[Tensor]) -> int:
    """Every matrix of the layers once for each element of each sequence."""
    elements = args[0].numel() // args[0].shape[-1]
    return elements * sum(weight.numel() for weight in weights if weight.dim() == 2)


_FORMULAS: dict[str, Formula] = {
    'aten.mm': _product(0),
    'aten.bmm': _product(0),
    'aten.mv': _product(0),
    'aten.dot': _product(0),
    'aten.vdot': _product(0),
    'aten._int_mm': _product(0),
    'aten._scaled_mm': _product(0),
    'aten.addmm': _product(1),
    'aten.addmv': _product(1),
    'aten.baddbmm': _product(1),
    'aten._addmm_activation': _product(1),
    'aten.addbmm': _batch_sum,
    'aten.convolution': _convolution,
    'aten._convolution': _convolution,
    'aten.convolution_overrideable': _convolution,
    'aten.convolution_backward': _convolution_backward,
    # PyTorch has formulas for these two that take other arguments than they have.
    'aten.cudnn_convolution': _plain_convolution,
    'aten._slow_conv2d_forward': _plain_convolution,
    'torchvision.deform_conv2d': _plain_convolution,
    'torchvision._deform_conv2d_backward': _deformable_backward,
    'aten._cudnn_rnn': lambda args, out: _recurrent(args, args[1]),
    # The gradient of the input always, that of the weights where it is asked for.
    'aten._cudnn_rnn_backward': lambda args, out: (
        (1 + bool(args[-1][3])) * _recurrent(args, args[1])
    ),
    'aten.mkldnn_rnn_layer': lambda args, out: _recurrent(args, args[1:5]),
    'aten.mkldnn_rnn_layer_backward': lambda args, out: 2 * _recurrent(args, args[1:5]),
}
for _kernel in (
    'efficient_attention',
    'flash_attention',
    'cudnn_attention',
    'flash_attention_for_cpu',
    'fused_attention_overrideable',
):
    _op = f'aten._scaled_dot_product_{_kernel}'
    _FORMULAS |= {_op: _attention, f'{_op}_backward': _attention_backward}
