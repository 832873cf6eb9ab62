# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Cells of four nodes: the layers of NAS-Bench-201 and of TransNAS-Bench-101."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpml_mm.predictor.graphs import Graph

from .chain import Wiring

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
    """Zeros, of the input's shape or of another one.

    Args:
        channels: Channels of the output; None for those of the input.
        stride: Sides of the input over those of the output.
    """

    def __init__(self, channels: int | None = None, stride: int = 1) -> None:
        super().__init__()
        self.channels = channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Multiply by 0: as in the original, they depend on the input in a graph."""
        zeros = x * 0
        if self.channels is None:
            return zeros
        pixels = zeros[:, :1, :: self.stride, :: self.stride]
        return pixels.expand(-1, self.channels, -1, -1)


class FactorizedReduce(nn.Module):
    """A skip connection where sides or channels change.

    ReLU, two 1x1 convolutions that give half of the channels each, the second on the
    image moved by a pixel, and BatchNorm.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output; even.
        stride: Stride of both convolutions.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.relu = nn.ReLU()
        self.convs = nn.ModuleList(
            nn.Conv2d(in_channels, half, 1, stride, bias=False) for _ in range(2)
        )
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, out, H / stride, W / stride)."""
        x = self.relu(x)
        moved = F.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.bn(torch.cat([self.convs[0](x), self.convs[1](moved)], 1))


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


def operation(
    name: str, in_channels: int, out_channels: int, stride: int = 1
) -> tuple[Callable[..., nn.Module], tuple]:
    """Choose the module on an edge: its class and arguments.

    Args:
        name: One of ``OPERATIONS`` except 'none'. Pooling changes no channels here.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Sides of the input over those of the output.
    """
    if name == 'skip_connect':
        if stride == 1 and in_channels == out_channels:
            return nn.Identity, ()
        return FactorizedReduce, (in_channels, out_channels, stride)
    if name == 'avg_pool_3x3':
        # Kernel, stride, padding; no rounding up; padding is not averaged.
        return nn.AvgPool2d, (3, stride, 1, False, False)
    return ReLUConvBN, (in_channels, out_channels, int(name[-1]), stride)


def live(operations: Sequence[str]) -> list[str]:
    """Replace by 'none' the operations that the cell's output cannot depend on.

    They lie on edges out of a node that is always zero, or into one that nothing reads.
    The cell computes the same, up to the constants that a BatchNorm makes of zeros.

    Args:
        operations: One for each of ``EDGES``.
    """
    values = list(operations)
    reached, read = {0}, {NODES - 1}
    for index, (start, end) in enumerate(EDGES):
        if start not in reached:
            values[index] = 'none'
        if values[index] != 'none':
            reached.add(end)
    for index, (start, end) in reversed(list(enumerate(EDGES))):
        if end not in read:
            values[index] = 'none'
        if values[index] != 'none':
            read.add(start)
    return values


class Cell(nn.Module):
    """Four nodes, each the sum of what its edges make of the nodes before it.

    An edge 'none' adds nothing; a node without any other edge is zero. Edges out of the
    first node, which is the input, change sides and channels.

    Args:
        operations: One of ``OPERATIONS`` for each of ``EDGES``.
        channels: Channels of the input.
        out_channels: Channels of the output; None for those of the input.
        stride: Sides of the input over those of the output.
    """

    def __init__(
        self,
        operations: tuple[str, ...],
        channels: int,
        out_channels: int | None = None,
        stride: int = 1,
    ) -> None:
        super().__init__()
        same = stride == 1 and out_channels in (None, channels)
        outputs = out_channels or channels
        self.zero = Zero() if same else Zero(outputs, stride)
        self.edges = nn.ModuleDict()
        for (start, end), name in zip(EDGES, operations, strict=True):
            if name != 'none':
                sizes = (outputs, outputs) if start else (channels, outputs, stride)
                kind, args = operation(name, *sizes)
                self.edges[f'{start}to{end}'] = kind(*args)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, out, H / stride, W / stride)."""
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

        There are thousands of cells in a few widths, but only three or four operations
        that leave nodes.

        Args:
            args: The module's own arguments.
            input_shape: Channels, height and width.
        """
        operations, channels, outputs, stride = (*args, None, 1)[:4]
        outputs = outputs or channels
        names = dict(zip(EDGES, operations, strict=True))
        shape = (outputs, *(-(-side // stride) for side in input_shape[1:]))
        wiring = Wiring(input_shape)
        nodes = [[0]]
        for end in range(1, NODES):
            total: list[int] = []
            for start in range(end):
                if names[start, end] == 'none':
                    continue
                sizes = (outputs, outputs) if start else (channels, outputs, stride)
                layer = operation(names[start, end], *sizes)
                given = shape if start else input_shape
                place = f'edges.{start}to{end}'
                term = wiring.layer(*layer, given, place, nodes[start])
                total = wiring.node('add', shape, total + term) if total else term
            if not total:
                zeros = wiring.node('zero', input_shape, [0])
                total = wiring.reshape(input_shape, shape, zeros)
            nodes.append(total)
        return wiring.join(shape, nodes[-1])
