# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""AIO-P's heads of pose estimation; its plain one is MMPose's ``HeatmapHead``.

See Mills et al., AIO-P: Expanding Neural Performance Predictors Beyond Image
Classification (AAAI 2023), and its code.
"""

from collections.abc import Sequence

import torch
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmpose.models import HeatmapHead
from torch import Tensor, nn
from torch.nn import functional

from hpml_mm.registry import MODELS

_NORM = {'type': 'BN'}


@MODELS.register_module()
class SkipHeatmapHead(HeatmapHead):
    """Heatmaps from a body's last feature map, with those before it added on the way.

    After each deconvolution, which doubles the resolution, the feature maps of that
    resolution are concatenated, brought to the deconvolution's channels by a 1x1
    convolution with batch normalisation and ReLU, and added: a feature pyramid.

    Args:
        in_channels: Channels of the feature maps, from the largest map to the smallest.
        strides: Side of the image over that of each feature map; several may have one.
            None if each map has twice the side of the next.
        **kwargs: Passed to MMPose's ``HeatmapHead``.

    Raises:
        ValueError: ``strides`` are not one for each map, or a feature map has not the
            resolution after any deconvolution.
    """

    def __init__(
        self, in_channels: Sequence[int], strides: Sequence[int] | None = None, **kwargs
    ) -> None:
        super().__init__(in_channels=in_channels[-1], **kwargs)
        doubling = [2**power for power in range(len(in_channels))]
        strides = doubling if strides is None else list(strides)
        if len(strides) != len(in_channels):
            raise ValueError(
                f'SkipHeatmapHead: strides are {strides} for {len(in_channels)} '
                'feature maps; give one for each'
            )
        widths = [
            layer.out_channels
            for layer in self.deconv_layers.children()
            if isinstance(layer, nn.ConvTranspose2d)
        ]
        # Which feature maps have the resolution after each deconvolution.
        self._joined = [
            [
                index
                for index, stride in enumerate(strides[:-1])
                if stride * 2**number == strides[-1]
            ]
            for number in range(1, len(widths) + 1)
        ]
        lost = set(range(len(strides) - 1)).difference(*self._joined)
        if lost:
            raise ValueError(
                f'SkipHeatmapHead: feature map {min(lost)} of stride '
                f'{strides[min(lost)]} meets none of {len(widths)} deconvolutions from '
                f'stride {strides[-1]}: leave it out of out_indices of the backbone'
            )
        self.skip_layers = nn.ModuleList(
            ConvModule(sum(in_channels[i] for i in joined), width, 1, norm_cfg=_NORM)
            if joined
            else nn.Identity()
            for joined, width in zip(self._joined, widths, strict=True)
        )

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """Map feature maps (N, C, H / stride, W / stride) to heatmaps (N, K, h, w)."""
        x = feats[-1]
        for number, joined in enumerate(self._joined):
            # Deconvolution, normalisation and ReLU.
            x = self.deconv_layers[3 * number : 3 * number + 3](x)
            if joined:
                skipped = torch.cat([feats[index] for index in joined], dim=1)
                x = x + self.skip_layers[number](skipped)
        return self.final_layer(self.conv_layers(x))


@MODELS.register_module()
class PaddedConvNeck(BaseModule):
    """Brings bodies of different widths to one head: zero channels, then a 1x1 layer.

    The last feature map gets channels of zeros up to ``out_channels``, and then a 1x1
    convolution with batch normalisation and ReLU. AIO-P has it before the head that
    networks of OFA-ResNet-50 share, whose last channels are 1,328, 1,640 or 2,048.
    Feature maps before the last are passed on.

    Args:
        in_channels: Channels of the last feature map.
        out_channels: Channels after padding, and of the convolution.
        init_cfg: Initialisation as MMEngine takes it.

    Raises:
        ValueError: There are more channels than ``out_channels``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 2048,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if in_channels > out_channels:
            raise ValueError(
                f'PaddedConvNeck: in_channels is {in_channels}, more than '
                f'out_channels={out_channels}, to which it pads'
            )
        self.missing = out_channels - in_channels
        self.conv = ConvModule(out_channels, out_channels, 1, norm_cfg=_NORM)

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Map feature maps (N, C, H, W) to feature maps, the last one of another C."""
        *others, last = feats
        padded = functional.pad(last, (0, 0, 0, 0, 0, self.missing))
        return (*others, self.conv(padded))
