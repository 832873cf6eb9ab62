# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import math

import pytest
import torch

from hpml_mm.measure.divergence import LossWatch, not_finite

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ('losses', 'verdict'),
    [
        ([1.0, NAN, 1.0], 'is nan'),
        ([1.0, INF], 'is inf'),
        ([1.0, -INF], 'is -inf'),
        ([1.0, 2.0, 3.0], None),
        ([1.0] + [100.5] * 5, 'grows: it is 100.5, and began at 1'),
        ([1.0] + [100.5] * 4 + [99.0] + [100.5] * 4, None),  # not in a row
        # Those at most 100 times the first count: (1 + 99) / 2 = 50.
        ([1.0, 99.0] + [5000.5] * 5, 'grows: it is 5000.5, and began at 50'),
        ([1.0, 99.0] + [4999.5] * 5, None),
        ([-1.0] + [1e9] * 9, None),
        ([0.0] + [1e9] * 9, None),
    ],
)
def test_losses_in_one_interval(losses, verdict):
    assert LossWatch(10, factor=100.0).judge(losses) == verdict


def test_a_growth_over_two_intervals_is_one():
    watch = LossWatch(4, factor=10.0)
    assert watch.judge([1.0, 1.0, 11.0, 11.0]) is None
    assert watch.first == 1.0
    assert watch.judge([11.0, 11.0, 11.0]) == 'grows: it is 11, and began at 1'


def test_half_of_a_long_interval_must_be_high():
    watch = LossWatch(20, factor=10.0, first=1.0)
    assert watch.judge([11.0] * 9) is None
    assert watch.judge([11.0]) is not None


def test_a_loss_that_was_negative_may_grow_for_ever():
    watch = LossWatch(10, factor=10.0)
    assert watch.judge([1.0, 2.0, -1.0]) is None
    assert watch.judge([1e9] * 10) is None


def test_no_factor_is_no_bound():
    assert LossWatch(10, factor=None).judge([1.0] + [1e30] * 20) is None


def test_a_scaler_may_leave_out_less_than_an_interval():
    watch = LossWatch(10, factor=100.0)
    assert watch.judge([1.0] + [NAN] * 9, scaled=True) is None
    assert watch.judge([INF], scaled=True) == 'is inf'
    again = LossWatch(10, factor=100.0)
    assert again.judge([NAN] * 9 + [1.0] + [NAN] * 9, scaled=True) is None


@pytest.mark.parametrize('value', [NAN, INF, -INF])
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_names_of_the_tensors_that_are_not_finite(value, dtype):
    tensors = {
        'good': torch.full((3,), 6e4),
        'bad': torch.tensor([1, value, 2], dtype=dtype),
        'empty': torch.zeros(0),
        'integer': torch.ones(2, dtype=torch.int64),
        'small': torch.ones(2).to(torch.float8_e4m3fn),
    }
    assert not_finite(tensors) == ['bad']
    del tensors['bad']
    assert not_finite(tensors) == []


def test_large_numbers_are_finite():
    assert not_finite({'large': torch.full((9,), 3e38)}) == []
