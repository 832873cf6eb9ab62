# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""BatchNorm over few channels, computed in whole vectors of a CPU.

PyTorch's kernels for channels-last maps walk along the channels of one pixel. Eight
channels do not fill a vector register of 16 or 32 numbers, and each number is then
computed on its own. Here the channels of neighbouring pixels are taken for channels of
one wide pixel. Their statistics are combined afterwards.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# From so many channels on PyTorch's own kernels fill their vectors.
_ENOUGH = 32
# Channels of a wide pixel at most: a multiple of all lengths of vectors.
_WIDE = 128


class WideBatchNorm2d(nn.BatchNorm2d):
    """Computes what ``nn.BatchNorm2d`` does, for several pixels at once.

    Only in training, on a CPU, of channels-last maps with fewer than 32 channels; all
    else is left to the parent class. The state is the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise maps of shape (N, C, H, W)."""
        pixels = self._pixels(x)
        if pixels == 1:
            return super().forward(x)
        assert self.num_batches_tracked is not None, 'running statistics are tracked'
        self.num_batches_tracked.add_(1)
        return _WideNorm.apply(
            x,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            self.momentum,
            self.eps,
            pixels,
        )

    def _pixels(self, x: Tensor) -> int:
        """Find out how many pixels become a wide one."""
        channels = self.num_features
        able = (
            self.training
            and self.affine
            and self.track_running_stats
            and self.momentum is not None
            and x.device.type == 'cpu'
            and not torch.compiler.is_compiling()
            and channels < _ENOUGH
            and x.is_contiguous(memory_format=torch.channels_last)
        )
        if not able:
            return 1
        count = x.numel() // channels
        return next(n for n in range(_WIDE // channels, 0, -1) if count % n == 0)


def widen_batch_norms_(model: nn.Module) -> int:
    """Replace the model's BatchNorms over few channels by :class:`WideBatchNorm2d`.

    Subclasses of ``nn.BatchNorm2d`` are left alone.

    Returns:
        Number of these layers.
    """
    found = [
        module
        for module in model.modules()
        if type(module) is nn.BatchNorm2d and module.num_features < _ENOUGH
    ]
    for module in found:
        module.__class__ = WideBatchNorm2d
    return len(found)


class _WideNorm(torch.autograd.Function):
    """Autograd function: normalise by the batch, update the running statistics."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
        pixels: int,
    ) -> Tensor:
        channels, count = x.shape[1], x.numel() // x.shape[1]
        # Statistics come in the precision of running ones, which is float32 for bf16.
        unused, other = weight.new_zeros(2, channels * pixels)
        means, variances = (
            part.view(pixels, channels)
            for part in torch.batch_norm_update_stats(
                _wide(x, pixels), unused, other, 0.0
            )
        )
        mean = means.mean(0)
        # The variance of all is that within the parts and that between them.
        var = (variances + (means - mean).square_()).mean(0)
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(var * (count / max(count - 1, 1)), momentum)
        y = torch.empty_like(x)
        _scaled(x, weight, bias, mean, var, eps, pixels, out=y)
        ctx.save_for_backward(x, weight, mean, var)
        ctx.eps, ctx.pixels = eps, pixels
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, var = ctx.saved_tensors
        channels, count = x.shape[1], x.numel() // x.shape[1]
        grad = grad.contiguous(memory_format=torch.channels_last)
        _, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            _wide(grad, ctx.pixels),
            _wide(x, ctx.pixels),
            weight.repeat(ctx.pixels),
            mean.repeat(ctx.pixels),
            var.repeat(ctx.pixels),
            None,
            None,
            False,
            ctx.eps,
            [False, True, True],
        )
        of_weight = of_weight.view(-1, channels).sum(0)
        of_bias = of_bias.view(-1, channels).sum(0)
        # weight / std * (grad - mean(grad) - normalised * mean(grad * normalised)),
        # which is the sum of two scaled maps (Ioffe and Szegedy, 2015, section 3).
        scale = weight * (var + ctx.eps).rsqrt()
        none, one = torch.zeros_like(mean), torch.ones_like(mean)
        of_x, rest = torch.empty_like(x), torch.empty_like(x)
        _scaled(grad, scale, -scale * of_bias / count, none, one, 0.0, ctx.pixels, of_x)
        _scaled(
            x, -scale * of_weight / count, none, mean, var, ctx.eps, ctx.pixels, rest
        )
        return of_x.add_(rest), of_weight, of_bias, None, None, None, None, None


def _scaled(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    eps: float,
    pixels: int,
    out: Tensor,
) -> None:
    """``(x - mean) / sqrt(var + eps) * weight + bias``, by channel, into ``out``."""
    torch.native_batch_norm(
        _wide(x, pixels),
        weight.repeat(pixels),
        bias.repeat(pixels),
        mean.repeat(pixels),
        var.repeat(pixels),
        False,
        0.0,
        eps,
        out=(_wide(out, pixels), weight.new_empty(0), weight.new_empty(0)),
    )


def _wide(x: Tensor, pixels: int) -> Tensor:
    """A view of a channels-last map as one row of wide pixels, channels-last too."""
    rows = x.permute(0, 2, 3, 1).reshape(1, -1, pixels * x.shape[1])
    return rows.transpose(1, 2).unsqueeze(-1)
