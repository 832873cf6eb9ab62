# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""From a graph's vector to one number."""

from mmengine.model import BaseModule
from torch import Tensor, nn

from hpml_mm.registry import MODELS


@MODELS.register_module()
class AIOPHead(BaseModule):
    """AIO-P's five linear layers, with one ReLU after the second.

    Args:
        in_channels: Channels of a graph's vector.
        width: Channels in between.
        init_cfg: As for any of MMEngine's modules.
    """

    def __init__(
        self, in_channels: int = 32, width: int = 32, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        self.layers = nn.Sequential(
            nn.Linear(in_channels, width),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.Linear(width, width),
        )
        self.last = nn.Linear(width, 1)

    def before_last(self, vectors: Tensor) -> Tensor:
        """What the last layer weighs, (G, width) of (G, in_channels)."""
        return self.layers(vectors)

    def forward(self, vectors: Tensor) -> Tensor:
        """(G,) of vectors (G, in_channels)."""
        return self.last(self.before_last(vectors)).squeeze(1)


@MODELS.register_module()
class SkipHead(BaseModule):
    """A hidden layer beside a linear path: what is additive need not pass it.

    Args:
        in_channels: Channels of a graph's vector.
        width: Channels of the hidden layer.
        init_cfg: As for any of MMEngine's modules.
    """

    def __init__(
        self, in_channels: int = 128, width: int = 64, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg)
        self.norm = nn.LayerNorm(in_channels)
        self.hidden = nn.Sequential(nn.Linear(in_channels, width), nn.SiLU())
        self.skip = nn.Linear(in_channels, 1, bias=False)
        self.last = nn.Linear(width, 1)

    def before_last(self, vectors: Tensor) -> Tensor:
        """What the last layer weighs, (G, width) of (G, in_channels)."""
        return self.hidden(self.norm(vectors))

    def forward(self, vectors: Tensor) -> Tensor:
        """(G,) of vectors (G, in_channels)."""
        hidden = self.last(self.before_last(vectors))
        return (hidden + self.skip(vectors)).squeeze(1)
