# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A graph as a picture, laid out by Graphviz: SVG."""

import dataclasses
from pathlib import Path

from hpml_mm.compat import require
from hpml_mm.utils.files import write_atomic

from .graph import Graph, neighbours, running_order
from .profile import NodeProfile, profile, totals_line

#: Graphs of more nodes than this are folded unless it is said otherwise.
FOLD_ABOVE = 60

#: Kinds of operations: what they are called, their colour, and which they are. Colours
#: are light, so that black text is read on each.
_KINDS = (
    ('convolution', '#9ecae1', ('conv', 'depthwise')),
    ('matrix product', '#c6b3e6', ('matmul',)),
    ('normalisation', '#dddddd', ('batchnorm',)),
    (
        'activation',
        '#a8ddb5',
        ('relu', 'relu6', 'sigmoid', 'tanh', 'swish', 'gelu'),
    ),
    ('pooling', '#fdd49e', ('maxpool', 'avgpool', 'mean', 'global')),
    ('sum, product, join', '#fa9fb5', ('add', 'mul', 'concat')),
    ('input, output', '#ffffff', ('input', 'output')),
    ('unknown to the vocabulary', '#fb6a4a', ('OOV',)),
)
_OTHER = ('other', '#fff7bc')
_FOLDED = {'batchnorm', 'relu', 'relu6', 'sigmoid', 'tanh', 'swish', 'gelu'}
_FOLDED_INTO = {'conv', 'depthwise', 'matmul', 'add'}
_FONT = 'Helvetica,Arial,sans-serif'


@dataclasses.dataclass
class _Box:
    """Box of the picture: a node, or a weighted one with its followers.

    Attributes:
        nodes: Their profiles in running order.
    """

    nodes: list[NodeProfile]

    @property
    def kind(self) -> tuple[str, str]:
        """Name and colour of the kind of its first node."""
        op = self.nodes[0].op
        found = [(name, colour) for name, colour, ops in _KINDS if op in ops]
        return found[0] if found else _OTHER

    @property
    def label(self) -> str:
        first, last = self.nodes[0], self.nodes[-1]
        steps = [f'{node.op} {node.detail}'.strip() for node in self.nodes]
        lines = [' + '.join(steps), f'{first.inputs} → {last.outputs}']
        if first.inputs == last.outputs:
            lines[1] = first.inputs
        macs = sum(node.macs for node in self.nodes)
        params = sum(node.params for node in self.nodes)
        if macs or params:
            lines.append(f'{_short(macs)} MACs, {_short(params)} params')
        return '\n'.join(lines)

    @property
    def tooltip(self) -> str:
        return '\n'.join(node.name for node in self.nodes)


def draw(
    graph: Graph, path: str | Path, title: str = '', fold: bool | None = None
) -> None:
    """Write a picture of a graph.

    Each box has its operation, kernel and stride, the shapes that it reads and writes
    as CxHxW, and its costs; module paths show up under the pointer.

    Args:
        graph: The network.
        path: The SVG file; it is written whole or not at all.
        title: A line above the picture; the totals follow it.
        fold: Make one box of a convolution with the normalisation and activation that
            follow it; None for graphs of more than 60 nodes.

    Raises:
        ImportError: The extra ``draw`` is not installed.
        ValueError: The path does not end in ``.svg``.
    """
    path = Path(path)
    check_svg(path)
    write_atomic(path, to_svg(graph, title, fold))


def check_svg(path: Path) -> None:
    """Refuse a file name without the suffix .svg.

    Raises:
        ValueError: It is not.
    """
    if path.suffix.lower() != '.svg':
        raise ValueError(f'{path}: drawings are SVG, so name it *.svg')


def to_svg(graph: Graph, title: str = '', fold: bool | None = None) -> str:
    """Draw the picture as text; see ``draw``."""
    pygraphviz = require('pygraphviz', 'draw')
    if fold is None:
        fold = graph.num_nodes > FOLD_ABOVE
    boxes, box_of = _boxes(graph, fold)
    head = '\n'.join(filter(None, [title, totals_line(graph)]))
    picture = pygraphviz.AGraph(directed=True, strict=False)
    picture.graph_attr.update(
        label=_escape(head), labelloc='t', fontname=_FONT, ranksep='0.25', nodesep='0.2'
    )
    picture.node_attr.update(
        shape='box', style='filled,rounded', fontname=_FONT, fontsize='11'
    )
    picture.edge_attr.update(arrowsize='0.6', color='#555555')
    for number, box in enumerate(boxes):
        picture.add_node(
            number,
            label=_escape(box.label),
            tooltip=_escape(box.tooltip),
            fillcolor=box.kind[1],
        )
    pairs = {(box_of[start], box_of[end]) for start, end in graph.edges.tolist()}
    for start, end in sorted(pairs):
        if start != end:
            picture.add_edge(start, end)
    _add_legend(picture, boxes)
    svg = picture.draw(format='svg', prog='dot')
    return svg.decode('utf-8')


def _boxes(graph: Graph, fold: bool) -> tuple[list[_Box], dict[int, int]]:
    """Boxes, and the box of each node."""
    order, rows = running_order(graph), profile(graph)
    followers, sources = neighbours(graph)
    boxes: list[_Box] = []
    box_of: dict[int, int] = {}
    for node, row in zip(order, rows, strict=True):
        before = sources[node]
        alone = len(before) == 1 and len(followers[before[0]]) == 1
        home = box_of[before[0]] if before else 0
        taken = fold and alone and row.op in _FOLDED
        if taken and boxes[home].nodes[0].op in _FOLDED_INTO:
            boxes[home].nodes.append(row)
            box_of[node] = home
        else:
            boxes.append(_Box([row]))
            box_of[node] = len(boxes) - 1
    return boxes, box_of


def _add_legend(picture, boxes: list[_Box]) -> None:
    """A box for each kind that occurs, beside the graph."""
    kinds = list(dict.fromkeys(box.kind for box in boxes))
    legend = picture.add_subgraph(
        name='cluster_legend', label='operations', fontname=_FONT, color='#bbbbbb'
    )
    names = [f'legend{number}' for number in range(len(kinds))]
    for name, (kind, colour) in zip(names, kinds, strict=True):
        legend.add_node(name, label=kind, fillcolor=colour, fontsize='10')
    # Invisible edges stack them.
    for upper, lower in zip(names, names[1:], strict=False):
        legend.add_edge(upper, lower, style='invis')


def _short(count: int) -> str:
    for size, letter in ((1e9, 'G'), (1e6, 'M'), (1e3, 'k')):
        if count >= size:
            return f'{count / size:.3g} {letter}'
    return str(count)


def _escape(text: str) -> str:
    """Text as a label of Graphviz: a backslash there begins a command."""
    return text.replace('\\', '\\\\').replace('\n', '\\n')
