# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The layers of NAS-Bench-201's networks."""

from collections import OrderedDict

from torch import Tensor, nn

from hpml_mm.predictor.graphs import Graph

from .cell_graph import Wiring
from .chain import PLACE, layer_graph

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
    """Nothing, of the input's shape."""

    def forward(self, x: Tensor) -> Tensor:
        """Zeros that, as in the original, depend on the input in a graph."""
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


def operation(name: str, channels: int) -> tuple[type[nn.Module], tuple]:
    """The module on an edge: its class and arguments.

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
        """The graph that tracing this module would give, without tracing it.

        Args:
            args: The module's own arguments.
            input_shape: Channels, height and width.
        """
        operations, channels = args
        names = dict(zip(EDGES, operations, strict=True))
        wiring = Wiring(input_shape)
        image = frozenset([0])
        nodes = [image]
        for end in range(1, NODES):
            total = None
            for start in range(end):
                if names[start, end] == 'none':
                    continue
                kind, arguments = operation(names[start, end], channels)
                term = nodes[start]
                if kind is not nn.Identity:
                    graph = layer_graph(kind, arguments, input_shape)
                    path = f'{PLACE}.edges.{start}to{end}'
                    term = wiring.part(graph, PLACE, path, term)
                if total is not None:
                    term = wiring.node('add', PLACE, total | term)
                total = term
            nodes.append(wiring.node('zero', PLACE, image) if total is None else total)
        return wiring.finish(nodes[-1])
