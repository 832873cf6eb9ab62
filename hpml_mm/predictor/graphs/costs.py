# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What a node costs: multiply-accumulate operations, and AIO-P's fast count."""

import math
from collections.abc import Sequence

import numpy as np

from .graph import Graph
from .vocabulary import VOCABULARY

_ACTIVATIONS = frozenset({'relu', 'relu6', 'sigmoid', 'tanh', 'swish'})
_REDUCTIONS = frozenset({'maxpool', 'avgpool', 'mean', 'global'})
_PER_OUTPUT = _ACTIVATIONS | _REDUCTIONS | {'add', 'mul'}


def conv_macs(
    source: Sequence[int],
    output: Sequence[int],
    weight: Sequence[int],
    transposed: bool = False,
) -> int:
    """Multiply-accumulate operations of a convolution, without its bias.

    An ordinary one adds, for each output, the products of one kernel over the
    channels of a group; a transposed one spreads each input over one kernel.

    Args:
        source: Shape (N, Cin, H, W) of the input.
        output: Shape (N, Cout, H, W) of the output.
        weight: Shape (Cout, Cin / groups, k1, k2), or of a transposed convolution
            (Cin, Cout / groups, k1, k2).
    """
    return math.prod(source if transposed else output) * math.prod(weight[1:])


def matmul_macs(output: Sequence[int], inner: int) -> int:
    """Multiply-accumulate operations of a matrix product, without a bias.

    Args:
        output: Shape of the product.
        inner: Length of the dimension that is summed over.
    """
    return math.prod(output) * inner


def fast_flops(graph: Graph) -> int:
    """AIO-P's own count over a graph's nodes, which differs from its MACs.

    A convolution costs k1 * k2 * Cin * Cout * Hout * Wout, a depthwise one
    k1 * k2 * Cin * Hout * Wout, both with Cout * Hout * Wout more for a bias; a
    matrix product Hin * Win * Cin * Cout + Cout; batch normalisation
    2 * Hin * Win * Cin; activations, pooling, sums and products Hout * Wout * Cout;
    everything else nothing. Each is multiplied by its number of inputs, at least 1.
    """
    inputs = np.bincount(graph.edges[:, 1], minlength=graph.num_nodes)
    return sum(
        _fast_node(graph, node) * max(int(inputs[node]), 1)
        for node in range(graph.num_nodes)
    )


def _fast_node(graph: Graph, node: int) -> int:
    op = VOCABULARY[graph.ops[node]]
    hin, hout, win, wout, cin, cout = graph.resolutions[node].tolist()
    positions = hout * wout
    if op in ('conv', 'depthwise') and node < graph.weighted:
        kernel = math.prod(graph.shapes[node, 2:].tolist())
        filters = cin if op == 'depthwise' else cin * cout
        bias = cout * positions * int(graph.biased[node])
        return kernel * filters * positions + bias
    if op == 'matmul':
        return hin * win * cin * cout + cout
    if op == 'batchnorm':
        return 2 * hin * win * cin
    return positions * cout if op in _PER_OUTPUT else 0
