# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""NAS-Bench-Macro: eight layers, each one of three blocks, on CIFAR-10."""

from collections.abc import Callable, Mapping, Sequence

from torch import nn

from hpml_mm.utils.messages import shown

from .blocks import Classifier, ConvLayer, GlobalPool, MobileBlock
from .chain import Layer
from .forms import whole
from .space import Arch, SearchSpace, Slot

STAGE_DEPTHS = (2, 3, 3)
STEM_CHANNELS = 32
FEATURES = 1280
# Expansion and kernel of choices 1 and 2; choice 0 is the identity.
BLOCKS = {1: (3, 3), 2: (6, 5)}


class NASBenchMacroSpace(SearchSpace):
    """Strings of eight digits, one for each layer.

    Su et al., `Prioritized Architecture Sampling <https://arxiv.org/abs/2103.11922>`_.
    0 is the identity (a strided 1x1 convolution where the stage begins), 1 an inverted
    bottleneck of kernel 3 and expansion 3, 2 one of kernel 5 and expansion 6.
    Identities within a stage change nothing, wherever they are, so ``encode`` moves
    them to its end, as the benchmark's authors did: they trained 3,969 networks for
    its 6,561 strings.
    """

    name = 'nas-bench-macro'
    resolution = 32
    num_classes = 10

    def __init__(self) -> None:
        self.slots = tuple(
            Slot(f'stage {stage} layer {layer}', (0, *BLOCKS))
            for stage, depth in enumerate(STAGE_DEPTHS, start=1)
            for layer in range(1, depth + 1)
        )

    def canonical(self, arch: Arch) -> Arch:
        """Move each stage's identities to its end: the same network."""
        values = list(super().canonical(arch).values)
        start = 0
        for depth in STAGE_DEPTHS:
            # A stable sort by "is an identity"; the first layer stays, it strides.
            values[start + 1 : start + depth] = sorted(
                values[start + 1 : start + depth], key=lambda choice: choice == 0
            )
            start += depth
        return Arch(self.name, tuple(values))

    def layers(self, arch: Arch, num_classes: int) -> list[Layer]:
        """List stem, eight layers and head; a stage doubles channels, halves sides."""
        width = STEM_CHANNELS
        layers = [Layer('stem', ConvLayer, (3, width, 3, 1, 'relu'), 0)]
        choices = iter(arch.values)
        for stage, depth in enumerate(STAGE_DEPTHS, start=1):
            for position in range(depth):
                outputs, stride = (2 * width, 2) if position == 0 else (width, 1)
                path = f'features.{len(layers) - 1}'
                kind, args = _block(next(choices), width, outputs, stride)
                layers.append(Layer(path, kind, args, stage))
                width = outputs
        features = (width, FEATURES, 1, 1, 'relu')
        return [
            *layers,
            Layer('out', ConvLayer, features, len(STAGE_DEPTHS) + 1),
            Layer('global_avg_pool', GlobalPool),
            Layer('classifier', Classifier, (FEATURES, num_classes, 0.0)),
        ]

    def _format(self, arch: Arch) -> str:
        return ''.join(map(str, arch.values))

    def _parse(self, form: str | Mapping | Sequence) -> list:
        if isinstance(form, Mapping):
            raise ValueError(f'{self.name}: {shown(form)} is no string of eight digits')
        if len(form) != len(self.slots):
            raise ValueError(
                f'{self.name}: {shown(form)} has {len(form)} layers; '
                f'{len(self.slots)} digits are needed'
            )
        slots = zip(self.slots, form, strict=True)
        return [whole(self.name, slot.name, str(text)) for slot, text in slots]


def _block(
    choice: int, inputs: int, outputs: int, stride: int
) -> tuple[Callable[..., nn.Module], tuple]:
    if choice:
        expansion, kernel = BLOCKS[choice]
        middle = inputs * expansion
        return MobileBlock, (inputs, middle, outputs, kernel, stride, 'relu', False)
    if stride == 1:
        return nn.Identity, ()
    return ConvLayer, (inputs, outputs, 1, stride, None)
