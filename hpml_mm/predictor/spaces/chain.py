# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Networks as chains of layers, built as modules or joined from layers' graphs."""

import dataclasses
import functools
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import nn

from hpml_mm.predictor.graphs import Graph, Node, assemble
from hpml_mm.predictor.graphs.join import join
from hpml_mm.predictor.graphs.tracing.trace import trace

# Stands for a layer's place in the names of its nodes; no module's name holds it.
PLACE = '@'


@dataclasses.dataclass(frozen=True)
class Layer:
    """Layer of a chain: its module, its name and its stage.

    Attributes:
        path: Its place in the network, such as ``blocks.3``.
        kind: Class of the module.
        args: Its arguments. Layers of one kind with the same arguments are the same
            block, which is traced once.
        stage: Index of the feature map that it belongs to; None for the head.
        source: Its place in the supernet that holds its weights; None where that is
            the same.
        images: Number of its inputs for one image, such as the tiles of a puzzle.
    """

    path: str
    kind: Callable[..., nn.Module]
    args: tuple = ()
    stage: int | None = None
    source: str | None = None
    images: int = 1

    def build(self) -> nn.Module:
        """A fresh module of its own."""
        return self.kind(*self.args)


def build_chain(layers: Sequence[Layer], bn_eps: float = 1e-5) -> nn.Sequential:
    """Build the network that runs the layers one after the other.

    Args:
        layers: In order. Consecutive layers ``blocks.0``, ``blocks.1``... become one
            ``nn.Sequential`` called ``blocks``.
        bn_eps: Added to the variance in every BatchNorm.
    """
    children: OrderedDict[str, nn.Module] = OrderedDict()
    for layer in layers:
        group, _, name = layer.path.partition('.')
        module = layer.build()
        if not name:
            children[group] = module
            continue
        children.setdefault(group, nn.Sequential()).add_module(name, module)
    net = nn.Sequential(children)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = bn_eps
    return net


def chain_graph(layers: Sequence[Layer], input_shape: tuple[int, ...]) -> Graph:
    """Join the graph of the network from its layers' graphs.

    Args:
        layers: Layers in order.
        input_shape: Channels, height and width.

    Raises:
        ValueError: A layer cannot take what the one before it gives.
    """
    parts = []
    shape = input_shape
    for layer in layers:
        if layer.kind is not nn.Identity:
            graph = layer_graph(layer.kind, layer.args, shape)
            if layer.images > 1:
                graph = dataclasses.replace(graph, macs=graph.macs * layer.images)
            parts.append(renamed(graph, layer.path))
            _, height, _, width, _, channels = graph.resolutions[-1].tolist()
            shape = channels, height, width
    return join(parts)


# A bound, as there are tens of thousands of cells.
@functools.lru_cache(maxsize=4096)
def layer_graph(
    kind: Callable[..., nn.Module], args: tuple, input_shape: tuple[int, ...]
) -> Graph:
    """Make the graph of one layer, traced once in a process.

    A kind with a function ``part_graph(args, input_shape)`` makes its own.

    Args:
        kind: Class of the module.
        args: Its arguments.
        input_shape: Channels, height and width.
    """
    if own := getattr(kind, 'part_graph', None):
        return own(args, input_shape)
    with torch.device('meta'):
        # As part of something larger it is named by its place, as in the network.
        module = nn.Sequential(OrderedDict({PLACE: kind(*args)}))
    # Its weights have no data, so neither may the image.
    return trace(module, input_shape, lambda net, image: net(image.to('meta')))


def renamed(graph: Graph, path: str) -> Graph:
    """Name a layer's nodes by its place in the network."""
    names = tuple(name.replace(PLACE, path, 1) for name in graph.names)
    return dataclasses.replace(graph, names=names)


class Wiring:
    """Graph of a layer that is joined from the graphs of its own parts.

    Each method adds a part and returns its place, for those that read it.

    Args:
        shape: Channels, height and width of the layer's input, which is part 0.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._parts = [bare(shape, shape)]
        self._reads: list[list[int]] = [[]]

    def layer(
        self,
        kind: Callable[..., nn.Module],
        args: tuple,
        shape: tuple[int, ...],
        name: str,
        reads: list[int],
    ) -> list[int]:
        """Add a module.

        Args:
            kind: Its class.
            args: Its arguments.
            shape: Channels, height and width of its input.
            name: Its place in the layer, such as ``edges.0to1``.
            reads: Places of the parts that it reads.
        """
        if kind is nn.Identity:
            return reads
        graph = layer_graph(kind, args, shape)
        return self._add(renamed(graph, f'{PLACE}.{name}'), reads)

    def node(self, op: str, shape: tuple[int, ...], reads: list[int]) -> list[int]:
        """Add an operation that keeps the shape."""
        # As in a trace: from its second use on a name gets a number.
        count = sum(op in part.labels for part in self._parts)
        name = f'{PLACE}.{op}_{count}' if count else f'{PLACE}.{op}'
        return self._add(bare(shape, shape, (op, name)), reads)

    def reshape(
        self, before: tuple[int, ...], after: tuple[int, ...], reads: list[int]
    ) -> list[int]:
        """Add a view, which has no node."""
        return reads if before == after else self._add(bare(before, after), reads)

    def join(self, shape: tuple[int, ...], reads: list[int]) -> Graph:
        """Join the parts; the layer's output, of this shape, is that of ``reads``."""
        self._add(bare(shape, shape), reads)
        return join(self._parts, self._reads)

    def _add(self, part: Graph, reads: list[int]) -> list[int]:
        self._parts.append(part)
        self._reads.append(reads)
        return [len(self._parts) - 1]


@functools.lru_cache(maxsize=256)
def bare(
    before: tuple[int, ...], after: tuple[int, ...], *nodes: tuple[str, str]
) -> Graph:
    """Make a part of one node, or of none, which may change the shape by a view.

    Args:
        before: Channels, height and width of its input.
        after: The same of its output.
        nodes: Operation and name of each node, one after the other.
    """
    sizes = [
        (height, height, width, width, channels, channels)
        for channels, height, width in (before, after)
    ]
    inner = [Node(op, name, sizes[0]) for op, name in nodes]
    chain = [
        Node('input', 'input', sizes[0]),
        *inner,
        Node('output', 'output', sizes[1]),
    ]
    return assemble(chain, [(i, i + 1) for i in range(len(chain) - 1)])
