# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Features of TransNAS-Bench-101's architectures, worked by hand."""

import math

import numpy as np
import pytest

from hpml_mm.predictor.tasks.features import arch_features, choices


def test_widths_and_resolutions_along_the_modules():
    found = arch_features('transnas-macro', ['64-1243-basic'])
    depth, profile, costs = (one[0].tolist() for one in found.feature_sets)
    # Wider at modules 2 and 3, smaller at 3 and 4; the rest repeats the last.
    assert depth == [4, 2, 2, 0]
    assert profile == [0, 1, 2, 2, 2, 2, 0, 0, 1, 2, 2, 2]
    # (2^(before + width) + 3 * 4^width), and the same * 4^-halvings.
    weights = [4, 2 + 12, 8 + 48, 16 + 48]
    products = [4, 14, 56 / 4, 64 / 16]
    assert costs == pytest.approx([math.log2(sum(products)), math.log2(sum(weights))])
    assert len(found) == 1
    assert found.columns.shape == (1, 18)


def test_paths_of_a_cell():
    # 0 -3x3-> 1 -1x1-> 3; 0 -skip-> 3; node 2 is read by none.
    found = arch_features('transnas-micro', ['64-41414-3_30_120', '64-41414-0_00_000'])
    counts, along, by_kind, reach, costs, bits = found.feature_sets
    assert counts.tolist() == [[3, 1, 1, 1], [6, 0, 0, 0]]
    # Mean, most, least and deviation of 3x3, of 1x1 and of both along two paths.
    assert along[0].tolist() == pytest.approx(
        [0.5, 1, 0, 0.5, 0.5, 1, 0, 0.5, 1, 2, 0, 1, math.log2(3)]
    )
    assert not along[1].any()
    assert by_kind[0].tolist() == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert reach.tolist() == [[1, 1, 1, 0], [0, 0, 0, 0]]
    # Products of all that is written, the 3x3 into node 2 too.
    assert costs[:, 0].tolist() == pytest.approx([math.log2(1 + 1 + 18), 0])
    assert bits.sum(axis=1).tolist() == [6, 6]


def test_cells_that_compute_the_same_have_the_same_features_but_for_their_costs():
    # Into node 2 goes an edge that nothing reads; nodes 1 and 2 change places.
    archs = [f'64-41414-{cell}' for cell in ('3_30_120', '0_30_102', '3_00_120')]
    found = arch_features('transnas-micro', archs).feature_sets
    for number, one in enumerate(found):
        assert number == 4 or (one == one[0]).all()
    assert len(set(found[4][:, 0])) == 2


def test_choices_are_the_digits_as_written():
    bits = choices('transnas-macro', ['64-1243-basic'])
    assert bits.reshape(6, 5).argmax(axis=1).tolist() == [1, 2, 4, 3, 0, 0]
    cell = choices('transnas-micro', ['64-41414-3_30_120'])
    assert cell.reshape(6, 5).argmax(axis=1).tolist() == [3, 3, 0, 1, 2, 0]


def test_rows_and_sets_of_features():
    found = arch_features('transnas-macro', ['64-1243-basic', '64-44111-basic'])
    more = found.take(np.array([1])).beside(np.array([[7.0]]))
    assert more.columns.shape == (1, 19)
    assert more.columns[0, -1] == 7


@pytest.mark.parametrize('arch', ['64-1253-basic', '64-12-basic', '64-41414-3_30_120'])
def test_an_arch_of_another_space_is_refused(arch):
    with pytest.raises(ValueError, match='transnas-macro: '):
        arch_features('transnas-macro', [arch])
    with pytest.raises(ValueError, match="no features .* 'nas-bench-201'"):
        arch_features('nas-bench-201', [])
