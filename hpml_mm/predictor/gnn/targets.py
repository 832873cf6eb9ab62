# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Scaling of labels for the training of graph networks.

AIO-P's equations 4 and 5. Labels are in percent; AIO-P's are shares from 0 to 1.
"""

import math

import torch
from torch import Tensor, nn

SCALINGS = ('none', 'stand', 'flops', 'stand_flops')
_PERCENT = 100.0


def flops_factor(macs: Tensor) -> Tensor:
    """AIO-P's equation 5: t(F) = log10(F + 1) + 1, in which F are billions.

    Args:
        macs: Multiply-accumulate operations, of any shape: what AIO-P's networks for
            classification have as FLOPs.
    """
    return torch.log10(macs / 1e9 + 1) + 1


class TargetScaler(nn.Module):
    """Scaler of labels; its statistics are buffers of the model.

    ``none`` only divides by 100. ``stand`` subtracts the mean and divides by the
    standard deviation (that of the population). ``flops`` divides by ``flops_factor``,
    ``stand_flops`` does that first and ``stand`` after it. Nothing is changed in place.

    Args:
        scaling: One of ``SCALINGS``.

    Raises:
        ValueError: There is no such scaling.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, scaling: str = 'stand') -> None:
        super().__init__()
        if scaling not in SCALINGS:
            raise ValueError(
                f'target scaling {scaling!r} is unknown; there are '
                f'{", ".join(SCALINGS)}'
            )
        self.scaling = scaling
        standard = scaling.startswith('stand')
        empty = math.nan if standard else 0.0
        self.register_buffer('mean', torch.tensor(empty, dtype=torch.float64))
        unit = math.nan if standard else 1.0
        self.register_buffer('std', torch.tensor(unit, dtype=torch.float64))

    def fit(self, labels: Tensor, macs: Tensor) -> 'TargetScaler':
        """Take mean and standard deviation from labels of the training networks alone.

        Args:
            labels: (G,) in percent.
            macs: (G,) of the same networks.

        Returns:
            Itself.

        Raises:
            ValueError: There are too few labels, one is not finite, or all are equal.
        """
        if not self.scaling.startswith('stand'):
            return self
        raw = self._raw(labels, macs)
        if not torch.isfinite(raw).all():
            raise ValueError(
                'target scaling: a label is missing or not finite; leave out networks '
                'without a label'
            )
        std = raw.std(correction=0) if len(raw) > 1 else raw.new_zeros(())
        if std <= 0:
            raise ValueError(
                f'target scaling {self.scaling!r} needs at least two labels that '
                f'differ, got {len(raw)}; take more networks, or scaling none'
            )
        self.mean.copy_(raw.mean())
        self.std.copy_(std)
        return self

    def transform(self, labels: Tensor, macs: Tensor) -> Tensor:
        """Scale labels, (G,) in percent, for the loss; float32.

        Raises:
            ValueError: The scaler was not fitted.
        """
        self._check()
        return ((self._raw(labels, macs) - self.mean) / self.std).float()

    def inverse(self, scaled: Tensor, macs: Tensor) -> Tensor:
        """Scale outputs of the model, (G,), back to percent; float64.

        Raises:
            ValueError: The scaler was not fitted.
        """
        self._check()
        raw = scaled.double() * self.std + self.mean
        if self.scaling.endswith('flops'):
            raw = raw * flops_factor(macs)
        return raw * _PERCENT

    def _raw(self, labels: Tensor, macs: Tensor) -> Tensor:
        raw = labels.double() / _PERCENT
        return raw / flops_factor(macs) if self.scaling.endswith('flops') else raw

    def _check(self) -> None:
        if torch.isnan(self.mean):
            raise ValueError(
                f'target scaling {self.scaling!r} was not fitted: train the model, or '
                'load a trained one'
            )

    def extra_repr(self) -> str:
        """Shown when the model is printed."""
        return self.scaling
