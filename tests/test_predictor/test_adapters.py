# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""K-adapters and AdaProxy: sizes, what learns, and what they compute."""

import numpy as np
import pytest
import torch
from predictor_toys import small_model, toy_labels, toy_table

from hpml_mm.predictor.gnn import AdaProxyRegressor, KAdapterRegressor
from hpml_mm.predictor.gnn.adapters import Adapter
from hpml_mm.predictor.gnn.fit import FitSettings, Labelled, fine_tune, fit, predict
from hpml_mm.predictor.gnn.readout import graph_mean

QUICK = FitSettings(epochs=2, batch_size=4, lr=1e-2)


def train_set():
    return Labelled(toy_table(), np.arange(16), toy_labels())


@pytest.fixture
def model():
    torch.manual_seed(0)
    encoder = {'type': 'hpml_mm.GraphConvEncoder', 'num_layers': 2}
    return KAdapterRegressor(encoder, ['one', 'two'])


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_of_an_adapter():
    adapter = Adapter(32, 6)
    assert count(adapter.layers) == 24_768
    assert count(adapter) == 30_049


def learning(model):
    """Names of what learns, without the rest of their path."""
    names = {name for name, p in model.named_parameters() if p.requires_grad}
    parts = {
        'heads': ['adapters.0.head', 'adapters.1.head'],
        'bodies': ['adapters.0.layers', 'adapters.1.layers'],
        'base': ['encoder.layers'],
        'embedding': ['encoder.embedding'],
    }
    found = {
        part: [any(name.startswith(f'{start}.') for name in names) for start in starts]
        for part, starts in parts.items()
    }
    assert all(len(set(each)) == 1 for each in found.values())
    return {part for part, each in found.items() if each[0]}


@pytest.mark.parametrize(
    ('group', 'parts'),
    [
        (0, {'heads'}),
        (1, {'heads', 'base'}),
        (2, {'heads', 'base', 'bodies'}),
        (3, {'heads', 'bodies'}),
    ],
)
def test_fine_tune_groups(model, group, parts):
    model.tune(group)
    assert learning(model) == parts


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(model, before):
    pairs = {name: (value, before[name]) for name, value in model.state_dict().items()}
    return {
        name
        for name, (new, old) in pairs.items()
        if not torch.allclose(new, old, rtol=0, atol=0, equal_nan=True)
    }


def test_only_one_tasks_adapter_learns_on_its_own_scale(model):
    before = state(model)
    model.learn('two')
    fit(model, train_set(), QUICK)
    names = changed(model, before)
    assert {name.split('.')[0] for name in names} == {'adapters', 'task_scalers'}
    assert all(name.split('.')[1] == '1' for name in names)
    assert not model.scaler.fitted


def test_tuning_a_copy_leaves_the_original_alone(model):
    before = state(model)
    model.tune(1)
    tuned = fine_tune(model, train_set(), QUICK)
    assert not {n for n in changed(model, before) if 'scaler' not in n}
    moved = {name for name in changed(tuned, before) if 'scaler' not in name}
    starts = ('encoder.layers', 'adapters.0.head', 'adapters.1.head')
    assert {n for n, _ in model.named_parameters() if n.startswith(starts)} == moved


def test_the_answer_is_the_mean_of_the_heads_before_scaling_back(model):
    table = toy_table()
    train = train_set()
    model.fit_scaler(torch.as_tensor(train.labels), torch.as_tensor(train.macs))
    with torch.no_grad():
        heads = model.head_outputs(table.batch(range(16)))
    expected = heads.mean(dim=1).double() * model.scaler.spread + model.scaler.mean
    assert heads.shape == (16, 2)
    assert predict(model, table) == pytest.approx(100 * expected.numpy(), abs=1e-3)


@torch.no_grad()
def test_an_adapter_computes_what_the_paper_says(model):
    batch = toy_table().batch([5])
    base = model.encoder(batch)
    adapter = model.adapters[0]
    nodes = len(batch.rows)
    adjacency = torch.zeros(nodes, nodes)
    for node in range(nodes):
        if batch.sources.first[node] < nodes:
            adjacency[node, batch.sources.first[node]] += 1
    for node, other in zip(batch.sources.nodes, batch.sources.others, strict=True):
        adjacency[node, other] += 1
    hidden = base[0]
    for layer, beside in zip(adapter.layers, base[1:], strict=True):
        both = torch.cat([beside, hidden], dim=1)
        hidden = torch.tanh(layer.lin_root(both) + layer.lin_rel(adjacency @ both))
    vector = torch.cat([base[-1].mean(dim=0), hidden.mean(dim=0)])
    expected = adapter.head(vector[None])
    assert torch.allclose(adapter(base, batch), expected, atol=1e-5)
    assert torch.allclose(graph_mean(hidden, batch)[0], hidden.mean(dim=0), atol=1e-5)


def test_names_and_groups_that_are_not_there(model):
    with pytest.raises(ValueError, match="no adapter for 'three'; there are one, two"):
        model.learn('three')
    with pytest.raises(ValueError, match='fine-tune group -1 is unknown'):
        model.tune(-1)
    with pytest.raises(ValueError, match='different names'):
        KAdapterRegressor({'type': 'hpml_mm.GraphConvEncoder'}, ['one', 'one'])


def test_ada_proxy_bends_the_last_weights_alone():
    torch.manual_seed(0)
    base = small_model()
    fit(base, train_set(), QUICK)
    model = AdaProxyRegressor(base, penalty=0.1)
    with torch.no_grad():
        model.alpha.fill_(1)
        model.b.zero_()
    batch = train_set().table.batch(range(4))
    assert torch.allclose(model.outputs(batch), base.outputs(batch), atol=1e-6)
    before = state(model)
    fit(model, train_set(), QUICK)
    moved = {name for name in changed(model, before) if 'scaler' not in name}
    assert moved == {'alpha', 'b'}


@torch.no_grad()
def test_the_loss_of_ada_proxy():
    model = AdaProxyRegressor(small_model(), penalty=0.5)
    train = train_set()
    labels = torch.as_tensor(train.labels)
    model.fit_scaler(labels, torch.as_tensor(train.macs))
    batch = train.table.batch(range(16))
    error = model.outputs(batch) - model.scaler.transform(labels, batch.macs)
    penalty = 0.5 * model.b.abs().sum()
    assert torch.allclose(model.loss(batch, labels), (error**2).mean() + penalty)
    model.absolute = True
    assert torch.allclose(model.loss(batch, labels), error.abs().mean() + penalty)


def test_ada_proxy_needs_a_penalty():
    with pytest.raises(ValueError, match='penalty=0 must be above 0'):
        AdaProxyRegressor(small_model(), penalty=0)
