# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import numpy as np
import pytest

from hpml_mm.utils.stats import (
    Quartiles,
    are_told_apart,
    calibrate,
    difference,
    holm,
    mean_std,
    paired_test,
    percentile,
    quartiles,
    ratio,
    turns,
)


def test_median_and_quartiles_lie_between_neighbours():
    found = quartiles([40, 10, 20, 30])
    assert found == Quartiles(median=25, low=17.5, high=32.5, n=4)
    assert found.iqr == 15
    assert quartiles([7.0]) == Quartiles(7, 7, 7, 1)
    assert quartiles([7.0]).iqr is None
    with pytest.raises(ValueError, match='no value'):
        quartiles([])


@pytest.mark.parametrize('size', [1, 2, 7, 20])
def test_percentiles_are_numpys(size):
    values = np.random.default_rng(size).random(size).tolist()
    found = [percentile(values, percent) for percent in (0, 37, 50, 95, 100)]
    assert found == pytest.approx(np.percentile(values, [0, 37, 50, 95, 100]))


def test_the_deviation_is_that_of_a_sample():
    assert mean_std([1, 2, 3]) == (2, 1)
    assert mean_std([5]) == (5, None)


def test_a_ratio_is_that_of_the_medians_with_the_quartiles_of_the_pairs():
    """A machine that slows down hits both sides of a round; the pairs stay alike."""
    assert ratio([100, 50, 200], [50, 25, 100]) == Quartiles(2, 2, 2, 3)
    assert ratio([10, 30, 20], [10, 10, 10]) == Quartiles(2, 1.5, 2.5, 3)
    # The middle of the pairs may leave the ratio of the medians out.
    assert ratio([1, 2, 9], [1, 4, 3]) == Quartiles(pytest.approx(2 / 3), 0.75, 2, 3)


def test_a_difference_is_that_of_the_pairs():
    assert difference([5, 7, 12], [1, 2, 3]) == Quartiles(5, 4.5, 7, 3)


@pytest.mark.parametrize(
    ('values', 'against', 'apart'),
    [
        # SciPy's ttest_rel of the logarithms: p = .0007 and .187.
        ([88.9, 89.5, 89.9, 89.4, 89.3], [84.9, 86.8, 87.3, 86.1, 87.0], True),
        ([89.5, 89.4, 89.6, 89.5, 89.2], [84.0, 90.1, 87.0, 86.9, 89.9], False),
        # Both sides drift alike, by far more than they differ.
        ([100, 200, 300], [99, 198, 297], True),
        ([100], [50], False),
        ([100, 100], [100, 100], False),
    ],
)
def test_sides_are_told_apart_round_by_round(values, against, apart):
    assert are_told_apart(values, against) is apart
    assert are_told_apart(against, values) is apart


@pytest.mark.parametrize('compare', [ratio, difference, are_told_apart])
def test_sides_of_different_lengths_are_refused(compare):
    with pytest.raises(ValueError, match='2 rounds cannot be compared with 1'):
        compare([1, 2], [1])


def test_every_other_round_goes_backwards():
    assert list(turns('abc', 3)) == ['abc', 'cba', 'abc']


@pytest.mark.parametrize(
    ('cost', 'slow', 'count', 'asked'),
    [
        (0.1, 0, 30, [1, 2, 4, 8, 16, 30]),
        (13.0, 0, 1, [1]),
        # A slow third call does not make rounds short.
        (0.01, 3, 300, [1, 2, 4, 7]),
    ],
)
def test_calibration_doubles_until_half_the_time_is_filled(cost, slow, count, asked):
    calls = []

    def run(iterations):
        calls.append(iterations)
        return cost * iterations + (1.6 if len(calls) == slow else 0)

    assert calibrate(run, 3.0) == count
    assert calls == asked


def test_a_paired_test_by_hand():
    found = paired_test([53, 54, 55], [50, 52, 51])
    # Mean 3, standard deviation 1, so t is 3 * sqrt(3) = 5.196 at two degrees.
    assert (found.mean, found.n) == (3, 3)
    assert found.p == pytest.approx(0.035098, rel=1e-3)
    assert (found.low, found.high) == pytest.approx((0.51586, 5.48414), rel=1e-4)
    assert paired_test([1], [2]) is None
    assert paired_test([1, 2], [2, 3]) is None  # no spread: no t
    with pytest.raises(ValueError, match='2 rounds'):
        paired_test([1, 2], [1])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
