# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Heatmap targets of a whole batch in one operation, on any device.

They are those of MMPose's codecs ``MSRAHeatmap`` and ``UDPHeatmap``, which make one
heatmap after another on the CPU. A Gaussian is the product of one along x and one
along y, and so is the square that MMPose cuts it out of: two rows of numbers for each
keypoint are enough, and one multiplication fills the heatmaps.
"""

import math
from dataclasses import dataclass

import torch
from mmpose.codecs import MSRAHeatmap, UDPHeatmap
from mmpose.codecs.base import BaseKeypointCodec

#: The least visibility of a keypoint that is drawn.
DRAWN_FROM = 0.5


@dataclass(frozen=True)
class HeatmapSpec:
    """Settings by which a codec draws heatmaps.

    Attributes:
        kind: ``'msra'``: a Gaussian at the nearest cell, cut off after three sigmas;
            ``'unbiased'``: at the place itself, not cut off; ``'udp'``: at the place
            itself, cut off.
        size: Width and height of a heatmap in cells.
        stride: Pixels of the input for a cell, along x and y.
        sigma: Standard deviation of the Gaussian, in cells.
    """

    kind: str
    size: tuple[int, int]
    stride: tuple[float, float]
    sigma: float

    @classmethod
    def from_codec(cls, codec: BaseKeypointCodec) -> 'HeatmapSpec':
        """Read a codec.

        Raises:
            ValueError: It is another codec, or a kind of heatmaps that is not made
                here.
        """
        # Not a subclass: it may encode in its own way.
        name = type(codec).__name__
        if type(codec) is MSRAHeatmap:
            kind = 'unbiased' if codec.unbiased else 'msra'
        elif type(codec) is UDPHeatmap and codec.heatmap_type == 'gaussian':
            kind = 'udp'
        else:
            raise ValueError(
                f'heatmaps of a batch are made for MSRAHeatmap and for UDPHeatmap with '
                f"heatmap_type='gaussian', not for this {name}; use "
                'PoseDataPreprocessor with GenerateTarget and PackPoseInputs instead'
            )
        stride = tuple(codec.scale_factor.tolist())
        return cls(kind, tuple(codec.heatmap_size), stride, float(codec.sigma))


def batched_heatmaps(
    keypoints: torch.Tensor, visible: torch.Tensor, spec: HeatmapSpec
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw the heatmaps of a batch.

    A keypoint whose square lies wholly outside the heatmap gets a weight of 0 and no
    Gaussian. One with a visibility below a half gets no Gaussian and keeps its
    visibility as its weight, as in MMPose.

    Args:
        keypoints: Places in the input in pixels, float32, shape (N, K, 2).
        visible: Visibilities, shape (N, K).
        spec: Settings of the heatmaps.

    Returns:
        Heatmaps, float32, shape (N, K, H, W), and weights, shape (N, K).
    """
    points = keypoints / keypoints.new_tensor(spec.stride)
    low, high, centre = _squares(points, spec)
    size = torch.tensor(spec.size, device=points.device)
    outside = ((low >= size) | (high < 0)).any(dim=-1)
    drawn = visible >= DRAWN_FROM
    weights = visible.masked_fill(drawn & outside, 0)
    along_x, along_y = (
        _gaussian(low[..., axis], high[..., axis], centre[..., axis], axis, spec)
        for axis in (0, 1)
    )
    along_y = along_y * (drawn & ~outside)[..., None]
    return along_y[..., :, None] * along_x[..., None, :], weights


def _squares(
    points: torch.Tensor, spec: HeatmapSpec
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """First cell, cell after the last one, and centre of each square: (N, K, 2)."""
    radius = spec.sigma * 3
    if spec.kind == 'unbiased':
        return points - radius, points + radius + 1, points
    # MMPose's steps, each cut off towards zero: with a sigma whose triple is no whole
    # number they move the peak by up to a cell, and a target of ours must do so too.
    cell = (points + 0.5).long()
    low, high = (cell - radius).long(), (cell + radius + 1).long()
    centre = (low + math.floor((2 * radius + 1) / 2)).to(points.dtype)
    if spec.kind == 'udp':
        centre = centre + (points - cell)
    return low, high, centre


def _gaussian(
    low: torch.Tensor,
    high: torch.Tensor,
    centre: torch.Tensor,
    axis: int,
    spec: HeatmapSpec,
) -> torch.Tensor:
    """Values along x or y, 0 outside the square: (N, K, cells)."""
    cells = torch.arange(spec.size[axis], device=centre.device)
    away = cells - centre[..., None]
    values = torch.exp(away.square() * (-0.5 / spec.sigma**2))
    if spec.kind == 'unbiased':
        return values
    return values * ((cells >= low[..., None]) & (cells < high[..., None]))
