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
from projects.aiop import stock as stock_module
from projects.aiop.speed import STOCK, alternate, choose, speed_rows
from projects.aiop.stock import StockRegressor, stock_fit, stock_graphs, stock_predict


@pytest.fixture
def data():
    return labelled([0, 5, 10, 15])


def test_stock_gives_the_same_outputs(data):
    torch.manual_seed(0)
    model = GraphRegressor(scaling='none')
    stock = StockRegressor(model)
    with torch.no_grad():
        expected = model.outputs(data.table.batch(data.indices)).numpy()
    assert expected.std() > 0
    found = stock_predict(stock, stock_graphs(data), batch_size=2)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_stock_learns(data):
    torch.manual_seed(0)
    model = GraphRegressor(scaling='none')
    stock, graphs = StockRegressor(model), stock_graphs(data)

    def error():
        return np.square(stock_predict(stock, graphs, 5) - data.labels).mean()

    before = error()
    stock_fit(stock, graphs, FitSettings(epochs=30, batch_size=2, lr=1e-3))
    assert error() < 0.9 * before


def test_sides_take_turns_and_the_first_round_does_not_count():
    seconds = iter([9.0, 9.0, 1.0, 2.0, 4.0, 1.0])
    calls = []
    ticks = itertools.accumulate(
        itertools.chain.from_iterable((0.0, next(seconds)) for _ in range(6))
    )
    sides = {STOCK: lambda: calls.append('stock'), 'ours': lambda: calls.append('ours')}
    found = alternate(sides, graphs=8, rounds=2, clock=lambda: next(ticks))
    assert calls == ['stock', 'ours', 'ours', 'stock', 'stock', 'ours']
    assert found[STOCK].seconds == (2.0, 4.0)
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
        alternate({'kernel': print}, 1, rounds=0)


def test_without_torch_geometric_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'torch_geometric', None)
    with pytest.raises(ImportError, match=r"torch_geometric .*'\.\[aiop\]'"):
        importlib.reload(stock_module)
