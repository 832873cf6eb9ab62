# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The layers of Once-for-All's networks, named as in their checkpoints.

Cai et al., `Once-for-All <https://arxiv.org/abs/1908.09791>`_. Module names follow the
published state dictionaries, so that a checkpoint's keys say where they belong.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

ACTIVATIONS = {'relu': nn.ReLU, 'relu6': nn.ReLU6, 'hswish': nn.Hardswish}


def make_divisible(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of the divisor that loses less than a tenth.

    Channels of all Once-for-All networks are rounded so; the rule is MobileNet's.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


class ConvLayer(nn.Sequential):
    """A convolution that keeps the size over its stride, BatchNorm, an activation.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Side of the kernel; odd.
        stride: Stride in both directions.
        act: A name in ``ACTIVATIONS``, or None for none.
        norm: True if a BatchNorm follows; there is never a bias.
        groups: Groups of the convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int,
        act: str | None,
        norm: bool = True,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride,
            kernel // 2,
            groups=groups,
            bias=False,
        )
        if norm:
            self.bn = nn.BatchNorm2d(out_channels)
        if act is not None:
            self.act = ACTIVATIONS[act](inplace=True)


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate computed from the mean of all channels.

    Args:
        channels: Channels of the map; a quarter of them, rounded to a multiple of 8,
            lie between the two 1x1 convolutions, which have biases.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = make_divisible(channels // 4)
        self.fc = nn.Sequential(
            OrderedDict(
                reduce=nn.Conv2d(channels, reduced, 1),
                relu=nn.ReLU(inplace=True),
                expand=nn.Conv2d(reduced, channels, 1),
                h_sigmoid=nn.Hardsigmoid(inplace=True),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """The map of shape (N, C, H, W), gated."""
        return x * self.fc(x.mean((2, 3), keepdim=True))


class MobileBlock(nn.Module):
    """An inverted bottleneck and, where shapes allow, its shortcut.

    That is a 1x1 expansion, a depthwise convolution and a 1x1 projection.

    Args:
        in_channels: Channels of the input.
        mid_channels: Channels of the depthwise convolution.
        out_channels: Channels of the output.
        kernel: Side of the depthwise kernel.
        stride: Stride of the block.
        act: Activation of the first two, as ``ACTIVATIONS`` names it.
        se: True for squeeze-and-excitation after the depthwise convolution.
        expand: False to leave out the expansion.
        shortcut: True to add the input where stride and channels allow it.
    """

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        kernel: int,
        stride: int,
        act: str,
        se: bool,
        expand: bool = True,
        shortcut: bool = True,
    ) -> None:
        super().__init__()
        depthwise = ConvLayer(
            mid_channels, mid_channels, kernel, stride, act, groups=mid_channels
        )
        if se:
            depthwise.add_module('se', SqueezeExcite(mid_channels))
        self.conv = nn.Sequential()
        if expand:
            expansion = ConvLayer(in_channels, mid_channels, 1, 1, act)
            self.conv.add_module('inverted_bottleneck', expansion)
        self.conv.add_module('depth_conv', depthwise)
        projection = ConvLayer(mid_channels, out_channels, 1, 1, None)
        self.conv.add_module('point_linear', projection)
        self.shortcut = shortcut and stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, out, H / stride, W / stride)."""
        return self.conv(x) + x if self.shortcut else self.conv(x)


class ResidualConv(nn.Module):
    """A 3x3 convolution with its input added: the optional layer of ResNet's stem.

    Args:
        channels: Channels of input and output.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = ConvLayer(channels, channels, 3, 1, 'relu')

    def forward(self, x: Tensor) -> Tensor:
        """A map of the same shape."""
        return self.conv(x) + x


class Bottleneck(nn.Module):
    """ResNet-D's bottleneck: its shortcut is pooled before a 1x1 convolution.

    Args:
        in_channels: Channels of the input.
        mid_channels: Channels of the 3x3 convolution.
        out_channels: Channels of the output.
        stride: Stride of the block.
        project: True if the shortcut has its own convolution.
    """

    def __init__(
        self,
        in_channels: int,
        mid_channels: int,
        out_channels: int,
        stride: int,
        project: bool,
    ) -> None:
        super().__init__()
        self.conv1 = ConvLayer(in_channels, mid_channels, 1, 1, 'relu')
        self.conv2 = ConvLayer(mid_channels, mid_channels, 3, stride, 'relu')
        self.conv3 = ConvLayer(mid_channels, out_channels, 1, 1, None)
        self.downsample = nn.Sequential()
        if project:
            # At stride 1 the original pools single pixels, which changes nothing.
            if stride > 1:
                self.downsample.avg_pool = nn.AvgPool2d(stride, stride, ceil_mode=True)
            self.downsample.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
            self.downsample.bn = nn.BatchNorm2d(out_channels)
        self.final_act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in, H, W) to (N, out, H / stride, W / stride)."""
        residual = self.downsample(x)
        return self.final_act(self.conv3(self.conv2(self.conv1(x))) + residual)


class GlobalPool(nn.Module):
    """The mean of each map, (N, C, H, W) to (N, C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps of one pixel."""
        return x.mean((2, 3), keepdim=True)


class Classifier(nn.Module):
    """A linear layer on maps of one pixel.

    Args:
        in_features: Channels of the maps.
        num_classes: Number of logits.
        dropout: Share of features dropped in training.
    """

    def __init__(self, in_features: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(in_features, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, 1, 1) to logits (N, classes)."""
        return self.linear(self.dropout(torch.flatten(x, 1)))
