# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Once-for-All's two spaces of inverted bottlenecks: MobileNetV3 and ProxylessNAS."""

import abc
import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

from hpml_mm.utils.messages import shown

from .blocks import Classifier, ConvLayer, GlobalPool, MobileBlock, make_divisible
from .chain import Layer
from .forms import lists, whole
from .space import Arch, SearchSpace, Slot

KERNELS = (3, 5, 7)
EXPANSIONS = (3, 4, 6)
_BLOCK = re.compile(r'(\w+)_e(\d+)_k(\d+)')


@dataclasses.dataclass(frozen=True)
class Stage:
    """Blocks of one width.

    Attributes:
        width: Output channels before the width multiplier.
        stride: Stride of its first block.
        act: Activation.
        se: True if its blocks have squeeze-and-excitation.
        depths: Allowed numbers of blocks.
    """

    width: int
    stride: int
    act: str
    se: bool = False
    depths: tuple[int, ...] = (2, 3, 4)


class OFAMobileSpace(SearchSpace):
    """Depth, kernel and expansion of inverted bottlenecks, stage by stage.

    A string holds ``kernel-expansion`` of each block, ``0-0`` where it is left out:
    ``7-6;5-6;0-0;0-0;...``. Also read are Once-for-All's dictionary of ``ks``, ``e``
    and ``d``, and AIO-P's block names grouped by stage, ``[['mbconv3_e6_k7', ...]]``.

    Args:
        width: Multiplier of all channels.
    """

    stages: tuple[Stage, ...]
    prefix: str  # AIO-P's name of the block.

    def __init__(self, width: float) -> None:
        self.width = width
        spots = list(self._spots())
        self.slots = (
            *(Slot(f'stage {s} block {b} kernel', KERNELS) for s, b in spots),
            *(Slot(f'stage {s} block {b} expansion', EXPANSIONS) for s, b in spots),
            *(
                Slot(f'stage {index} depth', stage.depths)
                for index, stage in enumerate(self.stages, start=1)
            ),
        )

    @abc.abstractmethod
    def stem(self) -> list[Layer]:
        """List the layers before the searched stages; the last is ``blocks.0``."""

    @abc.abstractmethod
    def tail(self, in_channels: int, num_classes: int) -> list[Layer]:
        """List the layers behind them."""

    def channels(self, base: int) -> int:
        """Multiply a number of channels by the width, and round it."""
        return make_divisible(base * self.width)

    def used(self, values: Sequence) -> list[bool]:
        """Leave out kernels and expansions of blocks beyond their stage's depth."""
        depths = self._depths(values)
        blocks = [block <= (depths[stage - 1] or 0) for stage, block in self._spots()]
        return [*blocks, *blocks, *(True for _ in depths)]

    def layers(self, arch: Arch, num_classes: int) -> list[Layer]:
        """List stem, blocks and tail; features are numbered from the stem's, 0."""
        layers = self.stem()
        inputs = layers[-1].args[2]
        for slot, stage, first, kernel, expansion in self._blocks(arch):
            spec = self.stages[stage - 1]
            outputs = self.channels(spec.width)
            args = (
                inputs,
                make_divisible(inputs * expansion),
                outputs,
                kernel,
                spec.stride if first else 1,
                spec.act,
                spec.se,
            )
            path = f'blocks.{len(layers) - 1}'
            # In the supernet blocks that are left out are counted too.
            source = f'blocks.{slot + 1}'
            layers.append(Layer(path, MobileBlock, args, stage, source))
            inputs = outputs
        return layers + self.tail(inputs, num_classes)

    def to_dict(self, arch: Arch) -> dict[str, list[int]]:
        """Write Once-for-All's form, with 0 for the blocks that are left out.

        Raises:
            ValueError: The architecture is outside the space.
        """
        self.validate(arch)
        values = [value or 0 for value in self.canonical(arch).values]
        count = len(list(self._spots()))
        return {
            'ks': values[:count],
            'e': values[count : 2 * count],
            'd': values[2 * count :],
        }

    def _spots(self) -> Iterator[tuple[int, int]]:
        for index, stage in enumerate(self.stages, start=1):
            for block in range(1, max(stage.depths) + 1):
                yield index, block

    def _depths(self, values: Sequence) -> Sequence:
        return values[len(values) - len(self.stages) :]

    def _blocks(self, arch: Arch) -> Iterator[tuple[int, int, bool, int, int]]:
        """Slot, stage, whether it begins the stage, kernel, expansion of each block."""
        depths = self._depths(arch.values)
        spots = list(self._spots())
        for index, (stage, block) in enumerate(spots):
            if block <= depths[stage - 1]:
                kernel, expansion = arch.values[index], arch.values[index + len(spots)]
                yield index, stage, block == 1, kernel, expansion

    def _format(self, arch: Arch) -> str:
        form = self.to_dict(arch)
        pairs = zip(form['ks'], form['e'], strict=True)
        return ';'.join(f'{kernel}-{expansion}' for kernel, expansion in pairs)

    def _parse(self, form: str | Mapping | Sequence) -> list:
        if isinstance(form, Mapping):
            return self._from_dict(form)
        if isinstance(form, str):
            return self._from_string(form)
        return self._from_blocks(form)

    def _from_dict(self, form: Mapping) -> list:
        count = len(list(self._spots()))
        lengths = {'ks': count, 'e': count, 'd': len(self.stages)}
        kernels, expansions, depths = lists(self.name, form, lengths)
        # 0 stands for a block that is left out.
        filled = [None if value == 0 else value for value in [*kernels, *expansions]]
        return [*filled, *depths]

    def _from_string(self, text: str) -> list:
        spots = list(self._spots())
        parts = text.split(';')
        if len(parts) != len(spots):
            raise ValueError(
                f'{self.name}: {len(parts)} blocks in {shown(text)}; {len(spots)} of '
                "'kernel-expansion' are needed, 0-0 for one that is left out"
            )
        stages: list[list[tuple[int, int]]] = [[] for _ in self.stages]
        for (stage, block), part in zip(spots, parts, strict=True):
            where = f'stage {stage} block {block}'
            kernel, _, expansion = part.partition('-')
            pair = (
                whole(self.name, f'{where} kernel', kernel),
                whole(self.name, f'{where} expansion', expansion),
            )
            if pair == (0, 0):
                continue
            if block != len(stages[stage - 1]) + 1:
                raise ValueError(
                    f'{self.name}: {where} is {part} behind a block that is left out; '
                    'only the last blocks of a stage may be 0-0'
                )
            stages[stage - 1].append(pair)
        return self._from_stages(stages)

    def _from_blocks(self, form: Sequence) -> list:
        lists = [names for names in form if isinstance(names, list | tuple)]
        if len(lists) != len(form) or len(form) != len(self.stages):
            raise ValueError(
                f'{self.name}: {len(lists)} lists of blocks in {shown(form)}; '
                f'{len(self.stages)} are needed, one for each stage'
            )
        stages = []
        for index, names in enumerate(form, start=1):
            pairs = []
            for name in names:
                found = _BLOCK.fullmatch(str(name))
                if found is None or found[1] != self.prefix:
                    raise ValueError(
                        f'{self.name}: stage {index} has the block '
                        f"{shown(name)}; names are as '{self.prefix}_e6_k7'"
                    )
                pairs.append((int(found[3]), int(found[2])))
            stages.append(pairs)
        return self._from_stages(stages)

    def _from_stages(self, stages: list[list[tuple[int, int]]]) -> list:
        kernels: list[int | None] = []
        expansions: list[int | None] = []
        for index, (pairs, stage) in enumerate(zip(stages, self.stages, strict=True)):
            if len(pairs) not in stage.depths:
                allowed = ', '.join(map(str, stage.depths))
                raise ValueError(
                    f'{self.name}: stage {index + 1} depth is {len(pairs)}; '
                    f'allowed are {allowed}'
                )
            padded = [*pairs, *[(None, None)] * (max(stage.depths) - len(pairs))]
            kernels += [kernel for kernel, _ in padded]
            expansions += [expansion for _, expansion in padded]
        return [*kernels, *expansions, *map(len, stages)]


