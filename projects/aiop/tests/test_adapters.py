# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""K-adapters, AdaProxy and ensembles: sizes, trained parts, and outputs."""

import pytest
import torch
from predictor_toys import labelled, small_model, toy_table

from hpml_mm.predictor.gnn.fit import FitSettings, fine_tune, fit, predict
from projects.aiop import AdaProxyRegressor, EnsembleRegressor, KAdapterRegressor
from projects.aiop.adapters import Adapter

QUICK = FitSettings(epochs=2, batch_size=4, lr=1e-2)


@pytest.fixture
def model():
    torch.manual_seed(0)
    encoder = {'type': 'hpml_mm.GraphConvEncoder', 'num_layers': 2}
    return KAdapterRegressor(encoder, ['one', 'two'])


def all_labels():
    """Labels and MACs of all toy networks."""
    train = labelled()
    return torch.as_tensor(train.labels), torch.as_tensor(train.macs)


def test_parameters_of_an_adapter():
    adapter = Adapter(32, 6)
    sizes = [sum(p.numel() for p in m.parameters()) for m in (adapter.layers, adapter)]
    assert sizes == [24_768, 30_049]


@pytest.mark.parametrize(
    ('group', 'trained'),
    [
        (0, {'head'}),
        (1, {'head', 'encoder.layers'}),
        (2, {'head', 'encoder.layers', 'layers'}),
        (3, {'head', 'layers'}),
    ],
)
def test_fine_tune_groups(model, group, trained):
    model.tune(group)
    parts = {
        'encoder.layers': [model.encoder.layers],
        'encoder.embedding': [model.encoder.embedding],
        'head': [one.head for one in model.adapters],
        'layers': [one.layers for one in model.adapters],
    }
    for name, modules in parts.items():
        for module in modules:
            assert {p.requires_grad for p in module.parameters()} == {name in trained}


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(model, before):
    """Names of the parameters and buffers that are not as before."""
    return {
        name
        for name, new in model.state_dict().items()
        if not torch.allclose(new, before[name], rtol=0, atol=0, equal_nan=True)
    }


def test_only_one_tasks_adapter_is_trained_on_its_own_scale(model):
    before = state(model)
    model.train_task('two')
    fit(model, labelled(), QUICK)
    starts = {'.'.join(name.split('.')[:2]) for name in changed(model, before)}
    assert starts == {'adapters.1', 'task_scalers.1'}
    assert model.scaler.mean.isnan()


def test_tuning_a_copy_leaves_the_original_alone(model):
    before = state(model)
    model.tune(1)
    tuned = fine_tune(model, labelled(), QUICK)
    assert not {n for n in changed(model, before) if 'scaler' not in n}
    moved = {name for name in changed(tuned, before) if 'scaler' not in name}
    starts = ('encoder.layers', 'adapters.0.head', 'adapters.1.head')
    assert {n for n, _ in model.named_parameters() if n.startswith(starts)} == moved


def test_the_score_is_the_mean_of_the_heads_before_scaling_back(model):
    model.fit_scaler(*all_labels())
    with torch.no_grad():
        heads = model.head_outputs(toy_table().batch(range(16)))
    expected = heads.mean(dim=1).double() * model.scaler.std + model.scaler.mean
    assert heads.shape == (16, 2)
    scores = predict(model, toy_table())
    assert scores == pytest.approx(100 * expected.numpy(), abs=1e-3)


@torch.no_grad()
def test_an_adapter_computes_the_formula_of_the_paper(model):
    batch = toy_table().batch([5])
    base, adapter = model.encoder(batch), model.adapters[0]
    nodes, links = len(batch.rows), batch.sources
    adjacency = torch.zeros(nodes, nodes)
    firsts = torch.arange(nodes)[links.first < nodes]
    adjacency[firsts, links.first[firsts]] = 1
    adjacency[links.nodes, links.others] = 1
    hidden = base[0]
    for layer, beside in zip(adapter.layers, base[1:], strict=True):
        both = torch.cat([beside, hidden], dim=1)
        hidden = torch.tanh(layer.lin_root(both) + layer.lin_rel(adjacency @ both))
    vector = torch.cat([base[-1].mean(dim=0), hidden.mean(dim=0)])
    assert torch.allclose(adapter(base, batch), adapter.head(vector[None]), atol=1e-5)


def with_adapters():
    torch.manual_seed(1)
    encoder = {'type': 'hpml_mm.GraphConvEncoder'}
    return KAdapterRegressor(encoder, ['one', 'two'])


@pytest.mark.parametrize(('make', 'heads'), [(small_model, 1), (with_adapters, 2)])
def test_ada_proxy_adapts_the_last_layer_alone(make, heads):
    torch.manual_seed(0)
    base = make()
    base.fit_scaler(*all_labels())
    model = AdaProxyRegressor(base, penalty=0.1)
    # As in AIO-P: one for each weight and for the bias, of each head.
    assert model.alpha.shape == (heads, 1)
    assert model.b.shape == (heads, 33)
    with torch.no_grad():
        model.alpha.fill_(1)
        model.b.zero_()
    batch = toy_table().batch(range(4))
    plain = base.outputs(batch)
    assert torch.allclose(model.outputs(batch), plain, atol=1e-6)
    with torch.no_grad():
        model.alpha.fill_(3)  # weights and bias: the whole output
    assert torch.allclose(model.outputs(batch), 3 * plain, atol=1e-5)
    before = state(model)
    fit(model, labelled(), QUICK)
    moved = {name for name in changed(model, before) if 'scaler' not in name}
    assert moved == {'alpha', 'b'}


def test_ada_proxy_needs_a_last_layer_of_aiop():
    other = small_model(head={'type': 'hpml_mm.SkipHead'})
    with pytest.raises(TypeError, match='with head SkipHead'):
        AdaProxyRegressor(other)


@torch.no_grad()
def test_the_loss_of_ada_proxy():
    model, (labels, macs) = AdaProxyRegressor(small_model(), penalty=0.5), all_labels()
    model.fit_scaler(labels, macs)
    batch = toy_table().batch(range(16))
    error = model.outputs(batch) - model.scaler.transform(labels, macs)
    penalty = 0.5 * model.b.abs().sum()
    assert torch.allclose(model.loss(batch, labels), (error**2).mean() + penalty)
    model.absolute = True
    assert torch.allclose(model.loss(batch, labels), error.abs().mean() + penalty)


@torch.no_grad()
def test_an_ensemble_is_the_mean_of_its_members_on_their_own_scales():
    labels, macs = all_labels()
    members = [small_model(), small_model(scaling='stand_flops')]
    model, batch = EnsembleRegressor(members), toy_table().batch(range(16))
    model.fit_scaler(labels, macs)
    expected = torch.stack([one.predict(batch) for one in members], dim=1)
    assert torch.equal(model.member_scores(batch), expected)
    assert torch.equal(model.predict(batch), expected.mean(dim=1))
    total = sum(one.loss(batch, labels) for one in members)
    assert model.loss(batch, labels).item() == pytest.approx(total.item())


def test_wrong_arguments_are_named(model):
    with pytest.raises(ValueError, match="'three'; there are one, two"):
        model.train_task('three')
    with pytest.raises(ValueError, match='group -1'):
        model.tune(-1)
    with pytest.raises(ValueError, match=r"tasks=\['one', 'one'\]"):
        KAdapterRegressor({'type': 'hpml_mm.GraphConvEncoder'}, ['one', 'one'])
    with pytest.raises(ValueError, match='penalty=0'):
        AdaProxyRegressor(small_model(), penalty=0)
    with pytest.raises(ValueError, match='no member'):
        EnsembleRegressor([])
