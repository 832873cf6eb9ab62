# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""NAS-Bench-101: one cell of up to seven vertices, repeated nine times."""

import itertools
from collections.abc import Mapping, Sequence

from torch import nn

from hpml_mm.utils.messages import shown

from .blocks import Classifier, ConvLayer, GlobalPool
from .cell_101 import OPERATIONS, Cell101
from .chain import Layer
from .forms import whole
from .space import Arch, SearchSpace, Slot
from .tables import table_flops

STEM_CHANNELS = 128
STACKS = 3
CELLS_PER_STACK = 3
VERTICES = 7
MOST_EDGES = 9
#: From and to, row by row of the matrix.
EDGES = tuple(itertools.combinations(range(VERTICES), 2))
_INNER = range(1, VERTICES - 1)
_KEYS = (('matrix', 'ops'), ('module_adjacency', 'module_operations'))
# A cell: its edges, and the operations of the vertices between input and output.
_Pruned = tuple[tuple[tuple[int, int], ...], tuple[str, ...]]


class NASBench101Space(SearchSpace):
    """Cells of up to seven vertices and nine edges, from CIFAR-10.

    Ying et al., `NAS-Bench-101 <https://arxiv.org/abs/1902.09635>`_. The string has the
    cell's adjacency matrix, row by row, and the operation of each vertex:
    ``001001000 input maxpool3x3 output``. Its authors' dictionaries of ``matrix`` and
    ``ops`` are read too. What lies on no path from input to output is left out, before
    edges are counted. Three stacks of three cells; each but the first begins with a max
    pooling of 2x2 and has twice the channels. Its label is that after 108 epochs.
    """

    name = 'nas-bench-101'
    resolution = 32
    num_classes = 10

    def __init__(self) -> None:
        edges = (Slot(f'edge {start} to {end}', (0, 1)) for start, end in EDGES)
        vertices = (Slot(f'vertex {vertex}', OPERATIONS) for vertex in _INNER)
        self.slots = (*edges, *vertices)

    def used(self, values: Sequence) -> list[bool]:
        """Mask of the slots: operations of vertices on no path have no effect."""
        on_path = _on_path(_edges(values))
        return [True] * len(EDGES) + [vertex in on_path for vertex in _INNER]

    def conflict(self, values: Sequence) -> str:
        """Tell what is wrong with the cell."""
        edges = _edges(values)
        on_path = _on_path(edges)
        if not on_path:
            return 'no path leads from input to output'
        count = sum(on_path.issuperset(edge) for edge in edges)
        if count > MOST_EDGES:
            return f'{count} edges are on paths; at most {MOST_EDGES} are allowed'
        return ''

    def canonical(self, arch: Arch) -> Arch:
        """Leave out what is on no path, and put the other vertices first, in order."""
        return self._arch(*_pruned(arch))

    def simplify(self, arch: Arch) -> Arch:
        """Put the vertices into the order that all isomorphic cells share.

        The benchmark takes these for one network, and trained one of them. Where
        channels are not divided evenly, which vertex gets one more can differ.

        Raises:
            ValueError: The architecture is outside the space.
        """
        self.validate(arch)
        edges, operations = _pruned(arch)
        last = len(operations) + 1
        found: list[_Pruned] = []
        for order in itertools.permutations(range(1, last)):
            place = dict(zip((0, *order, last), range(last + 1), strict=True))
            moved = sorted((place[a], place[b]) for a, b in edges)
            if all(start < end for start, end in moved):
                names = tuple(operations[vertex - 1] for vertex in order)
                found.append((tuple(moved), names))
        return self._arch(*min(found))

    def layers(self, arch: Arch, num_classes: int) -> list[Layer]:
        """List stem, three stacks of cells with max pooling between them, and head."""
        width = STEM_CHANNELS
        layers = [Layer('stem', ConvLayer, (3, width, 3, 1, 'relu'), 0)]
        cell = _pruned(arch)
        for stack in range(STACKS):
            inputs, width = width, width * 2 if stack else width
            links: list[tuple] = [(Cell101, (*cell, inputs, width))]
            links += [(Cell101, (*cell, width, width))] * (CELLS_PER_STACK - 1)
            if stack:
                links.insert(0, (nn.MaxPool2d, (2, 2)))
            for kind, args in links:
                layers.append(Layer(f'cells.{len(layers) - 1}', kind, args, stack + 1))
        return [
            *layers,
            Layer('global_avg_pool', GlobalPool),
            Layer('classifier', Classifier, (width, num_classes, 0.0)),
        ]

    def table_flops(self, arch: Arch) -> int:
        """Count FLOPs as the published proxies do, see ``tables.table_flops``.

        Raises:
            ValueError: The architecture is outside the space.
        """
        return table_flops(self.graph(arch), pooled=False)

    def _arch(self, edges: tuple, operations: tuple[str, ...]) -> Arch:
        """Architecture of a cell whose vertices are all on paths."""
        last = len(operations) + 1
        moved = {(a, VERTICES - 1 if b == last else b) for a, b in edges}
        bits = [int(edge in moved) for edge in EDGES]
        unused = [None] * (VERTICES - 1 - last)
        return Arch(self.name, (*bits, *operations, *unused))

    def _format(self, arch: Arch) -> str:
        edges, operations = _pruned(arch)
        size = range(len(operations) + 2)
        matrix = ''.join(str(int((a, b) in edges)) for a in size for b in size)
        return ' '.join([matrix, 'input', *operations, 'output'])

    def _parse(self, form: str | Mapping | Sequence) -> list:
        words = form.split() if isinstance(form, str) else []
        if isinstance(form, Mapping):
            rows, ops = next(
                (pair for keys in _KEYS if all(pair := [form.get(k) for k in keys])),
                (None, None),
            )
            if isinstance(rows, list) and isinstance(ops, list):
                bits = (bit for row in rows if isinstance(row, list) for bit in row)
                words = [''.join(map(str, bits)), *map(str, ops)]
        matrix, names = ''.join(words[:1]), words[1:]
        count = len(names)
        ends = [*names[:1], *names[-1:]]
        if ends != ['input', 'output'] or len(matrix) != count**2:
            raise ValueError(
                f'{self.name}: {shown(form)} is not as 001001000 input maxpool3x3 '
                'output: a square matrix, row by row, and a name for each row'
            )
        if count > VERTICES:
            raise ValueError(
                f'{self.name}: {count} vertices; at most {VERTICES} are allowed'
            )
        return self._values(matrix, names)

    def _values(self, matrix: str, names: list[str]) -> list:
        """Values of the slots, of a matrix of up to seven rows."""
        values: dict[tuple[int, int], int] = dict.fromkeys(EDGES, 0)
        count = len(names)
        for index, digit in enumerate(matrix):
            start, end = divmod(index, count)
            bit = whole(self.name, f'row {start} of the matrix, column {end}', digit)
            if bit and end <= start:
                raise ValueError(
                    f'{self.name}: an edge leads from vertex {start} back to {end}; '
                    'the matrix must be upper triangular'
                )
            if end > start:
                values[start, VERTICES - 1 if end == count - 1 else end] = bit
        unused = [None] * (VERTICES - count)
        return [*values.values(), *names[1:-1], *unused]


def _edges(values: Sequence) -> list[tuple[int, int]]:
    pairs = zip(EDGES, values, strict=False)
    return [edge for edge, value in pairs if value]


def _on_path(edges: Sequence[tuple[int, int]]) -> set[int]:
    """Vertices on paths from the first vertex to the last one; empty without one."""
    reached, read = {0}, {VERTICES - 1}
    for start, end in edges:  # sorted, so all that lead to a start were there before
        if start in reached:
            reached.add(end)
    for start, end in reversed(edges):
        if end in read:
            read.add(start)
    found = reached & read
    return found if 0 in found else set()


def _pruned(arch: Arch) -> _Pruned:
    """Edges and operations of the vertices on paths, with consecutive numbers."""
    edges = _edges(arch.values)
    kept = sorted(_on_path(edges))
    place = {vertex: index for index, vertex in enumerate(kept)}
    inner = [vertex for vertex in kept if vertex in _INNER]
    operations = tuple(arch.values[len(EDGES) + vertex - 1] for vertex in inner)
    pairs = (edge for edge in edges if place.keys() >= set(edge))
    return tuple((place[a], place[b]) for a, b in pairs), operations
