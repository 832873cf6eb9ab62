# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What nodes cost, by hand."""

import pytest
from torch import nn

from hpml_mm.predictor.graphs.costs import conv_macs, fast_flops, matmul_macs
from hpml_mm.predictor.graphs.layout import (
    axis_after_permute,
    axis_after_view,
    extent,
)
from hpml_mm.predictor.graphs.tracing.trace import trace


def test_macs_by_hand():
    assert conv_macs((1, 3, 9, 9), (1, 8, 4, 4), (8, 3, 3, 3)) == 8 * 16 * 27
    assert conv_macs((1, 8, 9, 9), (1, 8, 9, 9), (8, 1, 3, 3)) == 8 * 81 * 9
    assert conv_macs((1, 3, 4, 4), (1, 8, 8, 8), (3, 8, 4, 4), True) == 48 * 8 * 16
    assert matmul_macs((2, 5, 7), 3) == 210


@pytest.mark.parametrize(
    ('module', 'flops'),
    [
        (nn.Conv2d(4, 8, 3, padding=1, bias=False), 9 * 32 * 64),
        (nn.Conv2d(4, 8, 3, 2, 1), 9 * 32 * 16 + 8 * 16),
        (nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), 9 * 4 * 64),
        (nn.BatchNorm2d(4), 2 * 64 * 4),
        (nn.ReLU(), 64 * 4),
        (nn.MaxPool2d(2), 16 * 4),
        (nn.ZeroPad2d(1), 0),
        (nn.Softmax(dim=1), 0),
        (nn.Sequential(nn.Flatten(), nn.Linear(256, 10)), 256 * 10 + 10),
    ],
)
def test_the_fast_count_of_aio_p(module, flops):
    assert fast_flops(trace(module, (4, 8, 8))) == flops


def test_the_fast_count_multiplies_by_the_number_of_inputs():
    class Sum(nn.Module):
        def forward(self, x):
            return x.relu() + x.sigmoid()

    assert fast_flops(trace(Sum(), (4, 8, 8))) == 256 + 256 + 2 * 256


@pytest.mark.parametrize(
    ('shape', 'axis', 'sizes'),
    [
        ((1, 3, 4, 5), 1, (4, 5, 3)),
        ((1, 4, 5, 3), 3, (4, 5, 3)),
        ((1, 7, 3), 2, (7, 1, 3)),
        ((1, 3), 1, (1, 1, 3)),
        ((64, 49, 3), 2, (64, 49, 3)),
        ((2, 3, 4, 5, 6), 4, (24, 5, 6)),
        ((), 0, (1, 1, 1)),
    ],
)
def test_height_width_and_channels_of_any_tensor(shape, axis, sizes):
    assert extent(shape, axis) == sizes


def test_channels_are_followed_through_views():
    assert axis_after_view((1, 8, 4, 4), 1, (1, 8, 16)) == 1
    assert axis_after_view((1, 16, 8), 2, (1, 4, 4, 8)) == 3
    assert axis_after_view((1, 8, 4, 4), 1, (1, 2, 4, 4, 4)) == 4
    assert axis_after_permute(1, (0, 2, 3, 1)) == 3
    assert axis_after_permute(3, (0, -1, 1, 2)) == 1
