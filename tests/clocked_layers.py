# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A network whose layers take the time that a test says, by their precision."""

import torch
from mmengine.model import BaseModel
from torch import nn


class ClockedConv(nn.Conv2d):
    """A convolution that moves a clock by other seconds in fp32 than in bf16."""

    def __init__(self, clock, full, half, channels, groups=1):
        super().__init__(channels, channels, 3, padding=1, groups=groups)
        self.clock, self.full, self.half = clock, full, half
        self.dtypes = []

    def extra_repr(self):
        return f'{super().extra_repr()}, {self.full}, {self.half}'

    def __deepcopy__(self, memo):
        return ClockedConv(
            self.clock, self.full, self.half, self.in_channels, self.groups
        )

    def forward(self, inputs):
        result = super().forward(inputs)
        self.dtypes.append(result.dtype)
        self.clock.advance(self.full if result.dtype == torch.float32 else self.half)
        return result


class ClockedNet(BaseModel):
    """Two convolutions, the second of them depthwise, and a linear layer.

    Args:
        clock: What the convolutions move.
        seconds: Of the first and the second, each in fp32 and in bf16.
    """

    def __init__(self, clock, seconds=((0.2, 0.1), (0.1, 0.3))):
        super().__init__()
        self.dense = ClockedConv(clock, *seconds[0], 4)
        self.norm = nn.BatchNorm2d(4)
        self.depthwise = ClockedConv(clock, *seconds[1], 4, groups=4)
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 3)
        )

    @property
    def dtypes(self):
        """What each convolution has computed in."""
        return {name: getattr(self, name).dtypes for name in ('dense', 'depthwise')}

    def forward(self, inputs, data_samples=None, mode='tensor'):
        maps = inputs.expand(-1, 4, -1, -1)
        logits = self.head(self.depthwise(self.norm(self.dense(maps))))
        if mode == 'loss':
            return {'loss': nn.functional.cross_entropy(logits, data_samples)}
        return list(logits)
