# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Costs alone and ridge regression, on toy data and on the published tables."""

import numpy as np
import pytest

from hpml_mm.predictor.baselines import CostLine, one_hot, ridge
from hpml_mm.predictor.data.protocol import draw
from hpml_mm.predictor.metrics import mae, srcc
from hpml_mm.predictor.spaces.tables import read_table

FULL = '3-4;3-4;3-4;3-4;' * 5
SMALL = '7-6;5-3;0-0;0-0;' * 5


def test_a_line_from_the_logarithm_of_the_cost():
    costs = np.array([[1e6], [1e7], [1e8]])
    line = CostLine().fit(costs[:2], np.array([60.0, 70.0]))
    assert line.predict(costs) == pytest.approx([60, 70, 80])


def test_equal_costs_predict_the_mean():
    line = CostLine().fit(np.array([[1e6], [1e6]]), np.array([60.0, 70.0]))
    assert line.predict(np.array([[1e6], [1e9]])) == pytest.approx([65, 65])


def test_one_hot_of_a_block_is_one_choice():
    bits = one_hot('ofa-mbv3-w1.0', [FULL[:-1], SMALL[:-1]])
    assert bits.shape == (2, 40)  # Two kinds of block at each of 20 places.
    assert bits.sum(axis=1).tolist() == [20, 20]
    assert one_hot('nas-bench-macro', ['00000000', '21000000']).shape == (2, 10)


@pytest.mark.real_data
def test_ridge_on_ofa_is_as_good_as_known(real_data):
    rows = read_table(real_data / 'nas/ofa_mbv3_w1.0_imagenet.csv', 'ofa-mbv3-w1.0')
    archs = [row.arch for row in rows]
    labels = np.array([row.metrics['imagenet/top1(%)'] for row in rows])
    features = one_hot('ofa-mbv3-w1.0', archs)
    found = []
    for seed in (12345, 1, 2, 3, 4):
        drawn = draw(archs, round(0.8 * len(archs)), seed)
        model = ridge().fit(features[drawn.train], labels[drawn.train])
        predicted = model.predict(features[drawn.test])
        found.append(
            (srcc(predicted, labels[drawn.test]), mae(predicted, labels[drawn.test]))
        )
    assert np.mean(found, axis=0) == pytest.approx((0.992, 0.113), abs=0.002)
