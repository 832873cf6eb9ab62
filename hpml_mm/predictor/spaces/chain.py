# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Networks as chains of layers, built as modules or joined from layers' graphs."""

import dataclasses
import functools
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import nn

from hpml_mm.predictor.graphs import Graph
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
    """

    path: str
    kind: Callable[..., nn.Module]
    args: tuple = ()
    stage: int | None = None
    source: str | None = None

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
