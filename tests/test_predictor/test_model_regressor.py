# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Graph networks and the scale of their labels, against formulas and references."""

import numpy as np
import pytest
import torch
from predictor_toys import small_model, toy_labels, toy_table

from hpml_mm.predictor.gnn import GraphRegressor
from hpml_mm.predictor.gnn.encoders import GraphConv
from hpml_mm.predictor.gnn.targets import SCALINGS, TargetScaler

STRONG = {
    'encoder': {'type': 'hpml_mm.ResidualEncoder', 'width': 16, 'num_layers': 2},
    'readout': ('sum', 'mean', 'max'),
    'head': {'type': 'hpml_mm.SkipHead', 'width': 16},
}
PLAIN = {**STRONG, 'encoder': {**STRONG['encoder'], 'context': False}}


def test_parameters_are_aiops():
    model = GraphRegressor()
    assert sum(parameter.numel() for parameter in model.parameters()) == 18_047


def test_graph_conv_is_torch_geometrics():
    from torch_geometric.nn import GraphConv as Reference

    batch = toy_table().batch([3, 9])
    layer, reference = GraphConv(5, 4), Reference(5, 4)
    reference.load_state_dict(layer.state_dict())
    count, links = len(batch.rows), batch.sources
    firsts = torch.arange(count)[links.first < count]
    sources = torch.cat([links.first[firsts], links.others])
    targets = torch.cat([firsts, links.nodes])
    states = torch.randn(count, 5)
    expected = reference(states, torch.stack([sources, targets]))
    assert torch.allclose(layer(states, batch), expected, atol=1e-6)


@pytest.mark.parametrize('settings', [{}, STRONG, PLAIN])
@torch.no_grad()
def test_a_graph_has_the_same_score_in_any_batch(settings):
    torch.manual_seed(0)
    model, table = GraphRegressor(**settings).eval(), toy_table(fold=bool(settings))
    together = model(table.batch([3, 12, 7, 3]))
    alone = torch.cat([model(table.batch([index])) for index in (3, 12, 7, 3)])
    assert torch.allclose(together, alone, atol=1e-5)
    assert len(set(together[:3].tolist())) == 3


@torch.no_grad()
def test_modes():
    model, labels = small_model(), torch.tensor(toy_labels())
    batch = toy_table().batch(range(16))
    model.fit_scaler(labels, batch.macs)
    outputs, std = model(batch), labels.std(correction=0)
    loss = model(batch, labels, mode='loss')['loss']
    errors = outputs - (labels - labels.mean()) / std
    assert loss.item() == pytest.approx((errors**2).mean().item())
    records = model(batch, labels, mode='predict')
    expected = (outputs * std + labels.mean()).tolist()
    assert [r['predicted'] for r in records] == pytest.approx(expected, abs=1e-4)
    assert [record['label'] for record in records] == labels.tolist()
    assert np.isnan(model(batch, mode='predict')[0]['label'])


def test_wrong_use_of_a_model_is_refused():
    model, batch = small_model(), toy_table().batch([0])
    with pytest.raises(ValueError, match="'train'"):
        model(batch, mode='train')
    with pytest.raises(ValueError, match='needs labels'):
        model(batch, mode='loss')
    with pytest.raises(ValueError, match='not fitted'):
        model(batch, mode='predict')
    with pytest.raises(ValueError, match='fold=False'):
        model(toy_table(fold=True).batch([0]))
    with pytest.raises(ValueError, match='width=18'):
        GraphRegressor(encoder={'type': 'hpml_mm.GraphConvEncoder', 'width': 18})
    with pytest.raises(TypeError, match='AIOPHead is no GraphEncoder'):
        GraphRegressor(encoder={'type': 'hpml_mm.AIOPHead'})


# --- the scale of the labels -----------------------------------------------------

LABELS = torch.tensor([70.0, 74.0, 78.0], dtype=torch.float64)
# t = 2, 3 and 4: log10(F + 1) + 1 for F of 9, 99 and 999 billions.
MACS = torch.tensor([9e9, 99e9, 999e9], dtype=torch.float64)
RATIOS = [0.35, 0.74 / 3, 0.195]


@pytest.mark.parametrize(
    ('scaling', 'shares'),
    [
        ('none', [0.7, 0.74, 0.78]),
        ('flops', RATIOS),
        ('stand', [0.7, 0.74, 0.78]),
        ('stand_flops', RATIOS),
    ],
)
def test_labels_are_scaled_by_the_equations(scaling, shares):
    assert scaling in SCALINGS
    labels, scaler = LABELS.clone(), TargetScaler(scaling).fit(LABELS, MACS)
    expected = np.array(shares)
    if scaling.startswith('stand'):  # The standard deviation of the population.
        expected = (expected - expected.mean()) / expected.std()
    scaled = scaler.transform(labels, MACS)
    assert scaled.tolist() == pytest.approx(expected.tolist())
    back = scaler.inverse(scaled, MACS)
    assert back.tolist() == pytest.approx(LABELS.tolist(), abs=1e-4)
    assert torch.equal(labels, LABELS)
    other = TargetScaler(scaling)
    other.load_state_dict(scaler.state_dict())
    assert torch.equal(other.inverse(scaled, MACS), back)


def test_the_flops_factor_can_reorder_and_standardising_cannot():
    outputs, macs = torch.tensor([0.2, 0.1]), MACS[[0, 2]]
    stand = TargetScaler('stand').fit(LABELS, MACS).inverse(outputs, macs)
    flops = TargetScaler('stand_flops').fit(LABELS, MACS).inverse(outputs, macs)
    assert stand[0] > stand[1]
    assert flops[0] < flops[1]


@pytest.mark.parametrize(
    ('labels', 'message'),
    [
        ([70.0, 70.0], 'differ, got 2'),
        ([70.0], 'differ, got 1'),
        ([70.0, float('nan')], 'not finite'),
    ],
)
def test_labels_that_have_no_scale(labels, message):
    with pytest.raises(ValueError, match=message):
        TargetScaler('stand').fit(torch.tensor(labels), torch.ones(len(labels)))


def test_an_unknown_scaling_and_one_that_was_not_fitted():
    with pytest.raises(ValueError, match="'standard' is unknown"):
        TargetScaler('standard')
    with pytest.raises(ValueError, match='not fitted'):
        TargetScaler('stand').inverse(torch.zeros(3), MACS)
