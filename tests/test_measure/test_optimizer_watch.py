# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The implementation that takes a step, by PyTorch's own optimizers."""

import pytest
import torch
from torch import nn

from hpml_mm.measure.optimizer_watch import OptimizerWatch


def implementation_of(optimizer):
    watch = OptimizerWatch()
    watch.start()
    optimizer.step()
    watch.stop()
    return watch.implementation


@pytest.mark.parametrize(
    ('settings', 'name'),
    [
        ({'fused': True}, 'fused'),
        ({'foreach': True}, 'foreach'),
        ({'foreach': False}, 'for-loop'),
    ],
)
@pytest.mark.parametrize('kind', [torch.optim.Adam, torch.optim.SGD])
def test_dense_gradients(kind, settings, name):
    layer = nn.Linear(3, 2)
    layer(torch.ones(1, 3)).sum().backward()
    assert implementation_of(kind(layer.parameters(), lr=0.1, **settings)) == name


def test_sparse_gradients_fall_back():
    table = nn.Embedding(5, 2, sparse=True)
    table(torch.tensor([1, 2])).sum().backward()
    optimizer = torch.optim.Adagrad(table.parameters(), foreach=True)
    assert implementation_of(optimizer) == 'for-loop'


def test_no_step_has_none():
    assert OptimizerWatch().implementation is None
