# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""AIO-P's predictor and the stronger one: sizes, results, and what they refuse."""

import numpy as np
import pytest
import torch
from predictor_toys import small_model, toy_labels, toy_table

from hpml_mm.predictor.gnn import EnsembleRegressor, GraphRegressor
from hpml_mm.predictor.gnn.encoders import GraphConv

STRONG = {
    'encoder': {'type': 'hpml_mm.ResidualEncoder', 'width': 16, 'num_layers': 2},
    'readout': ('sum', 'mean', 'max'),
    'head': {'type': 'hpml_mm.SkipHead', 'width': 16},
}
PLAIN = {**STRONG, 'encoder': {**STRONG['encoder'], 'context': False, 'place': False}}


def test_parameters_are_aiops():
    model = GraphRegressor()
    assert sum(parameter.numel() for parameter in model.parameters()) == 18_047


def test_graph_conv_is_torch_geometrics():
    from torch_geometric.nn import GraphConv as Reference

    batch = toy_table().batch([3, 9])
    layer, reference = GraphConv(5, 4), Reference(5, 4)
    reference.load_state_dict(layer.state_dict())
    count = len(batch.rows)
    firsts = torch.arange(count)[batch.sources.first < count]
    pairs = torch.stack(
        [
            torch.cat([batch.sources.first[firsts], batch.sources.others]),
            torch.cat([firsts, batch.sources.nodes]),
        ]
    )
    states = torch.randn(count, 5)
    expected = reference(states, pairs)
    assert torch.allclose(layer(states, batch), expected, atol=1e-6)


@pytest.mark.parametrize('settings', [{}, STRONG, PLAIN])
@torch.no_grad()
def test_a_graph_has_the_same_score_in_any_batch(settings):
    torch.manual_seed(0)
    model = GraphRegressor(**settings).eval()
    table = toy_table(fold=bool(settings))
    together = model(table.batch([3, 12, 7, 3]))
    alone = torch.cat([model(table.batch([index])) for index in (3, 12, 7, 3)])
    assert torch.allclose(together, alone, atol=1e-5)
    assert len(set(together[:3].tolist())) == 3


@torch.no_grad()
def test_modes():
    model, table, labels = small_model(), toy_table(), torch.tensor(toy_labels())
    batch = table.batch(range(16))
    model.fit_scaler(labels, batch.macs)
    outputs = model(batch)
    loss = model(batch, labels, mode='loss')['loss']
    targets = (labels - labels.mean()) / labels.std(correction=0)
    assert loss.item() == pytest.approx(((outputs - targets) ** 2).mean().item())
    records = model(batch, labels, mode='predict')
    predicted = outputs * labels.std(correction=0) + labels.mean()
    expected = pytest.approx(predicted.tolist(), abs=1e-4)
    assert [record['predicted'] for record in records] == expected
    assert [record['label'] for record in records] == labels.tolist()
    assert np.isnan(model(batch, mode='predict')[0]['label'])


def test_what_a_model_refuses():
    model, batch = small_model(), toy_table().batch([0])
    with pytest.raises(ValueError, match="mode 'train' is none of loss"):
        model(batch, mode='train')
    with pytest.raises(ValueError, match='needs labels'):
        model(batch, mode='loss')
    with pytest.raises(ValueError, match='not fitted'):
        model(batch, mode='predict')
    with pytest.raises(ValueError, match='fold=False'):
        model(toy_table(fold=True).batch([0]))
    with pytest.raises(ValueError, match='width=18 leaves no room'):
        GraphRegressor(encoder={'type': 'hpml_mm.GraphConvEncoder', 'width': 18})


@torch.no_grad()
def test_an_ensemble_is_the_mean_of_its_members_on_their_own_scales():
    table, labels = toy_table(), torch.tensor(toy_labels())
    batch = table.batch(range(16))
    members = [small_model(), small_model(scaling='stand_flops')]
    model = EnsembleRegressor(members)
    model.fit_scaler(labels, batch.macs)
    expected = torch.stack([one.predict(batch) for one in members], dim=1)
    assert torch.equal(model.member_scores(batch), expected)
    assert torch.equal(model.predict(batch), expected.mean(dim=1))
    total = sum(one.loss(batch, labels) for one in members)
    assert model.loss(batch, labels).item() == pytest.approx(total.item())
    with pytest.raises(ValueError, match='there is no member'):
        EnsembleRegressor([])
