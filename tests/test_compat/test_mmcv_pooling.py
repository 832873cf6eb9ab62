# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Pooling of MMCV over regions.

The expected values are those of loops or of other libraries, and hold with compiled ops
too.
"""

import math
from itertools import product

import plain_ops as plain
import pytest
import torch
from plain_ops import close, double, gradcheck
from torchvision import ops

FEATURES = (2, 3, 6, 7)
ROIS = torch.tensor(
    [[0, 0.3, 1, 4.1, 5.2], [1, 2, 0, 6.5, 3], [1, -2, -3, 9, 8.0]], dtype=torch.float64
)


@pytest.mark.parametrize('aligned', [True, False])
def test_roi_align_of_the_largest_sample(aligned):
    from mmcv.ops import RoIAlign

    layer = RoIAlign((2, 3), 0.5, 2, 'max', aligned)
    features, rois = double(FEATURES, requires_grad=True), ROIS.clone()
    rois[:, 1:] *= 2
    shift = 0.5 if aligned else 0.0
    expected = torch.zeros(3, 3, 2, 3, dtype=torch.float64)
    for k, (index, *box) in enumerate(rois.tolist()):
        box = [side / 2 - shift for side in box]
        for (i, j, places), c in product(plain.roi_bins(box, (2, 3), 2), range(3)):
            image = features[int(index), c]
            values = [plain.sample(image, y, x, 'edge') for y, x in places]
            expected[k, c, i, j] = torch.stack(values).max()
    found = layer(features, rois)
    close(found, expected)
    weight = torch.rand_like(found)
    (grad,) = torch.autograd.grad((found * weight).sum(), features)
    (expected_grad,) = torch.autograd.grad((expected * weight).sum(), features)
    close(grad, expected_grad)


def test_roi_align_without_samples_has_no_gradient():
    from mmcv.ops import roi_align

    features = torch.randn(1, 2, 5, 5, requires_grad=True)
    empty = torch.tensor([[0.0, 3, 3, 3, 3]])
    roi_align(features, empty, 2, 1.0, 0, 'max', True).sum().backward()
    assert not features.grad.any()


def test_roi_pool():
    from mmcv.ops import RoIPool

    features = double(FEATURES, requires_grad=True)
    rois = torch.cat([ROIS, torch.tensor([[0.0, 5, 5, 2, 2]], dtype=torch.float64)])
    found = RoIPool((2, 2), 0.8)(features, rois)
    for k, (index, x1, y1, x2, y2) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = x1 * 0.8, y1 * 0.8, (x2 + 1) * 0.8, (y2 + 1) * 0.8
        for i, j in product(range(2), repeat=2):
            edges = [
                (math.floor(low + at * size / 2), math.ceil(low + (at + 1) * size / 2))
                for low, size, at in ((y1, y2 - y1, i), (x1, x2 - x1, j))
            ]
            (top, bottom), (left, right) = [
                (min(max(a, 0), limit), min(max(b, 0), limit))
                for (a, b), limit in zip(edges, FEATURES[2:], strict=True)
            ]
            part = features[int(index), :, top:bottom, left:right].flatten(1)
            whole = x2 > x1 and y2 > y1 and part.shape[1]
            expected = part.max(1).values if whole else torch.zeros(3).double()
            close(found[k, :, i, j], expected)
    assert gradcheck(lambda x: RoIPool((2, 2), 0.8)(x, rois), features)


def test_rotated_roi_align():
    from mmcv.ops import RoIAlign, RoIAlignRotated

    features = double(FEATURES, requires_grad=True)
    x1, y1, x2, y2 = ROIS[:, 1:].unbind(1)
    upright = torch.stack(
        [ROIS[:, 0], (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, 0 * x1], 1
    )
    for ratio, aligned in product((0, 2), (True, False)):
        layer = RoIAlignRotated((2, 3), 1.0, ratio, aligned)
        plainly = RoIAlign((2, 3), 1.0, ratio, aligned=aligned)
        close(layer(features, upright), plainly(features, ROIS))
    # A quarter turn counter-clockwise, of a square: the map turned the other way.
    turned = upright[:1].clone()
    turned[:, 3:5], turned[:, 5] = 3.0, math.pi / 2
    straight = turned * turned.new_tensor([1, 1, 1, 1, 1, 0])
    for clockwise in (True, False):
        layer = RoIAlignRotated(3, 1.0, 2, True, clockwise)
        turns = 1 if clockwise else -1
        expected = layer(features, straight).rot90(turns, (2, 3))
        close(layer(features, turned), expected)
    turned = upright + torch.rand_like(upright).round(decimals=1) * 0.7
    turned[:, 0] = ROIS[:, 0]
    layer = RoIAlignRotated((2, 3), 0.7, 0, True)
    assert gradcheck(lambda x: layer(x, turned), features)
    assert layer(features, turned[:0]).shape == (0, 3, 2, 3)


def test_deformable_roi_pool():
    from mmcv.ops import DeformRoIPool, deform_roi_pool

    features = double(FEATURES, requires_grad=True)
    still = DeformRoIPool((2, 2), 0.9, 2)(features, ROIS)
    close(still, ops.roi_align(features, ROIS, (2, 2), 0.9, 2, True))
    offset = double(3, 2, 2, 2)
    # All bins moved alike are the region moved: by gamma times its size.
    for axis, size in ((0, ROIS[:, 3] - ROIS[:, 1]), (1, ROIS[:, 4] - ROIS[:, 2])):
        moved, alike = ROIS.clone(), torch.zeros_like(offset)
        alike[:, axis] = 0.5
        moved[:, [1 + axis, 3 + axis]] += (0.1 * 0.5 * size)[:, None]
        found = deform_roi_pool(features, ROIS, alike, (2, 2), 0.9, 2, 0.1)
        close(found, ops.roi_align(features, moved, (2, 2), 0.9, 2, True))
    offset.requires_grad_()
    pool = lambda *x: deform_roi_pool(x[0], ROIS, x[1], (2, 2), 0.9, 2, 0.1)  # noqa: E731
    assert gradcheck(pool, (features, offset))


def test_border_align():
    from mmcv.ops import BorderAlign

    features = double(2, 8, 5, 6, requires_grad=True)
    some = torch.tensor(
        [[[0.5, 1, 4, 3.5], [1, 0, 5, 4]], [[2, 2, 3, 3], [0, 0, 5, 4.5]]]
    )
    some = some.double()
    found = BorderAlign(3)(features, some)
    assert found.shape == (2, 2, 2, 4)
    for n, c, k in product(range(2), repeat=3):
        x1, y1, x2, y2 = some[n, k].tolist()
        along = [
            [(y1, x1 + i * (x2 - x1) / 3) for i in range(4)],
            [(y1 + i * (y2 - y1) / 3, x1) for i in range(4)],
            [(y2, x2 - i * (x2 - x1) / 3) for i in range(4)],
            [(y2 - i * (y2 - y1) / 3, x2) for i in range(4)],
        ]
        for side, places in enumerate(along):
            image = features[n, 2 * side + c]
            values = [plain.sample(image, y, x, 'edge') for y, x in places]
            close(found[n, c, k, side], torch.stack(values).max())
    assert gradcheck(lambda x: BorderAlign(3)(x, some), features)
