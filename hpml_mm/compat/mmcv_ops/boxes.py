# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Overlaps of upright boxes and what is suppressed by them.

Boxes have shape (N, 4), as x1, y1, x2, y2; ``offset`` is added to each width and
height, in pixels.
"""

import torch
from torch import Tensor
from torchvision import ops

from .arithmetic import as_float, write


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Non-maximum suppression by ``torchvision.ops.nms``.

    Returns:
        Indices of the boxes that are kept, best score first, shape (K,).
    """
    boxes, scores = as_float(boxes, scores)
    # Width, height and every overlap grow by the offset if x2 and y2 do.
    boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return ops.nms(boxes, scores, iou_threshold)


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft non-maximum suppression, written to ``dets`` as boxes and new scores.

    Args:
        boxes: Boxes.
        scores: Shape (N,).
        dets: Output of shape (N, 5).
        iou_threshold: Overlap from which methods 0 and 1 act.
        sigma: Width of method 2.
        min_score: A box whose new score falls below this is dropped.
        method: 0 drops overlapping boxes, 1 multiplies their score by 1 - IoU, 2 any
            score by exp(-IoU^2 / sigma).
        offset: Added to widths and heights.

    Returns:
        Indices of the boxes that are kept, in the order of ``dets``, shape (K,).
    """
    left = torch.arange(len(boxes))
    scores = scores.clone()
    kept: list[int] = []
    while len(left):
        best = left[scores[left].argmax()]
        dets[len(kept)] = torch.cat([boxes[best], scores[best, None]])
        kept.append(int(best))
        left = left[left != best]
        iou = _overlaps(boxes[best, None], boxes[left], 0, offset)[0]
        if method == 2:
            weight = torch.exp(-(iou**2) / sigma)
        else:
            weight = torch.where(iou < iou_threshold, 1.0, (1 - iou) * method)
        scores[left] *= weight
        left = left[scores[left] >= min_score]
    return torch.tensor(kept, dtype=torch.long)


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Group each kept box with those that it suppresses, by falling score.

    Args:
        dets: Boxes and scores, shape (N, 5).
        iou_threshold: Overlap from which a box belongs to a better one.

    Returns:
        Indices of each group, the kept box first.
    """
    left = dets[:, 4].argsort(descending=True, stable=True)
    groups = []
    while len(left):
        iou = _overlaps(dets[left[:1], :4], dets[left, :4], 0, 0)[0]
        near = iou >= iou_threshold
        near[0] = True  # an empty box does not overlap itself
        groups.append(left[near].tolist())
        left = left[~near]
    return groups


def bbox_overlaps(
    bboxes1: Tensor,
    bboxes2: Tensor,
    ious: Tensor,
    mode: int,
    aligned: bool,
    offset: int,
) -> None:
    """Overlaps of boxes, written to ``ious``: (N, M), or (N,) if ``aligned``.

    ``mode`` 0 divides the intersection by the union, 1 by the first box.
    """
    if aligned:
        bboxes1, bboxes2 = bboxes1[:, None], bboxes2[:, None]
    write([(ious, _overlaps(bboxes1, bboxes2, mode, offset))])


def _overlaps(boxes1: Tensor, boxes2: Tensor, mode: int, offset: int) -> Tensor:
    """Overlaps of shape (..., N, M)."""
    boxes1, boxes2 = boxes1[..., :, None, :], boxes2[..., None, :, :]
    lower = torch.maximum(boxes1[..., :2], boxes2[..., :2])
    upper = torch.minimum(boxes1[..., 2:], boxes2[..., 2:])
    both = (upper - lower + offset).clamp(min=0).prod(-1)
    area1, area2 = (
        (boxes[..., 2:] - boxes[..., :2] + offset).prod(-1)
        for boxes in (boxes1, boxes2)
    )
    return both / (area1 if mode else area1 + area2 - both)
