# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""One operator of PyTorch, with its arguments and result, as a node of a graph."""

from collections.abc import Sequence

from torch import Tensor

from hpml_mm.predictor.graphs import node_kinds
from hpml_mm.predictor.graphs.graph import Node
from hpml_mm.predictor.graphs.layout import axis_after

from .ops import LABELS, PICTURES

PRODUCTS = frozenset({'mm', 'addmm', 'bmm', 'baddbmm'})


def convolution(name: str, args: Sequence, out: Tensor) -> Node:
    """A convolution, also a transposed or depthwise one.

    Raises:
        ValueError: It has three dimensions, for which a node has no place.
    """
    source, weight, bias, stride, _, _, transposed, _, groups = args[:9]
    return node_kinds.convolution(
        name,
        source.shape,
        weight.shape,
        out.shape,
        strides=stride,
        groups=groups,
        transposed=transposed,
        biased=bias is not None,
    )


def product(name: str, args: Sequence, out: Tensor) -> Node:
    """A product of two matrices, or of batches of them, perhaps with a sum."""
    left = args[-2].shape
    return node_kinds.product(
        name, left, out.shape, inner=left[-1], biased=len(args) == 3
    )


def regular(
    name: str, op: str, args: Sequence, source: Tensor, axis: int, out: Tensor
) -> tuple[Node, int]:
    """Any other operator, and the dimension of the channels of its result.

    Args:
        name: Name of the node.
        op: Plain name of the operator.
        source: The first input that was computed, its channels in dimension ``axis``.
    """
    if op in PICTURES:
        axis = after = min(1, out.dim() - 1)
    elif op == 'native_layer_norm':
        axis = after = out.dim() - 1
    else:
        after = axis_after(op, args, source.shape, axis, out.shape)
    label = 'zero' if is_zero(op, args) else LABELS.get(op, 'OOV')
    strides = _pool_strides(op, args)
    return (
        node_kinds.regular(name, label, source.shape, axis, out.shape, after, strides),
        after,
    )


def is_zero(op: str, args: Sequence) -> bool:
    """Whether this is a product with the number 0, as in NAS-Bench-201's 'none'."""
    return op == 'mul' and any(
        isinstance(factor, int | float) and factor == 0 for factor in args[1:]
    )


def _pool_strides(op: str, args: Sequence) -> Sequence[int]:
    if not op.startswith(('max_pool', 'avg_pool')):
        return (1, 1)
    # Without a stride of its own, a pool moves by its kernel.
    return args[2] if len(args) > 2 and args[2] else args[1]
