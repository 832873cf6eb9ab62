# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Predictors timed beside the same network of torch_geometric's parts."""

import importlib
import itertools
import sys

import numpy as np
import pytest
import torch
from predictor_toys import labelled

from hpml_mm.predictor.gnn import GraphRegressor
from hpml_mm.predictor.gnn.fit import FitSettings
from projects.aiop import pyg
from projects.aiop.pyg import PyGRegressor, pyg_fit, pyg_graphs, pyg_predict
from projects.aiop.speed import PYG, choose, speed_rows, time_in_turns


@pytest.fixture
def data():
    return labelled([0, 5, 10, 15])


def test_torch_geometric_gives_the_same_outputs(data):
    torch.manual_seed(0)
    model = GraphRegressor(scaling='none')
    baseline = PyGRegressor(model)
    with torch.no_grad():
        expected = model.outputs(data.table.batch(data.indices)).numpy()
    assert expected.std() > 0
    found = pyg_predict(baseline, pyg_graphs(data), batch_size=2)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_torch_geometric_trains(data):
    torch.manual_seed(0)
    model = GraphRegressor(scaling='none')
    baseline, graphs = PyGRegressor(model), pyg_graphs(data)

    def error():
        return np.square(pyg_predict(baseline, graphs, 5) - data.labels).mean()

    before = error()
    pyg_fit(baseline, graphs, FitSettings(epochs=30, batch_size=2, lr=1e-3))
    assert error() < 0.9 * before


def test_sides_take_turns_and_the_first_round_does_not_count():
    seconds = iter([9.0, 9.0, 1.0, 2.0, 4.0, 1.0])
    calls = []
    ticks = itertools.accumulate(
        itertools.chain.from_iterable((0.0, next(seconds)) for _ in range(6))
    )
    sides = {PYG: lambda: calls.append('pyg'), 'ours': lambda: calls.append('ours')}
    found = time_in_turns(sides, graphs=8, rounds=2, clock=lambda: next(ticks))
    assert calls == ['pyg', 'ours', 'ours', 'pyg', 'pyg', 'ours']
    assert found[PYG].seconds == (2.0, 4.0)
    assert found['ours'].seconds == (1.0, 1.0)
    rows = {(r.experiment, r.metric): r for r in speed_rows('toy', found, 'command')}
    ours = 'predictor-speed/toy/ours'
    assert rows[ours, 'throughput(graph/s)'].value == 8
    assert rows[ours, 'speedup/torch_geometric(x)'].value == pytest.approx(8 / 3)
    assert rows[ours, 'wall_time(s)'].n == 2


def test_what_cannot_be_timed_is_refused():
    with pytest.raises(ValueError, match="no side 'gin'; there are kernel"):
        choose({'kernel': print}, ['gin'])
    with pytest.raises(ValueError, match='0 rounds measure nothing'):
        time_in_turns({'kernel': print}, 1, rounds=0)


def test_without_torch_geometric_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch_geometric', None)
    with pytest.raises(ImportError, match=r"torch_geometric .*\[aiop\]'"):
        importlib.reload(pyg)
