# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Kernel of Gaussian processes on sets of features: linear and Matérn-5/2."""

import math

import torch
from torch import Tensor, nn

# First values of the scales, which are also the middle of their prior, in units of the
# standard deviation of the labels. All are logarithms.
_LINEAR, _JOINT, _DISTANCE = map(math.log, (0.3, 0.3, 0.1))


class Kernel(nn.Module):
    """Sum of a constant, a linear and a Matérn-5/2 kernel.

    Each feature set has a weight in the sum of linear kernels, and one in the distance
    of the other.

    Args:
        sets: Number of feature sets.
    """

    def __init__(self, sets: int) -> None:
        super().__init__()
        self.linear = log_scale(_LINEAR, sets)
        self.distance = log_scale(_DISTANCE, sets)
        self.joint = log_scale(_JOINT)

    def between(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """Covariances (G, H) of networks.

        Args:
            first: (G, F) coordinates of each feature set.
            second: (H, F) the same of others.
        """
        # The 1 is a constant that all labels share: their mean is not known exactly.
        linear = torch.addmm(
            torch.ones((), dtype=torch.float64),
            _weighted(first, self.linear),
            _weighted(second, self.linear).t(),
        )
        one, two = (_weighted(sets, self.distance) for sets in (first, second))
        lengths = one.square().sum(1)[:, None] + two.square().sum(1)
        squared = torch.addmm(lengths, one, two.t(), alpha=-2)
        steps = (5 * squared.clamp(min=0) + 1e-12).sqrt()
        near = (1 + steps + steps.square() / 3) * torch.exp(-steps)
        return linear + self.joint.exp() * near

    def prior(self, features: list[Tensor]) -> Tensor:
        """Variances (G,) of networks, without the constant."""
        return self.joint.exp() + sum(
            weight.exp() * one.square().sum(dim=1)
            for weight, one in zip(self.linear, features, strict=True)
        )


def log_scale(value: float, *shape: int) -> nn.Parameter:
    """Parameter that is the logarithm of scales."""
    return nn.Parameter(torch.full(shape, value, dtype=torch.float64))


def _weighted(sets: list[Tensor], weights: Tensor) -> Tensor:
    """Concatenate the feature sets, each scaled by exp(weight / 2)."""
    parts = zip(sets, weights, strict=True)
    return torch.cat([one * (weight / 2).exp() for one, weight in parts], dim=1)
