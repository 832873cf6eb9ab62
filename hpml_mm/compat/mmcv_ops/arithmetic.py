# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Parts that several ops share: precision, gradients, bilinear samples."""

from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor


def as_float(*tensors: Tensor) -> list[Tensor]:
    """Cast to one dtype, at least float32: many CPU ops lack bfloat16 and float16."""
    dtype = reduce(torch.promote_types, [t.dtype for t in tensors], torch.float32)
    return [tensor.to(dtype) for tensor in tensors]


def gradients(
    function: Callable[..., Tensor], inputs: list[Tensor], grad_output: Tensor
) -> tuple[Tensor, ...]:
    """Differentiate a function at its inputs.

    MMCV asks for gradients inside a backward pass, where no graph is recorded.
    """
    with torch.enable_grad():
        leaves = [each.detach().requires_grad_() for each in as_float(*inputs)]
        output = function(*leaves)
        return torch.autograd.grad(output, leaves, grad_output.to(output.dtype))


def write(pairs: list[tuple[Tensor, Tensor]]) -> None:
    """Copy each second tensor into the first, an output that MMCV has allocated."""
    for output, value in pairs:
        output.copy_(value.reshape(output.shape))


def write_gradient(
    grad_input: Tensor, pool: Callable[[Tensor], Tensor], grad_output: Tensor
) -> None:
    """Write the gradient of a function that is linear in the features."""
    (found,) = gradients(pool, [torch.zeros_like(grad_input)], grad_output)
    write([(grad_input, found)])


def bilinear(features: Tensor, index: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Sample maps bilinearly, as region-of-interest ops do.

    A point more than one pixel outside the map is 0; one nearer to the map takes
    the value at its edge.

    Args:
        features: Maps, shape (N, C, H, W).
        index: Map of each region, shape (K,).
        y: Rows of the points of each region, shape (K, ...).
        x: Columns, of the same shape.

    Returns:
        Values, shape (C, K, ...).
    """
    height, width = features.shape[-2:]
    inside = (y >= -1) & (y <= height) & (x >= -1) & (x <= width)
    y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
    top, left = y.detach().floor().long(), x.detach().floor().long()
    bottom, right = (top + 1).clamp(max=height - 1), (left + 1).clamp(max=width - 1)
    down, along = y - top, x - left
    flat = features.transpose(0, 1).flatten(1)
    start = (index.long() * height * width).reshape(-1, *[1] * (y.dim() - 1))

    def pixels(row: Tensor, column: Tensor) -> Tensor:
        return flat[:, start + row * width + column]

    value = (
        pixels(top, left) * ((1 - down) * (1 - along))
        + pixels(top, right) * ((1 - down) * along)
        + pixels(bottom, left) * (down * (1 - along))
        + pixels(bottom, right) * (down * along)
    )
    return value * inside


def samples(
    y: Tensor, x: Tensor, extent: Tensor, size: tuple[int, int], ratio: int
) -> tuple[Tensor, Tensor]:
    """Rows and columns of one region's samples, both (bins, bins, samples, samples).

    Without a ratio a bin has as many samples as pixels, rounded up.
    """
    axes = []
    for start, length, bins in zip((y, x), extent, size, strict=True):
        count = ratio if ratio > 0 else max(0, int(torch.ceil(length / bins)))
        at = torch.arange(bins, device=length.device).to(length)[:, None]
        part = (torch.arange(count, device=length.device).to(length) + 0.5) / max(
            1, count
        )
        axes.append(start + (at + part) * (length / bins))
    rows, columns = axes
    rows = rows[:, None, :, None].expand(-1, size[1], -1, columns.shape[1])
    columns = columns[None, :, None].expand(size[0], -1, rows.shape[2], -1)
    return rows, columns
