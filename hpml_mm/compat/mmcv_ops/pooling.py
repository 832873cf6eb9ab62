# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Pooling over regions of interest.

Features have shape (N, C, H, W); regions (K, 5), as index into N, x1, y1, x2, y2 in
pixels of the image, which ``spatial_scale`` turns into pixels of the features. Outputs
have shape (K, C, bins, bins).
"""

import torch
from torch import Tensor
from torchvision import ops

from .arithmetic import as_float, bilinear, samples, write, write_gradient

# Row and column of the largest sample where there is no sample.
_NOWHERE = -1.0


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """RoI align (arXiv:1703.06870), written to ``output``.

    The average (``pool_mode`` 1) is torchvision's. The maximum also writes the place
    of each largest sample to ``argmax_y`` and ``argmax_x``.
    """
    input, rois = as_float(input, rois)
    size = (aligned_height, aligned_width)
    if pool_mode == 1:
        pooled = ops.roi_align(
            input, rois, size, spatial_scale, sampling_ratio, aligned
        )
        write([(output, pooled)])
        return
    shift = 0.5 if aligned else 0.0
    for k, roi in enumerate(rois):
        x1, y1, x2, y2 = roi[1:] * spatial_scale - shift
        extent = torch.stack([y2 - y1, x2 - x1])
        if not aligned:
            extent = extent.clamp(min=1)
        y, x = samples(y1, x1, extent, size, sampling_ratio)
        values = bilinear(input, roi[:1], y[None], x[None])[:, 0]
        if values.shape[-1] * values.shape[-2] == 0:  # of no size: as compiled
            output[k] = torch.finfo(torch.float32).min
            argmax_y[k] = argmax_x[k] = _NOWHERE
            continue
        largest, place = values.flatten(-2).max(-1)
        output[k] = largest.to(output.dtype)
        for found, positions in ((argmax_y, y), (argmax_x, x)):
            flat = positions.flatten(-2).expand(len(place), -1, -1, -1)
            found[k] = flat.gather(-1, place[..., None])[..., 0].to(found.dtype)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Gradient of the features, written to ``grad_input``."""
    rois, y, x = as_float(rois, argmax_y, argmax_x)

    def pool(features: Tensor) -> Tensor:
        if pool_mode == 1:
            size = (aligned_height, aligned_width)
            return ops.roi_align(
                features,
                rois.to(features),
                size,
                spatial_scale,
                sampling_ratio,
                aligned,
            )
        channels = features.shape[1]
        # Each channel has points of its own: it becomes a map of its own.
        index = rois[:, :1].long() * channels + torch.arange(channels, device=y.device)
        maps = features.flatten(0, 1)[:, None]
        points = [each.to(features).flatten(0, 1) for each in (y, x)]
        values = bilinear(maps, index.flatten(), *points)[0].view(y.shape)
        return values * (y != _NOWHERE)

    # Pooling is linear in the features, so zeros have the gradient of any others.
    write_gradient(grad_input, pool, grad_output)


def roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Largest pixel of each bin, written to ``output``, its place to ``argmax``.

    torchvision rounds the corners of a region first; MMCV does not.
    """
    height, width = input.shape[-2:]
    for k, roi in enumerate(rois.float()):
        maps = input[int(roi[0])]
        corner, far = roi[1:3] * spatial_scale, (roi[3:] + 1) * spatial_scale
        if not (far > corner).all():
            output[k], argmax[k] = 0, -1
            continue
        step = (far - corner) / roi.new_tensor([pooled_width, pooled_height])
        columns = _bin_edges(corner[0], step[0], pooled_width, width)
        rows = _bin_edges(corner[1], step[1], pooled_height, height)
        for i, (top, bottom) in enumerate(rows):
            for j, (left, right) in enumerate(columns):
                part = maps[:, top:bottom, left:right].flatten(1)
                if part.shape[1] == 0:
                    output[k, :, i, j], argmax[k, :, i, j] = 0, -1
                    continue
                output[k, :, i, j], place = part.max(1)
                row, column = place // (right - left), place % (right - left)
                argmax[k, :, i, j] = ((top + row) * width + left + column).int()


def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Gradient of the features, written to ``grad_input``."""
    channels = grad_input.shape[1]
    pixels = grad_input.shape[2] * grad_input.shape[3]
    maps = rois[:, :1].long() * channels + torch.arange(channels, device=rois.device)
    place = maps[..., None, None] * pixels + argmax.clamp(min=0)
    found = torch.zeros_like(grad_input).flatten()
    found.index_add_(0, place.flatten(), (grad_output * (argmax >= 0)).flatten())
    write([(grad_input, found)])


def _bin_edges(start: Tensor, step: Tensor, bins: int, limit: int) -> list:
    """First pixel of each bin and the one after its last, within the map."""
    at = torch.arange(bins, device=start.device)
    first = (at * step + start).floor().clamp(0, limit).int().tolist()
    last = ((at + 1) * step + start).ceil().clamp(0, limit).int().tolist()
    return list(zip(first, last, strict=True))
