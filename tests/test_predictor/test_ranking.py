# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Ranks are of predictions, which have deviations."""

from dataclasses import replace

import pytest

from hpml_mm.predictor.ranking import ScoredNetwork, cheapest_alike


def network(name, score, macs, std=0.3, ood=''):
    return ScoredNetwork(name, macs, 1, score, std, ood, score)


BEST = network('best', 70.0, 100)
# The deviation of the difference is .3 x sqrt(2) = .42.
NEAR, FAR = network('near', 69.6, 80), network('far', 69.5, 10)


@pytest.mark.parametrize(
    ('others', 'found'),
    [
        ([NEAR, FAR], NEAR),
        ([NEAR, network('cheaper', 69.59, 60), FAR], network('cheaper', 69.59, 60)),
        ([network('unlike', 69.9, 5, ood='other images'), NEAR], NEAR),
        ([network('dear', 69.9, 200)], None),
        ([replace(NEAR, std=None)], None),
        ([], None),
    ],
)
def test_the_cheapest_that_is_not_told_from_the_best(others, found):
    assert cheapest_alike([BEST, *others]) == found


def test_without_a_deviation_nothing_is_alike():
    assert cheapest_alike([replace(BEST, std=None), NEAR]) is None
    assert cheapest_alike([]) is None
