# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The cell of NAS-Bench-101."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hpml_mm.predictor.graphs import Graph

from .blocks import ConvLayer
from .chain import Wiring

OPERATIONS = ('conv1x1-bn-relu', 'conv3x3-bn-relu', 'maxpool3x3')


def vertex_channels(edges: Sequence[tuple[int, int]], outputs: int) -> list[int]:
    """Channels of each vertex of a cell, the first of them 0.

    The vertices before the output share its channels; the first of them get one more
    where that leaves a rest. Any other one has as many as the widest that reads it.

    Args:
        edges: From and to; the largest number is the output's.
        outputs: Channels of the cell's output.
    """
    last = max(end for _, end in edges)
    before = [start for start, end in sorted(edges) if end == last and start]
    channels = [0] * last + [outputs]
    for vertex in reversed(range(1, last)):
        if vertex in before:
            share, rest = divmod(outputs, len(before))
            channels[vertex] = share + (before.index(vertex) < rest)
        else:
            channels[vertex] = max(channels[b] for a, b in edges if a == vertex)
    return channels


class Cell101(nn.Module):
    """Vertices that work on the sum of what they read; the last one concatenates.

    What reads the cell's input does so through a 1x1 convolution, BatchNorm and ReLU;
    what reads a vertex with more channels takes the first of them.

    Args:
        edges: From and to. Each vertex lies on a path from input to output.
        operations: One of ``OPERATIONS`` for each vertex between them.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
    """

    def __init__(
        self,
        edges: tuple[tuple[int, int], ...],
        operations: tuple[str, ...],
        in_channels: int,
        out_channels: int,
    ) -> None:
        super().__init__()
        self.channels = vertex_channels(edges, out_channels)
        self.sources = [
            [start for start, end in edges if end == vertex]
            for vertex in range(len(operations) + 2)
        ]
        self.projections = nn.ModuleDict(
            {
                f'0to{end}': ConvLayer(in_channels, self.channels[end], 1, 1, 'relu')
                for start, end in edges
                if not start
            }
        )
        self.vertices = nn.ModuleList(
            kind(*args) for kind, args in map(_vertex, operations, self.channels[1:-1])
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, out, H, W)."""
        values = [x]
        for vertex, module in enumerate(self.vertices, start=1):
            width = self.channels[vertex]
            terms = [values[s][:, :width] for s in self.sources[vertex] if s]
            values.append(module(self._sum(terms, x, vertex)))
        last = len(values)
        inner = [values[source] for source in self.sources[last] if source]
        terms = [torch.cat(inner, 1)] if len(inner) > 1 else inner
        return self._sum(terms, x, last)

    def _sum(self, terms: list[Tensor], x: Tensor, vertex: int) -> Tensor:
        """Add to some tensors the projected input, where the vertex reads it."""
        if 0 in self.sources[vertex]:
            terms = [*terms, self.projections[f'0to{vertex}'](x)]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        return total

    @staticmethod
    def part_graph(args: tuple, input_shape: tuple[int, int, int]) -> Graph:
        """Make the graph that tracing this module would give, without tracing it.

        Args:
            args: The module's own arguments.
            input_shape: Channels, height and width.
        """
        edges, operations, inputs, outputs = args
        channels = vertex_channels(edges, outputs)
        wiring, last, sides = Wiring(input_shape), len(operations) + 1, input_shape[1:]
        places = [[0]]
        for end in range(1, last + 1):
            shape = (channels[end], *sides)
            inner = [start for start, stop in edges if stop == end and start]
            terms = [places[start] for start in inner]
            if end < last:
                given = ((channels[start], *sides) for start in inner)
                pairs = zip(given, terms, strict=True)
                terms = [wiring.reshape(before, shape, term) for before, term in pairs]
            elif len(inner) > 1:
                terms = [
                    wiring.node('concat', shape, [p for term in terms for p in term])
                ]
            if (0, end) in edges:
                projection = ConvLayer, (inputs, channels[end], 1, 1, 'relu')
                name = f'projections.0to{end}'
                terms.append(wiring.layer(*projection, input_shape, name, places[0]))
            total = terms[0]
            for term in terms[1:]:
                total = wiring.node('add', shape, total + term)
            if end < last:
                layer = _vertex(operations[end - 1], channels[end])
                total = wiring.layer(*layer, shape, f'vertices.{end - 1}', total)
            places.append(total)
        return wiring.join((outputs, *sides), places[-1])


def _vertex(operation: str, channels: int) -> tuple[type[nn.Module], tuple]:
    """Class and arguments of the module of a vertex."""
    if operation == 'maxpool3x3':
        return nn.MaxPool2d, (3, 1, 1)
    return ConvLayer, (channels, channels, int(operation[4]), 1, 'relu')
