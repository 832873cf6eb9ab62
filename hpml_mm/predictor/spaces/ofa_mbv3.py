# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Once-for-All's MobileNetV3 space."""

from .blocks import Classifier, ConvLayer, GlobalPool, MobileBlock
from .chain import Layer
from .ofa_mobile import OFAMobileSpace, Stage


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
        """A strided convolution and a block without expansion."""
        width = self.channels(16)
        block = (width, width, width, 3, 1, 'relu', False, False)
        return [
            Layer('first_conv', ConvLayer, (3, width, 3, 2, 'hswish'), 0),
            Layer('blocks.0', MobileBlock, block, 0),
        ]

    def tail(self, in_channels: int, num_classes: int) -> list[Layer]:
        """The final expansion ends the body; pooling comes before the mixing layer."""
        expanded, mixed = self.channels(960), self.channels(1280)
        mix = (expanded, mixed, 1, 1, 'hswish', False)
        expand = (in_channels, expanded, 1, 1, 'hswish')
        return [
            Layer('final_expand_layer', ConvLayer, expand, len(self.stages) + 1),
            Layer('global_avg_pool', GlobalPool),
            Layer('feature_mix_layer', ConvLayer, mix),
            Layer('classifier', Classifier, (mixed, num_classes, 0.1)),
        ]
