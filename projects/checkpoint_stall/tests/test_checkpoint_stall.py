# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest

from projects.checkpoint_stall.stall import WAYS, stall_rows, train


@pytest.mark.parametrize('way', WAYS)
def test_each_save_but_the_first_is_timed(tmp_path, way):
    stalls = train(tmp_path / way, WAYS[way], width=4, depth=1, saves=3, every=2)
    assert len(stalls) == 2
    assert min(stalls) > 0
    assert [path.name for path in (tmp_path / way).glob('*.pth')] == ['iter_6.pth']


def test_rows_compare_with_mmengine():
    found = {'mmengine': [0.1, 0.2, 0.3], 'in-background': [0.01, 0.02, 0.03]}
    stock, ours = stall_rows('stall', found, ['-m', 'x'])
    assert (stock.value, stock.baseline, stock.n) == (pytest.approx(200), None, 3)
    assert (ours.value, ours.spread) == (pytest.approx(20), pytest.approx(10))
    assert ours.ratio == pytest.approx(0.1)
    assert ours.unit == 'ms'
