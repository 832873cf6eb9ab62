# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Once-for-All's ResNet-50 space."""

from collections.abc import Iterator, Mapping, Sequence

from torch import nn

from hpml_mm.utils.messages import shown

from .blocks import (
    Bottleneck,
    Classifier,
    ConvLayer,
    GlobalPool,
    ResidualConv,
    make_divisible,
)
from .chain import Layer
from .forms import lists
from .space import Arch, SearchSpace, Slot

WIDTHS = (0.65, 0.8, 1.0)
EXPANSIONS = (0.2, 0.25, 0.35)
STAGE_WIDTHS = (256, 512, 1024, 2048)
BASE_DEPTHS = (2, 2, 4, 2)
STRIDES = (1, 2, 2, 2)
EXTRA_DEPTHS = (0, 1, 2)


class OFAResNetSpace(SearchSpace):
    """Depths, expansions and widths of a ResNet-50 with ResNet-D's stem and shortcuts.

    ``d`` holds 2 where the stem keeps its middle layer, else 0, then the blocks that
    each of four stages has beyond 2, 2, 4, 2; ``e`` an expansion for each of 18
    blocks; ``w`` indices into the widths .65, .8 and 1: of the stem's first layer, of
    its last, and of the four stages. A string is ``d=2-0-...;e=0.2-0-...;w=0-1-...``,
    with expansion 0 for a block that is left out.
    """

    name = 'ofa-resnet50'

    def __init__(self) -> None:
        stages = range(1, len(STAGE_WIDTHS) + 1)
        indices = tuple(range(len(WIDTHS)))
        self.slots = (
            Slot('stem depth', (0, max(EXTRA_DEPTHS))),
            *(Slot(f'stage {stage} extra depth', EXTRA_DEPTHS) for stage in stages),
            *(Slot(f'stage {s} block {b} expansion', EXPANSIONS) for s, b in _spots()),
            Slot('stem middle width', indices),
            Slot('stem width', indices),
            *(Slot(f'stage {stage} width', indices) for stage in stages),
        )

    def used(self, values: Sequence) -> list[bool]:
        """Leave out the expansions of blocks beyond their stage's depth."""
        depths, _, widths = _split(values)
        present = [
            block <= BASE_DEPTHS[stage - 1] + (depths[stage] or 0)
            for stage, block in _spots()
        ]
        return [*(True for _ in depths), *present, *(True for _ in widths)]

    def layers(self, arch: Arch, num_classes: int) -> list[Layer]:
        """List stem, bottlenecks and head; the stem's feature, 0, is before pooling."""
        depths, expansions, widths = _split(arch.values)
        layers = self._stem(depths[0] > 0, widths[0], widths[1])
        inputs = layers[-1].args[1]
        layers.append(Layer('max_pooling', nn.MaxPool2d, (3, 2, 1), 1))
        blocks = 0
        rows = zip(_spots(), expansions, strict=True)
        for slot, ((stage, block), expansion) in enumerate(rows):
            if block > BASE_DEPTHS[stage - 1] + depths[stage]:
                continue
            multiplier = WIDTHS[widths[stage + 1]]
            outputs = make_divisible(STAGE_WIDTHS[stage - 1] * multiplier)
            middle = make_divisible(round(outputs * expansion))
            stride = STRIDES[stage - 1] if block == 1 else 1
            args = (inputs, middle, outputs, stride, block == 1)
            place, source = f'blocks.{blocks}', f'blocks.{slot}'
            layers.append(Layer(place, Bottleneck, args, stage, source))
            inputs = outputs
            blocks += 1
        return [
            *layers,
            Layer('global_avg_pool', GlobalPool),
            Layer('classifier', Classifier, (inputs, num_classes, 0.0)),
        ]

    def to_dict(self, arch: Arch) -> dict[str, list]:
        """Write Once-for-All's form, expansion 0 for the blocks that are left out.

        Raises:
            ValueError: The architecture is outside the space.
        """
        self.validate(arch)
        depths, expansions, widths = _split(self.canonical(arch).values)
        filled = [expansion or 0 for expansion in expansions]
        return {'d': list(depths), 'e': filled, 'w': list(widths)}

    def _stem(self, residual: bool, middle: int, last: int) -> list[Layer]:
        outputs = [make_divisible(64 * width) for width in WIDTHS]
        between = make_divisible(outputs[middle] // 2)
        links = [
            (0, ConvLayer, (3, between, 3, 2, 'relu')),
            (1, ResidualConv, (between,)),
            (2, ConvLayer, (between, outputs[last], 3, 1, 'relu')),
        ]
        if not residual:
            del links[1]
        return [
            Layer(f'input_stem.{index}', kind, args, 0, f'input_stem.{source}')
            for index, (source, kind, args) in enumerate(links)
        ]

    def _format(self, arch: Arch) -> str:
        form = self.to_dict(arch).items()
        return ';'.join(f'{key}={"-".join(map(str, value))}' for key, value in form)

    def _parse(self, form: str | Mapping | Sequence) -> list:
        if isinstance(form, str):
            form = self._from_string(form)
        if not isinstance(form, Mapping):
            raise ValueError(
                f"{self.name}: {shown(form)} is no dictionary of 'd', 'e' and 'w'"
            )
        count = len(STAGE_WIDTHS)
        lengths = {'d': count + 1, 'e': len(list(_spots())), 'w': count + 2}
        depths, expansions, widths = lists(self.name, form, lengths)
        # 0 stands for a block that is left out.
        filled = [None if value == 0 else value for value in expansions]
        return [*depths, *filled, *widths]

    def _from_string(self, text: str) -> dict[str, list]:
        form: dict[str, list] = {}
        for part in text.split(';'):
            key, _, values = part.partition('=')
            try:
                numbers = [float(value) for value in values.split('-')]
            except ValueError as error:
                raise ValueError(
                    f'{self.name}: {shown(part)} is not as d=2-0-1-2-1, with e= and w= '
                    'behind it'
                ) from error
            if key in form:
                raise ValueError(f'{self.name}: {key}= is there twice in {shown(text)}')
            form[key] = numbers
        return form


def _spots() -> Iterator[tuple[int, int]]:
    for stage, base in enumerate(BASE_DEPTHS, start=1):
        for block in range(1, base + max(EXTRA_DEPTHS) + 1):
            yield stage, block


def _split(values: Sequence) -> tuple[Sequence, Sequence, Sequence]:
    """Depths, expansions and widths."""
    depths, widths = len(STAGE_WIDTHS) + 1, len(STAGE_WIDTHS) + 2
    return values[:depths], values[depths:-widths], values[-widths:]
