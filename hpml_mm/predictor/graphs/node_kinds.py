# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Graph nodes of operators, made from the shapes of their tensors."""

import math
from collections.abc import Sequence

from .graph import Node
from .layout import resolution


def convolution(
    name: str,
    source: Sequence[int],
    weight: Sequence[int],
    output: Sequence[int],
    *,
    strides: Sequence[int],
    groups: int = 1,
    transposed: bool = False,
    biased: bool = False,
) -> Node:
    """Make the node of a convolution, also a transposed or depthwise one.

    A kernel in one dimension lies along the height. ``source`` is (N, Cin, ...),
    ``output`` (N, Cout, ...), ``weight`` (Cout, Cin / groups, ...), or of a transposed
    convolution (Cin, Cout / groups, ...). An ordinary one adds, for each output, the
    products of one kernel over the channels of a group; a transposed one spreads each
    input over one kernel.

    Raises:
        ValueError: It has three dimensions, for which a node has no place, or the
            weight is for other channels than those of the input.
    """
    if len(weight) > 4:
        raise ValueError('a graph holds convolutions in one or two dimensions only')
    first, second, *kernel = weight
    taken = first if transposed else second * groups
    if taken != source[1]:
        raise ValueError(f'{source[1]} channels come in, its weight takes {taken}')
    channels = (first // groups, second * groups) if transposed else (second, first)
    depthwise = groups > 1 and groups == source[1]
    if depthwise:
        channels = groups, channels[1] // groups
    height, width = (*kernel, 1)[:2]
    return Node(
        'depthwise' if depthwise else 'conv',
        name,
        resolution(source, 1, output, 1),
        (strides[0], strides[-1]),
        (*channels, height, width),
        biased,
        math.prod(source if transposed else output) * math.prod(weight[1:]),
    )


def product(
    name: str,
    left: Sequence[int],
    output: Sequence[int],
    *,
    inner: int,
    biased: bool = False,
) -> Node:
    """Make the node of a product of two matrices, or of batches of them.

    ``left`` is the shape of the first factor, ``inner`` the length of the dimension
    that is summed over.
    """
    last = len(output) - 1
    return Node(
        'matmul',
        name,
        resolution(left, len(left) - 1, output, last),
        shape=(inner, output[-1], 0, 0),
        biased=biased,
        macs=math.prod(output) * inner,
    )


def regular(
    name: str,
    label: str,
    source: Sequence[int],
    before: int,
    output: Sequence[int],
    after: int,
    strides: Sequence[int] = (1, 1),
) -> Node:
    """Make any other node.

    ``source`` is the shape of the first computed input, its channels in dimension
    ``before``; ``output`` that of the result, its channels in dimension ``after``.
    """
    sizes = resolution(source, before, output, after)
    if label == 'concat':
        # All inputs together have as many channels as the result.
        sizes = (*sizes[:4], sizes[5], sizes[5])
    return Node(label, name, sizes, (strides[0], strides[-1]))
