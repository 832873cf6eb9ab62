# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest

from hpml_mm.utils.stats import Spread, calibrate, difference, percentile, ratio, spread


def test_median_and_quartiles_lie_between_neighbours():
    assert spread([40, 10, 20, 30]) == Spread(median=25, low=17.5, high=32.5, n=4)
    assert spread([40, 10, 20, 30]).iqr == 15


def test_one_value_has_no_spread():
    assert spread([7.0]) == Spread(7, 7, 7, 1)
    assert spread([7.0]).iqr is None


@pytest.mark.parametrize(
    ('percent', 'expected'), [(0, 1), (50, 3), (75, 4), (95, 4.8), (100, 5)]
)
def test_percentiles(percent, expected):
    assert percentile([5, 3, 1, 2, 4], percent) == pytest.approx(expected)


def test_no_value_is_refused():
    with pytest.raises(ValueError, match='no value'):
        spread([])


def test_a_ratio_is_that_of_the_medians_with_the_spread_of_the_pairs():
    """A machine that slows down hits both sides of a round; the pairs stay alike."""
    found = ratio([100, 50, 200], [50, 25, 100])
    assert found == Spread(median=2, low=2, high=2, n=3)
    assert ratio([10, 30, 20], [10, 10, 10]) == Spread(2, 1.5, 2.5, 3)


def test_the_middle_of_the_pairs_may_leave_the_ratio_of_the_medians_out():
    found = ratio([1, 2, 9], [1, 4, 3])
    assert found.median == pytest.approx(2 / 3)
    assert (found.low, found.high) == (0.75, 2.0)


def test_a_difference_is_that_of_the_pairs():
    assert difference([5, 7, 12], [1, 2, 3]) == Spread(5, 4.5, 7, 3)


@pytest.mark.parametrize('compare', [ratio, difference])
def test_sides_of_different_lengths_are_refused(compare):
    with pytest.raises(ValueError, match='2 rounds cannot be compared with 1'):
        compare([1, 2], [1])


def test_calibration_doubles_until_half_the_time_is_filled():
    asked = []

    def run(count):
        asked.append(count)
        return 0.1 * count

    assert calibrate(run, 3.0) == 30
    assert asked == [1, 2, 4, 8, 16, 30]


def test_a_slow_iteration_is_one_round():
    assert calibrate(lambda count: 13.0 * count, 3.0) == 1


def test_one_slow_iteration_at_the_start_does_not_make_rounds_short():
    asked = []

    def run(count):
        asked.append(count)
        return 0.01 * count + (1.6 if len(asked) == 3 else 0)

    assert calibrate(run, 3.0) == 300
    assert asked == [1, 2, 4, 7]
