# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The layers of NAS-Bench-201's networks."""

import functools
from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor, nn

from hpml_mm.predictor.graphs import Graph, Node, assemble
from hpml_mm.predictor.graphs.join import join

from .chain import PLACE, layer_graph, renamed

OPERATIONS = ('none', 'skip_connect', 'nor_conv_1x1', 'nor_conv_3x3', 'avg_pool_3x3')
NODES = 4
# From and to, in the order of the cell's string.
EDGES = tuple((start, end) for end in range(1, NODES) for start in range(end))


class ReLUConvBN(nn.Sequential):
    """ReLU, convolution and BatchNorm, in this order.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Side of the kernel; odd.
        stride: Stride of the convolution.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1
    ) -> None:
        conv = nn.Conv2d(
            in_channels, out_channels, kernel, stride, kernel // 2, bias=False
        )
        super().__init__(
            OrderedDict(relu=nn.ReLU(), conv=conv, bn=nn.BatchNorm2d(out_channels))
        )


class Zero(nn.Module):
    """Zeros of the input's shape."""

    def forward(self, x: Tensor) -> Tensor:
        """Multiply by 0: as in the original, they depend on the input in a graph."""
        return x * 0


class NormAct(nn.Sequential):
    """BatchNorm and ReLU.

    Args:
        channels: Channels of input and output.
    """

    def __init__(self, channels: int) -> None:
        norm = nn.BatchNorm2d(channels)
        super().__init__(OrderedDict(bn=norm, relu=nn.ReLU(inplace=True)))


class Reduction(nn.Module):
    """The residual block between two stages, which halves the sides.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_a = ReLUConvBN(in_channels, out_channels, 3, 2)
        self.conv_b = ReLUConvBN(out_channels, out_channels, 3)
        conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.downsample = nn.Sequential(
            OrderedDict(avg_pool=nn.AvgPool2d(2, 2), conv=conv)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, out, H / 2, W / 2)."""
        return self.downsample(x) + self.conv_b(self.conv_a(x))


def operation(name: str, channels: int) -> tuple[Callable[..., nn.Module], tuple]:
    """Choose the module on an edge: its class and arguments.

    Args:
        name: One of ``OPERATIONS`` except 'none'.
        channels: Channels of input and output.
    """
    if name == 'skip_connect':
        return nn.Identity, ()
    if name == 'avg_pool_3x3':
        # Kernel, stride, padding; no rounding up; padding is not averaged.
        return nn.AvgPool2d, (3, 1, 1, False, False)
    return ReLUConvBN, (channels, channels, int(name[-1]))


class Cell(nn.Module):
    """Four nodes, each the sum of what its edges make of the nodes before it.

    An edge 'none' adds nothing; a node without any other edge is zero.

    Args:
        operations: One of ``OPERATIONS`` for each of ``EDGES``.
        channels: Channels of input and output.
    """

    def __init__(self, operations: tuple[str, ...], channels: int) -> None:
        super().__init__()
        self.zero = Zero()
        self.edges = nn.ModuleDict()
        for (start, end), name in zip(EDGES, operations, strict=True):
            if name != 'none':
                kind, args = operation(name, channels)
                self.edges[f'{start}to{end}'] = kind(*args)

    def forward(self, x: Tensor) -> Tensor:
        """A map of the same shape."""
        nodes = [x]
        for end in range(1, NODES):
            total = None
            for start in range(end):
                if (key := f'{start}to{end}') in self.edges:
                    term = self.edges[key](nodes[start])
                    total = term if total is None else total + term
            nodes.append(self.zero(x) if total is None else total)
        return nodes[-1]

    @staticmethod
    def part_graph(args: tuple, input_shape: tuple[int, int, int]) -> Graph:
        """Make the graph that tracing this module would give, without tracing it.

        There are 15,625 cells in three widths, but only three operations that leave
        nodes.

        Args:
            args: The module's own arguments.
            input_shape: Channels, height and width.
        """
        operations, channels = args
        names = dict(zip(EDGES, operations, strict=True))
        wiring = _Wiring(input_shape)
        nodes = [[0]]
        for end in range(1, NODES):
            total: list[int] = []
            for start in range(end):
                if names[start, end] == 'none':
                    continue
                kind, arguments = operation(names[start, end], channels)
                term = nodes[start]
                if kind is not nn.Identity:
                    graph = layer_graph(kind, arguments, input_shape)
                    path = f'{PLACE}.edges.{start}to{end}'
                    term = wiring.add(renamed(graph, path), term)
                total = wiring.node('add', total + term) if total else term
            nodes.append(total or wiring.node('zero', [0]))
        wiring.add(_single(wiring.sizes), nodes[-1])
        return join(wiring.parts, wiring.reads)


class _Wiring:
    """Parts of a cell, and which of them each part reads; the first is its input."""

    def __init__(self, input_shape: tuple[int, int, int]) -> None:
        channels, height, width = input_shape
        self.sizes = (height, height, width, width, channels, channels)
        self.parts = [_single(self.sizes)]
        self.reads: list[list[int]] = [[]]

    def add(self, part: Graph, reads: list[int]) -> list[int]:
        self.parts.append(part)
        self.reads.append(reads)
        return [len(self.parts) - 1]

    def node(self, op: str, reads: list[int]) -> list[int]:
        # As in a trace: from its second use on a name gets a number.
        count = sum(op in part.labels for part in self.parts)
        name = f'{PLACE}.{op}_{count}' if count else f'{PLACE}.{op}'
        return self.add(_single(self.sizes, Node(op, name, self.sizes)), reads)


@functools.lru_cache(maxsize=64)
def _single(sizes: tuple[int, int, int, int, int, int], *nodes: Node) -> Graph:
    """Make a part of one node, or of none, that keeps the shape."""
    first, last = (Node(op, op, sizes) for op in ('input', 'output'))
    chain = [first, *nodes, last]
    return assemble(chain, [(i, i + 1) for i in range(len(chain) - 1)])
