# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Overlaps of boxes, and what they suppress, of MMCV.

The expected values are those of loops or of other libraries, and hold with compiled ops
too.
"""

import math

import plain_ops as plain
import pytest
import torch
from plain_ops import close
from shapely.geometry import Point, Polygon
from torchvision import ops


def boxes(number):
    corner = torch.rand(number, 2) * 10
    return torch.cat([corner, corner + 1 + torch.rand(number, 2) * 8], 1)


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
def test_soft_nms(method, offset):
    from mmcv.ops import soft_nms

    some, scores = boxes(12), torch.rand(12)
    settings = (0.3, 0.5, 0.05, method, offset)
    dets, kept = soft_nms(some, scores, *settings)
    expected = plain.soft_nms(some.tolist(), scores.tolist(), *settings)
    assert kept.tolist() == [index for index, _ in expected]
    close(dets[:, 4], torch.tensor([score for _, score in expected]))
    close(dets[:, :4], some[kept])
    assert len(soft_nms(some[:0], scores[:0])[1]) == 0


def test_nms_match():
    from mmcv.ops import nms_match

    some = torch.tensor(
        [[0.0, 0, 10, 10, 0.5], [0, 0, 10, 8, 0.9], [20, 20, 30, 30, 0.7]]
    )
    assert [each.tolist() for each in nms_match(some, 0.6)] == [[1, 0], [2]]
    assert [each.tolist() for each in nms_match(some, 0.9)] == [[1], [2], [0]]
    # A box without a size overlaps nothing, not even itself.
    some[1, 2:4] = 0
    assert [each.tolist() for each in nms_match(some, 0.6)] == [[1], [2], [0]]


def test_overlaps_of_boxes():
    from mmcv.ops import bbox_overlaps

    first, second = boxes(5), boxes(4)
    close(bbox_overlaps(first, second), ops.box_iou(first, second))
    aligned = bbox_overlaps(first[:4], second, aligned=True)
    close(aligned, ops.box_iou(first[:4], second).diag())
    # 2 x 4 of 4 x 4; with the offset 3 x 5 of 5 x 5.
    a, b = torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([[2.0, 0, 6, 4]])
    assert bbox_overlaps(a, b, mode='iof').tolist() == [[0.5]]
    assert bbox_overlaps(a, b, mode='iof', offset=1).tolist() == [[pytest.approx(0.6)]]


def rotated(number):
    centre, size = torch.rand(number, 2) * 6, 1 + torch.rand(number, 2) * 5
    return torch.cat([centre, size, torch.rand(number, 1) * 2 * math.pi], 1)


def outline(box, clockwise=True):
    """The polygon of a box in an image, whose y axis points down."""
    x, y, w, h, angle = box.tolist()
    cos, sin = math.cos(angle), math.sin(angle) * (1 if clockwise else -1)
    corners = [(w / 2, h / 2), (-w / 2, h / 2), (-w / 2, -h / 2), (w / 2, -h / 2)]
    return Polygon([(x + a * cos - b * sin, y + a * sin + b * cos) for a, b in corners])


def overlap(a, b, mode='iou'):
    both = a.intersection(b).area
    return both / (a.area if mode == 'iof' else a.union(b).area)


@pytest.mark.parametrize('mode', ['iou', 'iof'])
@pytest.mark.parametrize('clockwise', [True, False])
def test_overlaps_of_rotated_boxes(mode, clockwise):
    from mmcv.ops import box_iou_rotated

    first, second = rotated(7), rotated(5)
    second[0] = first[0]
    second[1] = torch.tensor([50.0, 50, 1, 1, 0])  # far away
    first[2, 4] = second[2, 4] = 0
    expected = torch.tensor(
        [
            [
                overlap(outline(a, clockwise), outline(b, clockwise), mode)
                for b in second
            ]
            for a in first
        ]
    )
    close(box_iou_rotated(first, second, mode, clockwise=clockwise), expected)
    aligned = box_iou_rotated(first[:5], second, mode, True, clockwise)
    close(aligned, expected.diag())


def test_boxes_that_touch_or_coincide():
    from mmcv.ops import box_iou_rotated

    one = torch.tensor([[0.0, 0, 4, 2, 0]])
    others = torch.tensor(
        [
            [0.0, 0, 4, 2, 0],
            [0, 0, 4, 2, math.pi],
            [0, 0, 2, 4, math.pi / 2],
            [4, 0, 4, 2, 0],  # an edge in common
            [0, 0, 2, 1, 0],  # inside
            [0, 0, 4, 2, math.pi / 2],  # a cross
        ]
    )
    expected = torch.tensor([[1, 1, 1, 0, 0.25, 4 / 12]])
    close(box_iou_rotated(one, others), expected, atol=1e-6, rtol=0)


def test_rotated_nms():
    from mmcv.ops import nms_rotated

    some, scores = rotated(15), torch.rand(15)
    labels = torch.arange(15) % 2
    for chosen in (None, labels.float()):
        kept = []
        for i in scores.argsort(descending=True).tolist():
            apart = [
                overlap(outline(some[i]), outline(some[j])) <= 0.2
                or (chosen is not None and labels[i] != labels[j])
                for j in kept
            ]
            kept += [i] if all(apart) else []
        assert 1 < len(kept) < 15
        dets, found = nms_rotated(some, scores, 0.2, chosen)
        assert found.tolist() == kept
        close(dets, torch.cat([some, scores[:, None]], 1)[kept])


def test_quadrilaterals():
    from mmcv.ops import box_iou_quadri, nms_quadri, points_in_polygons

    # The last two are a concave one, and one whose corners run the other way.
    quads = torch.tensor(
        [
            [0.0, 0, 4, 0, 5, 3, -1, 4],
            [1, 1, 6, 1, 6, 5, 2, 6],
            [1, 4, 2, 6, 6, 5, 6, 1],
        ]
    )
    shapes = [Polygon(each.view(4, 2).tolist()) for each in quads]
    expected = torch.tensor([[overlap(a, b) for b in shapes] for a in shapes])
    close(box_iou_quadri(quads, quads), expected)
    scores = torch.tensor([0.5, 0.9, 0.7])
    assert nms_quadri(quads, scores, 0.6)[1].tolist() == [1, 0]
    labels = torch.tensor([0.0, 0, 1])
    assert nms_quadri(quads, scores, 0.6, labels)[1].tolist() == [1, 2, 0]
    concave = torch.tensor([[0.0, 0, 4, 0, 1, 1, 0, 4]])
    points = torch.rand(40, 2) * 6
    polygons = torch.cat([quads, concave])
    shapes.append(Polygon(concave.view(4, 2).tolist()))
    inside = [
        [float(shape.contains(Point(*p))) for shape in shapes] for p in points.tolist()
    ]
    assert 0 < sum(map(sum, inside)) < 160
    assert points_in_polygons(points, polygons).tolist() == inside
