# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""MMCV's ops over maps and points.

The expected values are those of loops or of other libraries, and hold with compiled ops
too.
"""

import plain_ops as plain
import pytest
import torch
from plain_ops import close, double, gradcheck


@pytest.mark.parametrize('settings', [(3, 1, 2), (5, 2, 1), (3, 4, 3)])
def test_carafe(settings):
    from mmcv.ops import carafe, carafe_naive

    kernel, groups, scale = settings
    features = double(2, 4, 2, 3, requires_grad=True)
    masks = double(2, groups * kernel**2, 2 * scale, 3 * scale, requires_grad=True)
    expected = torch.stack(
        [
            plain.carafe(*pair, kernel, groups, scale)
            for pair in zip(features, masks, strict=True)
        ]
    )
    close(carafe_naive(features, masks, *settings), expected)
    found = carafe(features, masks, *settings)
    close(found, expected)
    weight = torch.rand_like(found)
    inputs = (features, masks)
    close(
        torch.autograd.grad((found * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
    )


@pytest.mark.parametrize(
    'settings', [(1, 1, 1, 0, 1, 1), (3, 1, 2, 1, 1, 2), (2, 2, 2, 1, 2, 1)]
)
def test_correlation(settings):
    from mmcv.ops import Correlation

    kernel, reach, stride, padding, dilation, spread = settings
    layer = Correlation(kernel, reach, stride, padding, dilation, spread)
    first, second = (double(2, 3, 5, 6, requires_grad=True) for _ in range(2))
    expected = torch.stack(
        [
            plain.correlation(a, b, kernel, reach, stride, padding, dilation, spread)
            for a, b in zip(first, second, strict=True)
        ]
    )
    found = layer(first, second)
    close(found, expected)
    weight = torch.rand_like(found)
    close(
        torch.autograd.grad((found * weight).sum(), (first, second)),
        torch.autograd.grad((expected * weight).sum(), (first, second)),
    )


@pytest.mark.parametrize('kind', ['collect', 'distribute'])
@pytest.mark.parametrize('size', [(3, 3), (5, 1)])
def test_psa_mask(kind, size):
    from mmcv.ops import PSAMask

    masks = double(2, size[0] * size[1], 3, 4, requires_grad=True)
    found = PSAMask(kind, size)(masks)
    close(found, torch.stack([plain.psa_mask(each, kind, size) for each in masks]))
    assert gradcheck(PSAMask(kind, size), masks)


def test_deformable_attention_off_the_cpu():
    from mmcv.ops.multi_scale_deform_attn import (
        MultiScaleDeformableAttnFunction,
        multi_scale_deformable_attn_pytorch,
    )

    shapes = torch.tensor([[4, 3], [2, 2]])
    value, places = double(2, 16, 2, 4), torch.rand(2, 5, 2, 2, 3, 2).double()
    weights = torch.rand(2, 5, 2, 2, 3).double()
    inputs = [each.requires_grad_() for each in (value, places, weights)]
    start = torch.tensor([0, 12])
    # A GPU takes this function; it runs anywhere.
    found = MultiScaleDeformableAttnFunction.apply(
        value, shapes, start, places, weights, 64
    )
    expected = multi_scale_deformable_attn_pytorch(value, shapes, places, weights)
    close(found, expected)
    # One number by a loop: image 1, query 2, head 0, channel 3.
    looped = value.new_zeros(())
    for level, (height, width) in enumerate(shapes.tolist()):
        part = value[1, start[level] : start[level] + height * width, 0, 3]
        for x, y, share in zip(
            *places[1, 2, 0, level].T, weights[1, 2, 0, level], strict=True
        ):
            y, x = float(y) * height - 0.5, float(x) * width - 0.5
            image = part.view(height, width)
            looped = looped + share * plain.sample(image, y, x, 'zero')
    close(found[1, 2, 3], looped)
    weight = torch.rand_like(found)
    close(
        torch.autograd.grad((found * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
    )


def test_neighbours():
    from mmcv.ops import ball_query, knn, three_nn

    points, centres = torch.rand(2, 9, 3), torch.rand(2, 4, 3)
    centres[0, 0], centres[1, 1] = points[0, 3], 50.0
    distance = torch.cdist(centres, points)
    order = distance.argsort(-1)
    assert knn(5, points, centres).tolist() == order[..., :5].transpose(1, 2).tolist()
    found, index = three_nn(centres, points)
    assert index.tolist() == order[..., :3].tolist()
    close(found, distance.sort(-1).values[..., :3])
    near = ball_query(0.1, 0.6, 4, points, centres)
    assert near.tolist() == [
        [plain.ball(c, cloud, 0.1, 0.6, 4) for c in some]
        for cloud, some in zip(points, centres, strict=True)
    ]
    # Fewer points than asked for.
    assert knn(3, points[:, :2].contiguous(), centres)[:, 2].tolist() == [[0] * 4] * 2
    assert ball_query(0, 9, 4, points[:, :2].contiguous(), centres).tolist()[0][2] == [
        0,
        1,
        0,
        0,
    ]


def test_features_of_points():
    from mmcv.ops import gather_points, grouping_operation, three_interpolate

    features = double(2, 3, 6, requires_grad=True)
    chosen = torch.tensor([[0, 5, 5], [2, 1, 0]], dtype=torch.int32)
    groups = torch.randint(0, 6, (2, 4, 3), dtype=torch.int32)
    weight = torch.rand(2, 4, 3, dtype=torch.float64)
    close(
        gather_points(features, chosen),
        torch.stack([f[:, i.long()] for f, i in zip(features, chosen, strict=True)]),
    )
    grouped = torch.stack(
        [f[:, i.long()] for f, i in zip(features, groups, strict=True)]
    )
    close(grouping_operation(features, groups), grouped)
    close(
        three_interpolate(features, groups, weight), (grouped * weight[:, None]).sum(-1)
    )
    for op in (
        lambda x: gather_points(x, chosen),
        lambda x: grouping_operation(x, groups),
        lambda x: three_interpolate(x, groups, weight),
    ):
        assert gradcheck(op, features)


def test_chamfer_distance():
    from mmcv.ops import chamfer_distance

    first, second = (double(2, n, 2, requires_grad=True) for n in (4, 6))
    squared = (first[:, :, None] - second[:, None]).square().sum(-1)
    found = chamfer_distance(first, second)
    for axis, distance, index in ((2, found[0], found[2]), (1, found[1], found[3])):
        nearest = squared.min(axis)
        close(distance, nearest.values)
        assert index.tolist() == nearest.indices.tolist()
    sums = found[0].sum() + 2 * found[1].sum()
    expected = squared.min(2).values.sum() + 2 * squared.min(1).values.sum()
    close(
        torch.autograd.grad(sums, (first, second)),
        torch.autograd.grad(expected, (first, second)),
    )
