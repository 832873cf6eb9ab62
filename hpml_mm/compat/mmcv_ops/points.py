# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Neighbours in point clouds, and features of chosen points.

B clouds of N points have coordinates of shape (B, N, 3) and features of shape
(B, C, N). The sizes that the compiled ops take as well are read from the shapes.
"""

import torch
from torch import Tensor

from .arithmetic import write


def ball_query_forward(
    center_xyz: Tensor,
    xyz: Tensor,
    idx: Tensor,
    b: int,
    n: int,
    m: int,
    min_radius: float,
    max_radius: float,
    nsample: int,
) -> None:
    """First points within a ring about each centre, written to ``idx`` (B, M, K).

    A centre that is a point counts as well. Where they are fewer than K the first one
    is repeated; without any it is 0.
    """
    squared = _squared(center_xyz, xyz)
    near = (squared == 0) | (squared >= min_radius**2) & (squared < max_radius**2)
    order = near.int().argsort(dim=-1, descending=True, stable=True)[..., :nsample]
    found = order.where(near.gather(-1, order), order[..., :1])
    found = found.where(near.any(-1, keepdim=True), 0)
    idx.copy_(_fill(found, nsample))


def knn_forward(
    xyz: Tensor,
    center_xyz: Tensor,
    idx: Tensor,
    dist2: Tensor,
    b: int,
    n: int,
    m: int,
    nsample: int,
) -> None:
    """Nearest points of each centre, written to ``idx`` and ``dist2`` (B, M, K)."""
    _nearest(center_xyz, xyz, dist2, idx, 1e10)


def three_nn_forward(
    unknown: Tensor, known: Tensor, dist2: Tensor, idx: Tensor, b: int, n: int, m: int
) -> None:
    """Three nearest known points, written to ``dist2`` and ``idx`` (B, N, 3)."""
    _nearest(unknown, known, dist2, idx, torch.inf)


def three_interpolate_forward(
    points: Tensor,
    idx: Tensor,
    weight: Tensor,
    out: Tensor,
    b: int,
    c: int,
    m: int,
    n: int,
) -> None:
    """Weighted sum of three points' features, written to ``out`` (B, C, N)."""
    write([(out, (_gather(points, idx) * weight[:, None]).sum(-1))])


def three_interpolate_backward(
    grad_out: Tensor,
    idx: Tensor,
    weight: Tensor,
    grad_points: Tensor,
    b: int,
    c: int,
    n: int,
    m: int,
) -> None:
    """Gradient of the features, added to ``grad_points`` (B, C, M)."""
    _scatter(grad_points, idx, grad_out[..., None] * weight[:, None])


def gather_points_forward(
    points: Tensor, idx: Tensor, out: Tensor, b: int, c: int, n: int, npoints: int
) -> None:
    """Features of chosen points, written to ``out`` (B, C, M)."""
    write([(out, _gather(points, idx))])


def gather_points_backward(
    grad_out: Tensor,
    idx: Tensor,
    grad_points: Tensor,
    b: int,
    c: int,
    n: int,
    npoints: int,
) -> None:
    """Gradient of the features, added to ``grad_points``."""
    _scatter(grad_points, idx, grad_out)


def group_points_forward(
    points: Tensor,
    idx: Tensor,
    out: Tensor,
    b: int,
    c: int,
    n: int,
    npoints: int,
    nsample: int,
) -> None:
    """Features of groups of points, written to ``out`` (B, C, M, K)."""
    write([(out, _gather(points, idx))])


def group_points_backward(
    grad_out: Tensor,
    idx: Tensor,
    grad_points: Tensor,
    b: int,
    c: int,
    n: int,
    npoints: int,
    nsample: int,
) -> None:
    """Gradient of the features, added to ``grad_points``."""
    _scatter(grad_points, idx, grad_out)


def chamfer_distance_forward(
    xyz1: Tensor, xyz2: Tensor, dist1: Tensor, dist2: Tensor, idx1: Tensor, idx2: Tensor
) -> None:
    """Squared distance and index of each nearest point of the other set."""
    squared = _squared(xyz1, xyz2)
    for axis, distance, index in ((2, dist1, idx1), (1, dist2, idx2)):
        nearest = squared.min(axis)
        write([(distance, nearest.values), (index, nearest.indices)])


def chamfer_distance_backward(
    xyz1: Tensor,
    xyz2: Tensor,
    idx1: Tensor,
    idx2: Tensor,
    grad_dist1: Tensor,
    grad_dist2: Tensor,
    grad_xyz1: Tensor,
    grad_xyz2: Tensor,
) -> None:
    """Gradients of both sets, written to the tensors ``grad_...``."""
    sides = (
        (xyz1, xyz2, idx1, grad_dist1, grad_xyz1, grad_xyz2),
        (xyz2, xyz1, idx2, grad_dist2, grad_xyz2, grad_xyz1),
    )
    for own, other, idx, grad, grad_own, grad_other in sides:
        index = idx.long()[..., None].expand_as(own)
        pull = 2 * grad[..., None] * (own - other.gather(1, index))
        grad_own += pull
        grad_other.scatter_add_(1, index, -pull)


def _squared(first: Tensor, second: Tensor) -> Tensor:
    """Squared distances, shape (B, N, M); by differences, which lose no digits."""
    return (first[:, :, None] - second[:, None]).square().sum(-1)


def _nearest(
    centres: Tensor, points: Tensor, dist2: Tensor, idx: Tensor, far: float
) -> None:
    """Write the nearest points; where points are too few, 0 at the distance ``far``."""
    wanted = idx.shape[-1]
    squared = _squared(centres, points)
    found = squared.topk(min(wanted, points.shape[1]), largest=False)
    dist2.fill_(far)[..., : found.values.shape[-1]] = found.values
    idx.copy_(_fill(found.indices, wanted))


def _fill(index: Tensor, wanted: int) -> Tensor:
    """Lengthen the last axis with zeros."""
    return torch.nn.functional.pad(index, (0, wanted - index.shape[-1]))


def _gather(features: Tensor, idx: Tensor) -> Tensor:
    """Features (B, C, ...) of the points idx (B, ...)."""
    index = idx.long().flatten(1)[:, None].expand(-1, features.shape[1], -1)
    return features.gather(2, index).unflatten(2, idx.shape[1:])


def _scatter(grad_features: Tensor, idx: Tensor, grad: Tensor) -> None:
    index = idx.long().flatten(1)[:, None].expand(-1, grad_features.shape[1], -1)
    grad_features.scatter_add_(2, index, grad.flatten(2))
