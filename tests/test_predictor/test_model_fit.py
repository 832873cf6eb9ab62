# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Training a graph network without a runner."""

import dataclasses

import numpy as np
import pytest
import torch
from predictor_toys import labelled, small_model, toy_labels, toy_table

from hpml_mm.predictor.gnn import GraphRegressor
from hpml_mm.predictor.gnn.fit import FitSettings, fine_tune, fit, predict

ONE = FitSettings(epochs=1)
STRONG = {
    'encoder': {'type': 'hpml_mm.ResidualEncoder', 'width': 16, 'num_layers': 1},
    'head': {'type': 'hpml_mm.SkipHead', 'width': 16},
}


def error(model, data):
    return np.abs(predict(model, data.table, data.indices) - data.labels).mean()


@pytest.mark.slow
@pytest.mark.parametrize('settings', [{}, STRONG], ids=['aiop', 'residual'])
def test_labels_are_fitted(settings):
    torch.manual_seed(0)
    data, model = labelled(fold=bool(settings)), GraphRegressor(**settings)
    schedule = FitSettings(epochs=60, batch_size=4, lr=5e-3, schedule='cosine')
    losses = fit(model, data, schedule)
    assert losses[-1] < 0.2 * losses[0]
    assert error(model, data) < 1.0  # The standard deviation of the labels is 2.9.


def test_the_same_seeds_give_the_same_weights():
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        model = small_model()
        fit(model, labelled(range(8)), FitSettings(epochs=2, seed=5))
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_scale_comes_from_the_training_networks_alone():
    model = small_model()
    fit(model, labelled(range(8)), ONE, dev=labelled(range(8, 16)))
    labels = toy_labels()[:8] / 100
    assert model.scaler.mean.item() == pytest.approx(labels.mean())
    assert model.scaler.std.item() == pytest.approx(labels.std())


def test_the_best_epoch_by_points_on_the_dev_networks_is_kept():
    train, dev = labelled(range(12)), labelled(range(12, 16))
    settings, errors = FitSettings(batch_size=4, lr=0.05), []
    for epochs in range(1, 6):  # Without dev networks the last weights stay.
        torch.manual_seed(0)
        last, best = small_model(), small_model()
        best.load_state_dict(last.state_dict())
        fit(last, train, dataclasses.replace(settings, epochs=epochs))
        errors.append(error(last, dev))
    fit(best, train, dataclasses.replace(settings, epochs=5), dev)
    assert min(errors) < errors[-1]
    assert error(best, dev) == pytest.approx(min(errors))


def test_frozen_parameters_stay():
    model = small_model()
    model.encoder.requires_grad_(False)
    before = model.encoder.layers[0].lin_rel.weight.clone()
    fit(model, labelled(range(8)), ONE)
    assert torch.equal(model.encoder.layers[0].lin_rel.weight, before)
    model.requires_grad_(False)
    with pytest.raises(ValueError, match='requires_grad'):
        fit(model, labelled(range(8)), ONE)


def test_fine_tuning_leaves_the_original_alone():
    model, few = small_model(), labelled(range(8, 16))
    fit(model, labelled(range(8)), ONE)
    before = predict(model, toy_table())
    tuned = fine_tune(model, few, FitSettings(epochs=10, batch_size=1, lr=1e-3))
    assert np.array_equal(predict(model, toy_table()), before)
    assert error(tuned, few) < error(model, few)
    assert tuned.scaler.mean != model.scaler.mean


def test_predictions_do_not_depend_on_their_batches(monkeypatch):
    model = small_model()
    fit(model, labelled(range(8)), ONE)
    whole = predict(model, toy_table())
    assert predict(model, toy_table(), np.array([9, 2])) == pytest.approx(whole[[9, 2]])
    monkeypatch.setattr('hpml_mm.predictor.gnn.fit.PREDICT_BATCH', 3)
    assert predict(model, toy_table()) == pytest.approx(whole, abs=1e-4)
    assert predict(model, toy_table(), np.array([], int)).shape == (0,)


def test_wrong_settings_and_losses_are_refused():
    with pytest.raises(ValueError, match="'step' is unknown"):
        FitSettings(schedule='step')
    with pytest.raises(ValueError, match='epochs=0'):
        FitSettings(epochs=0)
    model = small_model()
    with torch.no_grad():
        model.head.last.bias.fill_(torch.inf)
    with pytest.raises(ValueError, match='epoch 1'):
        fit(model, labelled(range(8)), ONE)
