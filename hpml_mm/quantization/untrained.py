# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Random weights with statistics of real images, where only the speed is of interest.

Straight from their initialisation, networks say little of INT8: BatchNorm's statistics
are neutral, and many residual branches end in a factor of zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseModel
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from hpml_mm.deploy.network import plain_network

from .evaluate import Evaluation, Validation


@dataclass(frozen=True)
class Unjudged(Validation):
    """Says what a validation set holds; no model is run on it."""

    def run(self, model: BaseModel) -> Evaluation:
        """Without any score."""
        return Evaluation({})


def without_pretrained_(model: ConfigDict) -> None:
    """Drop weights that a model's config would read or download.

    Args:
        model: Of the config; changed in place.
    """
    for key, value in list(model.items()):
        parts = value if isinstance(value, list) else [value]
        for part in parts:
            if isinstance(part, dict):
                without_pretrained_(part)
        pretrained = isinstance(value, dict) and value.get('type') == 'Pretrained'
        if key == 'init_cfg' and pretrained:
            model.pop(key)


def estimate_statistics_(model: BaseModel, batches: Sequence[Tensor]) -> int:
    """Switch residual branches on, and give BatchNorm the statistics of images.

    Args:
        model: A classifier or a top-down pose model with random weights.
        batches: Normalised images of shape (N, C, H, W).

    Returns:
        How many BatchNorm layers ended their branch in a factor of zero; now one.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    off = [m for m in norms if m.affine and not m.weight.any()]
    for norm in off:
        torch.nn.init.ones_(norm.weight)
    network = plain_network(model).eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    with torch.no_grad():
        for batch in batches:
            network(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
    return len(off)
