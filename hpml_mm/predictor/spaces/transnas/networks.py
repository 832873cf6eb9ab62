# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""TransNAS-Bench-101: networks trained on seven tasks, in two search spaces.

Duan et al., `TransNAS-Bench-101 <https://arxiv.org/abs/2105.11871>`_. An image of 256
pixels goes through a stem, which quarters its sides, through modules of two blocks or
cells each, and through the decoder of a task. A module is a digit: 2 and 4 double the
channels, 3 and 4 halve the sides.
"""

import abc
import functools
import itertools
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor, nn

from hpml_mm.predictor.spaces.blocks import ConvLayer
from hpml_mm.predictor.spaces.cell import EDGES, Cell, ReLUConvBN, live
from hpml_mm.predictor.spaces.chain import Layer
from hpml_mm.predictor.spaces.space import Arch, SearchSpace, Slot
from hpml_mm.predictor.spaces.tables import table_flops
from hpml_mm.utils.messages import shown

from .decoders import TASKS, TILES, Tiles, decoder

CHANNELS = 64
#: Modules of every network of the micro space.
MICRO = (4, 1, 4, 1, 4)
#: Operations on a cell's edges by their digits.
OPERATIONS = ('none', 'skip_connect', 'nor_conv_1x1', 'nor_conv_3x3')
_DEPTHS = range(4, 7)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, with ReLU in front of each convolution.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Stride of the block.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv_a = ReLUConvBN(in_channels, out_channels, 3, stride)
        self.conv_b = ReLUConvBN(out_channels, out_channels, 3)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out_channels:
            self.downsample = ConvLayer(in_channels, out_channels, 1, stride, None)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, out, H / stride, W / stride)."""
        return self.downsample(x) + self.conv_b(self.conv_a(x))


class _TransNASSpace(SearchSpace):
    """Both spaces: modules of two blocks, and a task's decoder.

    For 'jigsaw' an image of 192 pixels is cut into nine tiles of 64. The graph shows
    the sizes of one tile, and the MACs of all nine.

    Args:
        task: One of ``tasks``.

    Raises:
        ValueError: There is no such task.
    """

    resolution = 256
    tasks = tuple(TASKS)

    def __init__(self, task: str = 'class_scene') -> None:
        if task not in TASKS:
            raise ValueError(
                f'{self.name}: no task {shown(task)}; there are {", ".join(TASKS)}'
            )
        self.task = task
        self.num_classes = TASKS[task]
        if task == 'jigsaw':
            self.resolution = TILES * 64

    def for_task(self, task: str) -> SearchSpace:
        """Make the space whose networks have another task's decoder."""
        return type(self)(task)

    @abc.abstractmethod
    def modules(self, arch: Arch) -> Sequence[int]:
        """List the digits of the network's modules."""

    @abc.abstractmethod
    def block(self, arch: Arch, *sizes: int) -> tuple[Callable[..., nn.Module], tuple]:
        """Choose class and arguments of a block.

        Args:
            arch: The architecture.
            sizes: Channels of input and output, and stride.
        """

    def layers(self, arch: Arch, num_classes: int) -> list[Layer]:
        """List stem, modules of two blocks and decoder; for 'jigsaw' tiles are cut."""
        half, images = CHANNELS // 2, TILES**2 if self.task == 'jigsaw' else 1
        layer = functools.partial(Layer, images=images)
        layers = [
            layer('stem.0', ConvLayer, (3, half, 3, 2, None), 0),
            layer('stem.1', ReLUConvBN, (half, CHANNELS, 3, 2), 0),
        ]
        if images > 1:
            layers.insert(0, Layer('tiles', Tiles, (TILES,)))
        inputs, halvings = CHANNELS, 2
        for number, digit in enumerate(self.modules(arch)):
            outputs = 2 * inputs if digit in (2, 4) else inputs
            stride = 2 if digit in (3, 4) else 1
            halvings += stride - 1
            first = self.block(arch, inputs, outputs, stride)
            layers.append(layer(f'layer{number}.0', *first, number + 1))
            second = self.block(arch, outputs, outputs, 1)
            layers.append(layer(f'layer{number}.1', *second, number + 1))
            inputs = outputs
        return [*layers, *decoder(self.task, inputs, halvings, num_classes)]

    def table_flops(self, arch: Arch) -> int:
        """Count FLOPs as the benchmark does, see ``tables.table_flops``.

        Raises:
            ValueError: The architecture is outside the space.
        """
        return table_flops(self.graph(arch))


