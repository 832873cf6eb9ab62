# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Paired differences whose intervals are known."""

import numpy as np
import pytest

from hpml_mm.quantization.paired import (
    ImageMatches,
    average_precision,
    paired_accuracy,
    paired_ap,
)


def answers(both: int, lost: int, won: int, neither: int):
    """Before and after, for so many images of each kind."""
    before = [True] * (both + lost) + [False] * (won + neither)
    after = [True] * both + [False] * lost + [True] * won + [False] * neither
    return before, after


def test_scores_and_difference_are_percentages_of_the_images():
    pair = paired_accuracy(*answers(both=60, lost=5, won=2, neither=33))
    assert (pair.before, pair.after, pair.n) == (65, 62, 100)
    assert (pair.difference, pair.drop) == (-3, 3)
    assert pair.points(pair.drop) == 3
    assert pair.low < -3 < pair.high


def test_draws_of_counts_are_draws_of_images():
    before, after = map(np.array, answers(30, 6, 3, 11))
    generator = np.random.default_rng(1)
    places = generator.integers(50, size=(20_000, 50))
    plain = 100 * (after[places].mean(axis=1) - before[places].mean(axis=1))
    pair = paired_accuracy(before, after, resamples=20_000)
    low, high = np.percentile(plain, [2.5, 97.5])
    assert (pair.low, pair.high) == (pytest.approx(low), pytest.approx(high))


def test_answers_that_agree_have_no_interval_and_draws_are_the_same_each_time():
    pair = paired_accuracy(*answers(5, 0, 0, 5))
    assert (pair.difference, pair.low, pair.high) == (0, 0, 0)
    made = answers(30, 6, 3, 11)
    assert paired_accuracy(*made) == paired_accuracy(*made)


def image(scores=(), matched=(), objects=1, ignored=None) -> ImageMatches:
    """One image at a single threshold."""
    ignored = [False] * len(scores) if ignored is None else ignored
    return ImageMatches(
        np.array(scores, float),
        np.array([matched], bool).reshape(1, -1),
        np.array([ignored], bool).reshape(1, -1),
        objects,
    )


@pytest.mark.parametrize(
    ('images', 'expected'),
    [
        ([image([0.9], [True])], 1.0),
        ([image([0.9], [False])], 0.0),
        ([image()], 0.0),
        ([image(objects=0)], None),
        # The right one comes second: precision 1/2 at every recall.
        ([image([0.9], [False], 0), image([0.5], [True])], 0.5),
        # Found one of two: precision 1 up to a recall of .5, which is 51 of 101.
        ([image([0.9], [True], objects=2)], 51 / 101),
        # An ignored detection counts neither way.
        ([image([0.9, 0.5], [False, True], 1, [True, False])], 1.0),
    ],
)
def test_average_precision_of_few_detections(images, expected):
    found = average_precision(images)
    assert found == (None if expected is None else pytest.approx(expected))


def test_ap_is_a_share_and_its_drop_has_hundred_points():
    right, wrong = image([0.9], [True]), image([0.9], [False])
    pair = paired_ap([right] * 10, [wrong] * 10, resamples=20)
    assert (pair.before, pair.after, pair.n) == (pytest.approx(1), 0, 10)
    assert (pair.low, pair.high) == (pytest.approx(-1), pytest.approx(-1))
    assert pair.points(pair.drop) == pytest.approx(100)


def test_both_models_are_scored_on_the_same_draw():
    """Hard and easy images make each score uncertain, but not their difference."""
    hard = [image([0.5], [False])] * 20
    easy = [image([0.9], [True])] * 20
    pair = paired_ap(hard + easy, hard + easy, resamples=100)
    assert (pair.low, pair.high) == (0, 0)
    other = paired_ap(hard + easy, easy + hard, resamples=100)
    assert other.low < 0 < other.high
    images = [image(objects=0), image([0.9], [True])]
    pair = paired_ap(images, images, resamples=50)  # draws without an object are none
    assert (pair.before, pair.low, pair.high) == (pytest.approx(1), 0, 0)


@pytest.mark.parametrize('compare', [paired_accuracy, paired_ap])
def test_images_that_are_no_pairs_are_refused(compare):
    one = [image([0.9], [True])] if compare is paired_ap else [True]
    with pytest.raises(ValueError, match='1 images before and 2 after'):
        compare(one, one * 2)
    with pytest.raises(ValueError, match='no image to compare on'):
        compare([], [])
    if compare is paired_ap:
        with pytest.raises(ValueError, match='no AP of 1 images without an object'):
            compare([image(objects=0)], [image(objects=0)])
