# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Small networks with what is hard to quantize."""

import torch
from torch import Tensor, nn

from hpml_mm.deploy.spec import DeploySpec


class Excite(nn.Module):
    """Squeeze-and-excitation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, channels // 2, 1)
        self.expand = nn.Conv2d(channels // 2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.expand(nn.functional.silu(self.reduce(self.pool(x))))
        return x * torch.sigmoid(scale)


class SwishNet(nn.Module):
    """Swish, depthwise layers, squeeze-and-excitation and a sum; to 5 logits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.excite = Excite(8)
        self.project = nn.Conv2d(8, 8, 1)
        self.last = nn.Conv2d(8, 16, 1)
        self.fc = nn.Linear(16, 5)

    def forward(self, images: Tensor) -> Tensor:
        x = nn.functional.silu(self.stem(images))
        y = nn.functional.silu(self.depthwise(x))
        x = x + self.project(self.excite(y))
        return self.fc(torch.relu(self.last(x)).mean((2, 3)))


#: Of the swish net; the two of squeeze-and-excitation stay in FP32.
EXCITE = ['excite.reduce', 'excite.expand']
LAYERS = ['stem', 'depthwise', *EXCITE, 'project', 'last', 'fc']
PLAIN = [name for name in LAYERS if name not in EXCITE]


def swish_net() -> SwishNet:
    """One whose depthwise channels differ a hundredfold, as trained ones do."""
    torch.manual_seed(0)
    network = SwishNet().eval()
    with torch.no_grad():
        network.depthwise.weight *= torch.logspace(-1, 1, 8).view(8, 1, 1, 1)
    return network


def pose_net() -> nn.Module:
    """BatchNorm and a transposed convolution, to 4 heatmaps."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 8, 4, 2, 1),
        nn.ReLU(),
        nn.Conv2d(8, 4, 1),
    )
    network[1].running_var.fill_(0.3)
    return network.eval()


def toy_batches(count: int = 2, seed: int = 1) -> list[Tensor]:
    """Random images of 3x16x16, 8 in a batch."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(8, 3, 16, 16, generator=generator) for _ in range(count)]


def toy_spec() -> DeploySpec:
    """A description of the images of :func:`toy_batches`."""
    return DeploySpec(
        task='classify',
        names=('a', 'b', 'c', 'd', 'e'),
        input_size=(16, 16),
        channels=3,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        color='rgb',
        pipeline=({'type': 'LoadImageFromFile'}, {'type': 'PackInputs'}),
    )
