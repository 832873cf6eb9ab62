# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The mini-Xception face classifier as a backbone, and the head it ends in."""

from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from mmpretrain.models.heads import ClsHead
from torch import Tensor, fx, nn

from hpml_mm.registry import MODELS


class SeparableConv2d(nn.Sequential):
    """A 3x3 depthwise convolution, then a 1x1 one; no bias, nothing between.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output; the size stays.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(
            in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False
        )
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)


class ResidualBlock(nn.Module):
    """Two separable convolutions with a max pool, and a strided 1x1 shortcut.

    There is no ReLU after the sum: that is how the original network is.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output, at half the size (rounded up).
        norm: Keyword arguments of every ``nn.BatchNorm2d``.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: dict) -> None:
        super().__init__()
        self.shortcut = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels, **norm),
        )
        self.residual = nn.Sequential(
            SeparableConv2d(in_channels, out_channels),
            nn.BatchNorm2d(out_channels, **norm),
            nn.ReLU(inplace=True),
            SeparableConv2d(out_channels, out_channels),
            nn.BatchNorm2d(out_channels, **norm),
            nn.MaxPool2d(3, stride=2, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H / 2, W / 2)."""
        # What a stride of 2 computes. As a stride, oneDNN's weight gradient writes past
        # its buffer on a CPU (torch 2.12, channels-last, fewer than 16 channels, more
        # than one thread) and the process dies sooner or later of a corrupted heap.
        return self.shortcut(every_second(x)) + self.residual(x)


@fx.wrap  # a tracer has no layout to ask for
def every_second(x: Tensor) -> Tensor:
    """Every second row and column of a map, with a gradient laid out as the map is.

    A slice's own gradient is always laid out channels-first. Adding it to another one
    that is channels-last takes a CPU ten times as long.

    Args:
        x: Shape (N, C, H, W).
    """
    if not x.is_contiguous(memory_format=torch.channels_last):
        return x[..., ::2, ::2]
    return x.permute(0, 2, 3, 1)[:, ::2, ::2].permute(0, 3, 1, 2)


@MODELS.register_module()
class MiniXception(BaseBackbone):
    """Mini-Xception: a stem of two convolutions and four residual blocks.

    The network of Arriaga et al., `Real-time Convolutional Neural Networks for
    Emotion and Gender Classification <https://arxiv.org/abs/1710.07557>`_, with
    the widths of its best-known PyTorch port: 48,880 parameters here, 56,951
    together with :class:`ConvClsHead`.

    **BatchNorm momentum.** The Keras original averages its running statistics
    with momentum .99, which weighs the newest batch by .01. The port copied the
    number .99, but in PyTorch it is the weight of the *newest* batch, so its
    statistics are those of the last batch alone and validation is noisy. The
    default here is what was meant: .01. The recipes of this project set .1, as
    they train for few thousand steps, where an average over the last hundred
    batches lags behind the weights. .99 reproduces the port.

    Weights start as PyTorch's layers start them (Kaiming uniform, ``a=sqrt(5)``),
    as in the port.

    Args:
        in_channels: 1 for grey faces.
        bn_momentum: Weight of the newest batch in the running statistics
            (PyTorch's meaning), from above 0 to 1.
        bn_eps: Added to the variance; 1e-3 is the default of Keras.
        init_cfg: Initialisation as MMEngine takes it, such as a pretrained
            checkpoint.

    Raises:
        ValueError: If ``bn_momentum`` is not within (0, 1].
    """

    STEM_CHANNELS = 8
    BLOCK_CHANNELS = (16, 32, 64, 128)

    def __init__(
        self,
        in_channels: int = 1,
        bn_momentum: float = 0.01,
        bn_eps: float = 1e-3,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if not 0 < bn_momentum <= 1:
            raise ValueError(
                f'MiniXception: bn_momentum must be above 0 and at most 1, got '
                f'{bn_momentum}; it is the weight of the newest batch'
            )
        norm: dict[str, Any] = {'momentum': bn_momentum, 'eps': bn_eps}
        width = self.STEM_CHANNELS
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, bias=False),
            nn.BatchNorm2d(width, **norm),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, bias=False),
            nn.BatchNorm2d(width, **norm),
            nn.ReLU(inplace=True),
        )
        widths = (width, *self.BLOCK_CHANNELS)
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(inputs, outputs, norm)
                for inputs, outputs in zip(widths[:-1], widths[1:], strict=True)
            )
        )

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Map faces to features.

        Args:
            x: Faces of shape (N, in_channels, H, W); the stem takes 4 pixels off
                each side and each block halves, so 44x44 becomes 3x3.

        Returns:
            One map of shape (N, 128, h, w), in a tuple as heads expect it.
        """
        return (self.blocks(self.stem(x)),)


@MODELS.register_module()
class ConvClsHead(ClsHead):
    """A convolution to one map a class, averaged over the map: no linear layer.

    Args:
        in_channels: Channels of the backbone's last map.
        num_classes: Number of classes.
        kernel_size: Side of the kernel; odd, so that the size stays.
        loss: Loss module; MMPretrain's cross entropy if None.
        topk: Which top-k accuracies ``cal_acc`` computes.
        cal_acc: True if training steps report their accuracy.
        init_cfg: Initialisation as MMEngine takes it.

    Raises:
        ValueError: If ``kernel_size`` is even.
    """

    def __init__(
        self,
        in_channels: int = 128,
        num_classes: int = 7,
        kernel_size: int = 3,
        loss: dict | None = None,
        topk: int | Sequence[int] = (1,),
        cal_acc: bool = False,
        init_cfg: dict | list | None = None,
    ) -> None:
        loss = loss or {'type': 'mmpretrain.CrossEntropyLoss', 'loss_weight': 1.0}
        super().__init__(loss=loss, topk=topk, cal_acc=cal_acc, init_cfg=init_cfg)
        if kernel_size % 2 == 0:
            raise ValueError(
                f'ConvClsHead: kernel_size must be odd, got {kernel_size}; an even '
                'kernel has no padding that keeps the size of the map'
            )
        self.num_classes = num_classes
        self.conv = nn.Conv2d(
            in_channels, num_classes, kernel_size, padding=kernel_size // 2
        )
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Map the features of the last stage, (N, C, H, W), to logits (N, classes)."""
        return torch.flatten(self.pool(self.conv(self.pre_logits(feats))), 1)
