# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""NAS-Bench-201: one cell of six edges, repeated fifteen times."""

import re
from collections.abc import Mapping, Sequence

from hpml_mm.utils.messages import shown

from .blocks import Classifier, ConvLayer, GlobalPool
from .cell import EDGES, OPERATIONS, Cell, NormAct, Reduction, live
from .chain import Layer
from .space import Arch, SearchSpace, Slot

CHANNELS = (16, 32, 64)
CELLS_PER_STAGE = 5
# Begun at a word, and not again within it: a long text is refused at once.
_EDGE = re.compile(r'\b(\w++)~(\d)')


class NASBench201Space(SearchSpace):
    """Six edges with one of five operations each.

    Dong and Yang, `NAS-Bench-201 <https://arxiv.org/abs/2001.00326>`_. The string
    lists the edges into each node, with the node that each comes from:
    ``|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...~0|...~1|...~2|``. Its labels are
    for CIFAR-10 and CIFAR-100 at 32 pixels, and for ImageNet16-120 at 16 pixels.
    """

    name = 'nas-bench-201'
    resolution = 32
    num_classes = 10

    def __init__(self) -> None:
        self.slots = tuple(
            Slot(f'edge {start} to {end}', OPERATIONS) for start, end in EDGES
        )

    def layers(self, arch: Arch, num_classes: int) -> list[Layer]:
        """List stem, three stages of cells with reductions between them, and head."""
        layers = [Layer('stem', ConvLayer, (3, CHANNELS[0], 3, 1, None), 0)]
        inputs = CHANNELS[0]
        for stage, width in enumerate(CHANNELS, start=1):
            links: list[tuple] = [(Cell, (arch.values, width))] * CELLS_PER_STAGE
            if width != inputs:
                links.insert(0, (Reduction, (inputs, width)))
            for kind, args in links:
                layers.append(Layer(f'cells.{len(layers) - 1}', kind, args, stage))
            inputs = width
        return [
            *layers,
            Layer('lastact', NormAct, (inputs,), len(CHANNELS) + 1),
            Layer('global_avg_pool', GlobalPool),
            Layer('classifier', Classifier, (inputs, num_classes, 0.0)),
        ]

    def simplify(self, arch: Arch) -> Arch:
        """Leave out the edges that the cell's output cannot depend on.

        Each becomes 'none', see ``live``: labels of both networks are equal up to the
        noise of training.

        Raises:
            ValueError: The architecture is outside the space.
        """
        self.validate(arch)
        return Arch(self.name, tuple(live(arch.values)))

    def table_flops(self, arch: Arch) -> int:
        """Count MACs, and one for each bias of the classifier.

        Raises:
            ValueError: The architecture is outside the space.
        """
        return self.graph(arch).total_macs + self.num_classes

    def _format(self, arch: Arch) -> str:
        nodes: dict[int, str] = {}
        for (start, end), operation in zip(EDGES, arch.values, strict=True):
            nodes[end] = nodes.get(end, '|') + f'{operation}~{start}|'
        return '+'.join(nodes.values())

    def _parse(self, form: str | Mapping | Sequence) -> list[str]:
        if not isinstance(form, str):
            raise ValueError(f'{self.name}: {shown(form)} is no string of a cell')
        found = [
            (int(start), end, operation)
            for end, node in enumerate(form.split('+'), start=1)
            for operation, start in _EDGE.findall(node)
        ]
        operations = [operation for _, _, operation in found]
        # Written again, it must be what was read: nothing was passed over.
        spots = tuple((start, end) for start, end, _ in found)
        if spots != EDGES or self._format(Arch('', tuple(operations))) != form:
            raise ValueError(
                f'{self.name}: {shown(form)} is not as '
                '|op~0|+|op~0|op~1|+|op~0|op~1|op~2|'
            )
        return operations
