# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Bodies whose feature maps a shared head is trained on."""

from collections.abc import Mapping

import numpy as np
import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from hpml_mm.predictor.spaces import Arch, SearchSpace, get_space
from hpml_mm.predictor.spaces.ofa_net import OFANet
from hpml_mm.predictor.spaces.supernet import read_supernet, subnet_weights
from hpml_mm.registry import MODELS
from projects.aiop.archs import extreme_arch


def subnet_body(
    space: SearchSpace, arch: Arch, supernet: Mapping[str, Tensor]
) -> OFANet:
    """Cut the body of a network out of a supernet; it is not trained.

    Args:
        space: One of Once-for-All's spaces.
        arch: Architecture in it.
        supernet: State dictionary of the supernet.

    Raises:
        ValueError: The supernet is of another space.
    """
    with torch.device('meta'):
        body = OFANet(space.name, space.encode(arch))
    layers = space.layers(arch, space.num_classes)
    weights = subnet_weights(supernet, [one for one in layers if one.stage is not None])
    body.load_state_dict(weights, assign=True)
    return body.requires_grad_(False).eval()


@torch.no_grad()
def estimate_statistics(body: nn.Module, images: Tensor) -> None:
    """Estimate BatchNorm's statistics on some images, as a cut network needs.

    Args:
        body: Network, which is in evaluation mode afterwards.
        images: (N, 3, H, W) images.
    """
    norms = [part for part in body.modules() if isinstance(part, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all that is seen
    body.train()(images)
    body.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


@MODELS.register_module()
class SwappedBody(BaseModule):
    """Body of a supernet that is another network every few batches (AIO-P's body swap).

    It is not trained. In evaluation the network is the largest. A batch is normalised
    by its own statistics always, as the supernet's are of other images.

    Args:
        space: One of Once-for-All's spaces.
        supernet: Checkpoint of the supernet.
        interval: Batches that one network sees; AIO-P's ``-swap``.
        seed: Seed of the networks.

    Raises:
        FileNotFoundError: There is no such supernet.
        ValueError: It is of another space, or the interval is below 1.
    """

    def __init__(
        self,
        space: str,
        supernet: str,
        interval: int = 10,
        seed: int = 0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if interval < 1:
            raise ValueError(f'SwappedBody: interval={interval}, at least 1 is needed')
        self.space, self.interval = get_space(space), interval
        self._supernet = read_supernet(supernet)
        self.seed, self._number = seed, -1
        self.register_buffer('batches', torch.zeros((), dtype=torch.int64))
        largest = extreme_arch(self.space, max)
        # In tuples: their weights are the supernet's, and belong to no checkpoint.
        self._largest = (subnet_body(self.space, largest, self._supernet).train(),)
        self._body = self._largest

    @torch.no_grad()
    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map images (N, 3, H, W) to the last feature map, in a tuple."""
        if not self.training:
            return self._largest[0].to(x.device)(x)
        number = int(self.batches) // self.interval
        if number != self._number:  # also where a training goes on
            arch = self.space.sample(np.random.default_rng([self.seed, number]))
            body = subnet_body(self.space, arch, self._supernet)
            self._number, self._body = number, (body.to(x.device).train(),)
        self.batches += 1
        return self._body[0](x)


@MODELS.register_module()
class LatentBody(BaseModule):
    """Stands in for a body where the data are feature maps already (``LoadLatent``)."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps (N, C, H, W), in a tuple."""
        return (x,)