class TransNASMacroSpace(_TransNASSpace):
    """Four to six modules of residual blocks, written as ``64-1234-basic``.

    One to four modules halve the sides, and one to three double the channels: 3,256
    networks.
    """

    name = 'transnas-macro'

    def __init__(self, task: str = 'class_scene') -> None:
        super().__init__(task)
        kinds = (1, 2, 3, 4)
        self.slots = tuple(
            Slot(f'module {number}', kinds if number <= _DEPTHS[0] else (0, *kinds))
            for number in range(1, _DEPTHS[-1] + 1)
        )

    def used(self, values: Sequence) -> list[bool]:
        """Mask of the slots: none comes behind a module that is left out, a 0."""
        gaps = [0 in values[:index] for index in range(len(values))]
        return [not gap for gap in gaps]

    def conflict(self, values: Sequence) -> str:
        """Tell what there is too much or too little of."""
        digits = self._digits(values)
        for what, kinds, most in (
            ('sides are halved', (3, 4), 4),
            ('channels are doubled', (2, 4), 3),
        ):
            count = sum(digit in kinds for digit in digits)
            if not 1 <= count <= most:
                text = ''.join(map(str, digits))
                return f'in {text} {what} {count} times; allowed are 1 to {most}'
        return ''

    def modules(self, arch: Arch) -> Sequence[int]:
        """List the digits of the network's modules."""
        return self._digits(arch.values)

    def block(self, arch: Arch, *sizes: int) -> tuple[Callable[..., nn.Module], tuple]:
        """Choose the residual block."""
        return BasicBlock, sizes

    def sample(self, rng: np.random.Generator) -> Arch:
        """Draw one of the 3,256 networks, each with the same chance."""
        networks = _macro_networks()
        return Arch(self.name, networks[int(rng.integers(len(networks)))])

    def _digits(self, values: Sequence) -> list[int]:
        used = zip(values, self.used(values), strict=True)
        return [value for value, use in used if use and value]

    def _format(self, arch: Arch) -> str:
        return f'{CHANNELS}-{"".join(map(str, self.modules(arch)))}-basic'

    def _parse(self, form: str | Mapping | Sequence) -> list[int | None]:
        match = isinstance(form, str) and re.fullmatch(r'64-(\d+)-basic', form)
        if not match:
            raise ValueError(f'{self.name}: {shown(form)} is not as 64-1234-basic')
        digits, most = match[1], len(self.slots)
        if len(digits) not in _DEPTHS:
            raise ValueError(
                f'{self.name}: {shown(form)} has {len(digits)} modules; allowed are '
                f'{_DEPTHS[0]} to {most}'
            )
        if '0' in digits:
            raise ValueError(
                f'{self.name}: module {digits.index("0") + 1} is 0; allowed are '
                '1, 2, 3, 4'
            )
        rest = [0] if len(digits) < most else []
        values = [*map(int, digits), *rest]
        return [*values, *[None] * (most - len(values))]


@functools.cache
def _macro_networks() -> tuple[tuple, ...]:
    """Values of all networks of the macro space."""
    space = TransNASMacroSpace()
    choices = [(*slot.choices, None) for slot in space.slots]
    return tuple(
        values
        for values in itertools.product(*choices)
        if [value is not None for value in values] == space.used(values)
        and not space.conflict(values)
    )


class TransNASMicroSpace(_TransNASSpace):
    """A cell of six edges, repeated ten times, written as ``64-41414-1_23_013``.

    The digits are ``OPERATIONS`` on the edges into each node, from the first node on:
    4,096 cells in five modules.
    """

    name = 'transnas-micro'

    def __init__(self, task: str = 'class_scene') -> None:
        super().__init__(task)
        self.slots = tuple(
            Slot(f'edge {start} to {end}', tuple(range(len(OPERATIONS))))
            for start, end in EDGES
        )

    def modules(self, arch: Arch) -> Sequence[int]:
        """List the digits of the network's modules."""
        return MICRO

    def block(self, arch: Arch, *sizes: int) -> tuple[Callable[..., nn.Module], tuple]:
        """Choose the cell."""
        return Cell, (tuple(OPERATIONS[value] for value in arch.values), *sizes)

    def simplify(self, arch: Arch) -> Arch:
        """Leave out edges that the output cannot depend on, and order equal nodes.

        Each such edge becomes 0, see ``cell.live``. Nodes 1 and 2 may change places
        where no edge joins them: the one with the smaller digits is the first.

        Raises:
            ValueError: The architecture is outside the space.
        """
        self.validate(arch)
        names = live([OPERATIONS[value] for value in arch.values])
        into1, into2, between, into3, from1, from2 = map(OPERATIONS.index, names)
        if not between:
            (into1, from1), (into2, from2) = sorted([(into1, from1), (into2, from2)])
        return Arch(self.name, (into1, into2, between, into3, from1, from2))

    def _format(self, arch: Arch) -> str:
        text = ''.join(map(str, arch.values))
        modules = ''.join(map(str, MICRO))
        return f'{CHANNELS}-{modules}-{text[0]}_{text[1:3]}_{text[3:]}'

    def _parse(self, form: str | Mapping | Sequence) -> list[int]:
        pattern = r'64-41414-(\d)_(\d\d)_(\d{3})'
        match = isinstance(form, str) and re.fullmatch(pattern, form)
        if not match:
            raise ValueError(f'{self.name}: {shown(form)} is not as 64-41414-1_23_013')
        return [int(digit) for digit in ''.join(match.groups())]
