# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Overlaps of rotated boxes and convex quadrilaterals."""

import torch
from torch import Tensor

from .arithmetic import write


def box_iou_rotated(
    bboxes1: Tensor, bboxes2: Tensor, ious: Tensor, mode_flag: int, aligned: bool
) -> None:
    """Overlaps of rotated boxes, written to ``ious``.

    Args:
        bboxes1: Boxes (x, y, width, height, clockwise angle in radians), shape (N, 5).
        bboxes2: Shape (M, 5).
        ious: Output of N x M elements, or N if ``aligned``.
        mode_flag: 0 divides the intersection by the union, 1 by the first box.
        aligned: True to compare pair by pair.
    """
    write([(ious, _overlaps(_corners(bboxes1), _corners(bboxes2), mode_flag, aligned))])


def box_iou_quadri(
    bboxes1: Tensor, bboxes2: Tensor, ious: Tensor, mode_flag: int, aligned: bool
) -> None:
    """Overlaps of convex quadrilaterals (x1, y1, ..., x4, y4), written to ``ious``."""
    first, second = (b.double().unflatten(-1, (4, 2)) for b in (bboxes1, bboxes2))
    write([(ious, _overlaps(first, second, mode_flag, aligned))])


def nms_rotated(
    dets: Tensor,
    scores: Tensor,
    order: Tensor,
    dets_sorted: Tensor,
    labels: Tensor,
    iou_threshold: float,
    multi_label: bool,
) -> Tensor:
    """Non-maximum suppression of rotated boxes.

    Args:
        dets: Boxes, shape (N, 5), or (N, 6) with their labels if ``multi_label``.
        scores: Shape (N,).
        order: Indices by falling score.
        dets_sorted: ``dets`` in that order.
        labels: Not used; they are in ``dets``.
        iou_threshold: A box is dropped above this overlap with a better one.
        multi_label: True to compare boxes of one label only.

    Returns:
        Indices of the boxes that are kept, best score first.
    """
    label = dets_sorted[:, 5] if multi_label else None
    return order[_suppress(_corners(dets_sorted[:, :5]), iou_threshold, label)]


def nms_quadri(
    dets: Tensor,
    scores: Tensor,
    order: Tensor,
    dets_sorted: Tensor,
    iou_threshold: float,
    multi_label: bool,
) -> Tensor:
    """Non-maximum suppression of quadrilaterals, see :func:`nms_rotated`."""
    label = dets_sorted[:, 8] if multi_label else None
    corners = dets_sorted[:, :8].double().unflatten(-1, (4, 2))
    return order[_suppress(corners, iou_threshold, label)]


def points_in_polygons_forward(
    points: Tensor, polygons: Tensor, output: Tensor
) -> None:
    """Write 1 to ``output``, shape (N, M), for each of N points inside a polygon.

    Points have shape (N, 2), polygons (M, 8), as x1, y1, ..., x4, y4. A point is
    inside if a ray from it crosses an odd number of edges.
    """
    start = polygons.double().unflatten(-1, (4, 2))[None]
    end = start.roll(-1, -2)
    x, y = points.double()[:, None, None].unbind(-1)
    crosses = (start[..., 1] < y) != (end[..., 1] < y)
    slope = (end[..., 0] - start[..., 0]) / (end[..., 1] - start[..., 1])
    at = start[..., 0] + (y - start[..., 1]) * slope
    write([(output, (crosses & (at > x)).sum(-1) % 2)])


def _suppress(corners: Tensor, threshold: float, label: Tensor | None) -> Tensor:
    """Mask of those boxes, best first, that no better one suppresses."""
    near = _overlaps(corners, corners, 0, False) > threshold
    if label is not None:
        near &= label[:, None] == label[None]
    near = near.cpu()
    kept = torch.ones(len(near), dtype=torch.bool)
    for i in range(len(near)):
        if kept[i]:
            kept[i + 1 :] &= ~near[i, i + 1 :]
    return kept.to(corners.device)


def _corners(boxes: Tensor) -> Tensor:
    """Corners of rotated boxes, shape (N, 4, 2), one after another along the edge."""
    centre, size, angle = boxes.double().split((2, 2, 1), -1)
    signs = boxes.new_tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]]).double()
    x, y = (size[:, None] / 2 * signs).unbind(-1)
    cos, sin = angle.cos(), angle.sin()
    rotated = torch.stack([x * cos - y * sin, x * sin + y * cos], -1)
    return centre[:, None] + rotated


def _overlaps(first: Tensor, second: Tensor, mode: int, aligned: bool) -> Tensor:
    """Overlaps of polygons of shapes (N, 4, 2) and (M, 4, 2)."""
    if not aligned:
        pairs = len(first), len(second), 4, 2
        first, second = first[:, None].expand(pairs), second[None].expand(pairs)
    both = _intersection(first, second)
    area1, area2 = _area(first), _area(second)
    whole = area1 if mode else area1 + area2 - both
    return torch.where(whole > 0, both / whole, 0.0)


def _area(corners: Tensor) -> Tensor:
    """Area by the shoelace formula, shape (...), of corners of shape (..., P, 2)."""
    return _cross(corners, corners.roll(-1, -2)).sum(-1).abs() / 2


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def _inside(points: Tensor, corners: Tensor) -> Tensor:
    """Mask of points (..., P, 2) in a convex polygon (..., 4, 2) or on its edge."""
    start = corners[..., None, :, :]
    edge = start.roll(-1, -2) - start
    side = _cross(edge, points[..., None, :] - start)
    room = 1e-9 * edge.square().sum(-1)
    return (side >= -room).all(-1) | (side <= room).all(-1)


def _intersection(first: Tensor, second: Tensor) -> Tensor:
    """Area that two convex polygons share.

    Its corners are the corners of one inside the other and the crossings of edges.
    """
    p, q = first[..., :, None, :], second[..., None, :, :]
    r, s = p.roll(-1, -3) - p, q.roll(-1, -2) - q
    denominator = _cross(r, s)
    parallel = denominator.abs() < 1e-14
    safe = torch.where(parallel, 1.0, denominator)
    t, u = _cross(q - p, s) / safe, _cross(q - p, r) / safe
    crosses = ~parallel & (t >= 0) & (t <= 1) & (u >= 0) & (u <= 1)
    crossings = (p + t[..., None] * r).flatten(-3, -2)
    points = torch.cat([first, second, crossings], -2)
    used = torch.cat(
        [_inside(first, second), _inside(second, first), crosses.flatten(-2)], -1
    )
    count = used.sum(-1, keepdim=True).clamp(min=1)
    centre = (points * used[..., None]).sum(-2) / count
    ray = points - centre[..., None, :]
    # Unused points go to the end and lie on the first one, where they add no area.
    angle = torch.where(used, torch.atan2(ray[..., 1], ray[..., 0]), torch.inf)
    order = angle.argsort(-1)
    ray = ray.gather(-2, order[..., None].expand_as(ray))
    used = used.gather(-1, order)
    ray = torch.where(used[..., None], ray, ray[..., :1, :])
    return torch.where(used.sum(-1) > 2, _area(ray), 0.0)
