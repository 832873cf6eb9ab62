# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""One operator of PyTorch, with its arguments and result, as a node of a graph."""

from collections.abc import Sequence

from torch import Tensor

from hpml_mm.predictor.graphs.costs import conv_macs, matmul_macs
from hpml_mm.predictor.graphs.graph import Node
from hpml_mm.predictor.graphs.layout import axis_after, resolution
from hpml_mm.predictor.graphs.trace_ops import LABELS, PICTURES

PRODUCTS = frozenset({'mm', 'addmm', 'bmm', 'baddbmm'})


def convolution(name: str, args: Sequence, out: Tensor) -> Node:
    """A convolution, also a transposed or depthwise one.

    Raises:
        ValueError: It has three dimensions, for which a node has no place.
    """
    source, weight, bias, stride = args[:4]
    transposed, groups = args[6], args[8]
    if weight.dim() > 4:
        raise ValueError('a graph holds convolutions in one or two dimensions only')
    first, second, *kernel = weight.shape
    # Weights are (out, in / groups, ...), transposed ones (in, out / groups, ...).
    channels = (first // groups, second * groups) if transposed else (second, first)
    depthwise = groups > 1 and groups == source.shape[1]
    if depthwise:
        channels = groups, channels[1] // groups
    # A one-dimensional kernel lies along the height.
    height, width = (*kernel, 1)[:2]
    return Node(
        'depthwise' if depthwise else 'conv',
        name,
        resolution(source.shape, 1, out.shape, 1),
        _pair(stride),
        (*channels, height, width),
        bias is not None,
        conv_macs(source.shape, out.shape, weight.shape, transposed),
    )


def product(name: str, args: Sequence, out: Tensor) -> Node:
    """A product of two matrices, or of batches of them, perhaps with a sum."""
    left = args[-2]
    inner, last = left.shape[-1], out.dim() - 1
    return Node(
        'matmul',
        name,
        resolution(left.shape, last, out.shape, last),
        shape=(inner, out.shape[-1], 0, 0),
        biased=len(args) == 3,
        macs=matmul_macs(out.shape, inner),
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
    sizes = resolution(source.shape, axis, out.shape, after)
    if label == 'concat':
        # All inputs together have as many channels as the result.
        sizes = (*sizes[:4], sizes[5], sizes[5])
    strides = (1, 1)
    if label in ('maxpool', 'avgpool') and op.endswith(('pool2d', 'indices')):
        strides = _pair(_pool_stride(op, args))
    return Node(label, name, sizes, strides), after


def is_zero(op: str, args: Sequence) -> bool:
    """Whether this is a product with the number 0, as in NAS-Bench-201's 'none'."""
    return op == 'mul' and any(
        isinstance(factor, int | float) and factor == 0 for factor in args[1:]
    )


def _pool_stride(op: str, args: Sequence) -> Sequence[int]:
    if op.startswith('adaptive'):
        return (1, 1)
    # Without a stride of its own, a pool moves by its kernel.
    return args[2] if len(args) > 2 and args[2] else args[1]


def _pair(values: Sequence[int]) -> tuple[int, int]:
    return (values[0], values[-1])