class OFAMobileNetV3Space(OFAMobileSpace):
    """``ofa_mbv3_d234_e346_k357``: five stages, 20 blocks at most.

    Width 1.0 is the space of the published accuracy table, 1.2 that of AIO-P.
    """

    stages = (
        Stage(24, 2, 'relu'),
        Stage(40, 2, 'relu', se=True),
        Stage(80, 2, 'hswish'),
        Stage(112, 1, 'hswish', se=True),
        Stage(160, 2, 'hswish', se=True),
    )
    prefix = 'mbconv3'

    def __init__(self, width: float = 1.0) -> None:
        super().__init__(width)
        self.name = f'ofa-mbv3-w{width}'

    def stem(self) -> list[Layer]:
        """List a strided convolution and a block without expansion."""
        width = self.channels(16)
        block = (width, width, width, 3, 1, 'relu', False, False)
        return [
            Layer('first_conv', ConvLayer, (3, width, 3, 2, 'hswish'), 0),
            Layer('blocks.0', MobileBlock, block, 0),
        ]

    def tail(self, in_channels: int, num_classes: int) -> list[Layer]:
        """End the body with the final expansion; mix after pooling."""
        expanded, mixed = self.channels(960), self.channels(1280)
        mix = (expanded, mixed, 1, 1, 'hswish', False)
        expand = (in_channels, expanded, 1, 1, 'hswish')
        return [
            Layer('final_expand_layer', ConvLayer, expand, len(self.stages) + 1),
            Layer('global_avg_pool', GlobalPool),
            Layer('feature_mix_layer', ConvLayer, mix),
            Layer('classifier', Classifier, (mixed, num_classes, 0.1)),
        ]


class OFAProxylessSpace(OFAMobileSpace):
    """``ofa_proxyless_d234_e346_k357``: six stages, the last of one block.

    Width 1.3 is the one that was published.
    """

    stages = (
        Stage(24, 2, 'relu6'),
        Stage(40, 2, 'relu6'),
        Stage(80, 2, 'relu6'),
        Stage(96, 1, 'relu6'),
        Stage(192, 2, 'relu6'),
        Stage(320, 1, 'relu6', depths=(1,)),
    )
    prefix = 'mbconv2'
    bn_eps = 1e-3

    def __init__(self, width: float = 1.3) -> None:
        super().__init__(width)
        self.name = f'ofa-pn-w{width}'

    def stem(self) -> list[Layer]:
        """List a strided convolution and a block without expansion or shortcut."""
        first, width = self.channels(32), self.channels(16)
        block = (first, first, width, 3, 1, 'relu6', False, False, False)
        return [
            Layer('first_conv', ConvLayer, (3, first, 3, 2, 'relu6'), 0),
            Layer('blocks.0', MobileBlock, block, 0),
        ]

    def tail(self, in_channels: int, num_classes: int) -> list[Layer]:
        """End the body with the mixing layer."""
        mixed = self.channels(1280)
        mix = (in_channels, mixed, 1, 1, 'relu6')
        return [
            Layer('feature_mix_layer', ConvLayer, mix, len(self.stages) + 1),
            Layer('global_avg_pool', GlobalPool),
            Layer('classifier', Classifier, (mixed, num_classes, 0.1)),
        ]
