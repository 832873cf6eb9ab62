# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Pooling over regions that are rotated or deformed, and over the borders of boxes.

Features, regions and outputs have the shapes of :mod:`.pooling`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .arithmetic import as_float, bilinear, gradients, samples, write, write_gradient


def roi_align_rotated_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
    clockwise: bool,
) -> None:
    """RoI align of rotated regions, written to ``output``.

    Regions have shape (K, 6): index, x and y of the centre, width, height, and the
    angle in radians.
    """
    size = (pooled_height, pooled_width)
    input, rois = as_float(input, rois)
    pool = _rotated(rois, size, spatial_scale, sampling_ratio, aligned, clockwise)
    write([(output, pool(input))])


def roi_align_rotated_backward(
    grad_output: Tensor,
    rois: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
    clockwise: bool,
) -> None:
    """Gradient of the features, written to ``grad_input``."""
    size = (pooled_height, pooled_width)
    pool = _rotated(rois, size, spatial_scale, sampling_ratio, aligned, clockwise)
    write_gradient(grad_input, pool, grad_output)


def deform_roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    offset: Tensor,
    output: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> None:
    """Deformable RoI pooling (arXiv:1703.06211), written to ``output``.

    ``offset``, shape (K, 2, bins, bins), moves each bin by x and y, in units of
    ``gamma`` times the region's size; without elements nothing moves.
    """
    size = (pooled_height, pooled_width)
    input, rois, offset = as_float(input, rois, offset)
    pool = _deformed(rois, size, spatial_scale, sampling_ratio, gamma)
    write([(output, pool(input, offset))])


def deform_roi_pool_backward(
    grad_output: Tensor,
    input: Tensor,
    rois: Tensor,
    offset: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> None:
    """Gradients of features and offset, written to the tensors ``grad_...``."""
    size = (pooled_height, pooled_width)
    pool = _deformed(rois, size, spatial_scale, sampling_ratio, gamma)
    if offset.numel():
        found = gradients(pool, [input, offset], grad_output)
        write(list(zip((grad_input, grad_offset), found, strict=True)))
    else:
        write_gradient(grad_input, lambda each: pool(each, offset), grad_output)


def border_align_forward(
    input: Tensor, boxes: Tensor, output: Tensor, argmax_idx: Tensor, pool_size: int
) -> None:
    """Largest sample along each border of a box (arXiv:2007.11056).

    Args:
        input: Maps of shape (N, 4 C, H, W), C for the top, left, bottom and right.
        boxes: Shape (N, K, 4), in pixels of the maps.
        output: Shape (N, C, K, 4).
        argmax_idx: Number of each largest sample, of the same shape.
        pool_size: Steps along a border; samples are one more.
    """
    input, boxes = as_float(input, boxes)
    values = _border_values(input, boxes, pool_size)
    largest, place = values.max(-1)
    write([(output, largest), (argmax_idx, place.int())])


def border_align_backward(
    grad_output: Tensor,
    boxes: Tensor,
    argmax_idx: Tensor,
    grad_input: Tensor,
    pool_size: int,
) -> None:
    """Gradient of the maps, written to ``grad_input``."""

    def pool(features: Tensor) -> Tensor:
        values = _border_values(features, boxes.to(features), pool_size)
        return values.gather(-1, argmax_idx.long()[..., None])[..., 0]

    write_gradient(grad_input, pool, grad_output)


def _average(values: Tensor) -> Tensor:
    """Average over samples, of shape (C, 1, bins, bins, samples, samples)."""
    count = max(1, values.shape[-1] * values.shape[-2])
    return values.sum((-2, -1))[:, 0] / count


def _stack(pooled: list[Tensor], features: Tensor, size: tuple[int, int]) -> Tensor:
    """One tensor of the regions' bins, also of none."""
    if pooled:
        return torch.stack(pooled)
    return features.new_zeros(0, features.shape[1], *size) + 0 * features.sum()


def _rotated(
    rois: Tensor,
    size: tuple[int, int],
    scale: float,
    ratio: int,
    aligned: bool,
    clockwise: bool,
) -> Callable[[Tensor], Tensor]:
    """Pooling of features over rotated regions."""

    def pool(features: Tensor) -> Tensor:
        pooled = []
        for roi in rois.to(features):
            centre = roi[1:3] * scale - (0.5 if aligned else 0.0)
            extent = roi[3:5].flip(0) * scale
            if not aligned:
                extent = extent.clamp(min=1)
            angle = -roi[5] if clockwise else roi[5]
            top, left = -extent / 2
            v, u = samples(top, left, extent, size, ratio)
            y = v * angle.cos() - u * angle.sin() + centre[1]
            x = v * angle.sin() + u * angle.cos() + centre[0]
            pooled.append(_average(bilinear(features, roi[:1], y[None], x[None])))
        return _stack(pooled, features, size)

    return pool


def _deformed(
    rois: Tensor, size: tuple[int, int], scale: float, ratio: int, gamma: float
) -> Callable[[Tensor, Tensor], Tensor]:
    """Pooling of features over regions whose bins are moved by offsets."""

    def pool(features: Tensor, offset: Tensor) -> Tensor:
        pooled = []
        for k, roi in enumerate(rois.to(features)):
            x1, y1, x2, y2 = roi[1:] * scale - 0.5
            extent = torch.stack([y2 - y1, x2 - x1])
            y, x = samples(y1, x1, extent, size, ratio)
            if offset.numel():
                along, down = gamma * offset[k]
                y = y + (down * extent[0])[..., None, None]
                x = x + (along * extent[1])[..., None, None]
            pooled.append(_average(bilinear(features, roi[:1], y[None], x[None])))
        return _stack(pooled, features, size)

    return pool


def _border_values(features: Tensor, boxes: Tensor, pool_size: int) -> Tensor:
    """Samples along the borders, shape (N, C, K, 4, pool_size + 1)."""
    batch, number = boxes.shape[:2]
    part = torch.arange(pool_size + 1).to(boxes) / pool_size
    x1, y1, x2, y2 = boxes[..., None].unbind(2)
    across, down = (x2 - x1) * part, (y2 - y1) * part
    still = torch.zeros_like(across)
    x = torch.stack([x1 + across, x1 + still, x2 - across, x2 - still], 2)
    y = torch.stack([y1 + still, y1 + down, y2 - still, y2 - down], 2)
    # A map of each border: (N, 4 C, H, W) to (4 N, C, H, W).
    maps = features.unflatten(1, (4, -1)).flatten(0, 1)
    index = torch.arange(4 * batch, device=boxes.device)
    points = [each.transpose(1, 2).flatten(0, 1) for each in (y, x)]
    values = bilinear(maps, index, *points)
    return values.view(-1, batch, 4, number, pool_size + 1).permute(1, 0, 3, 2, 4)
