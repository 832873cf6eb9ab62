# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Once-for-All's ProxylessNAS space."""

from .blocks import Classifier, ConvLayer, GlobalPool, MobileBlock
from .chain import Layer
from .ofa_mobile import OFAMobileSpace, Stage


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
        """A strided convolution and a block without expansion or shortcut."""
        first, width = self.channels(32), self.channels(16)
        block = (first, first, width, 3, 1, 'relu6', False, False, False)
        return [
            Layer('first_conv', ConvLayer, (3, first, 3, 2, 'relu6'), 0),
            Layer('blocks.0', MobileBlock, block, 0),
        ]

    def tail(self, in_channels: int, num_classes: int) -> list[Layer]:
        """The mixing layer ends the body."""
        mixed = self.channels(1280)
        mix = (in_channels, mixed, 1, 1, 'relu6')
        return [
            Layer('feature_mix_layer', ConvLayer, mix, len(self.stages) + 1),
            Layer('global_avg_pool', GlobalPool),
            Layer('classifier', Classifier, (mixed, num_classes, 0.1)),
        ]
