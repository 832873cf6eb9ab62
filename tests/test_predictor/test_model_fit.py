# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Training without a runner."""

import numpy as np
import pytest
import torch
from predictor_toys import small_model, toy_labels, toy_table

from hpml_mm.predictor.gnn import GraphRegressor
from hpml_mm.predictor.gnn.fit import FitSettings, Labelled, fine_tune, fit, predict

QUICK = FitSettings(epochs=100, batch_size=4, lr=3e-3, schedule='cosine')
STRONG = {
    'encoder': {'type': 'hpml_mm.ResidualEncoder', 'width': 16, 'num_layers': 1},
    'head': {'type': 'hpml_mm.SkipHead', 'width': 16},
}


def part(rows, fold=False):
    rows = np.asarray(rows)
    return Labelled(toy_table(fold), rows, toy_labels()[rows])


def error(model, data):
    return np.abs(predict(model, data.table, data.indices) - data.labels).mean()


@pytest.mark.parametrize('settings', [{}, STRONG])
def test_labels_are_learnt(settings):
    torch.manual_seed(0)
    data = part(range(16), fold=bool(settings))
    model = GraphRegressor(**settings)
    losses = fit(model, data, QUICK).losses
    assert losses[-1] < 0.2 * losses[0]
    assert error(model, data) < 1.0  # Labels spread by 2.9 points.


def test_the_same_seeds_give_the_same_weights():
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        fitted = fit(small_model(), part(range(8)), FitSettings(epochs=2, seed=5))
        states.append(fitted.model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_scale_comes_from_the_training_networks_alone():
    model = small_model()
    fit(model, part(range(8)), FitSettings(epochs=1), dev=part(range(8, 16)))
    labels = toy_labels()[:8] / 100
    assert model.scaler.mean.item() == pytest.approx(labels.mean())
    assert model.scaler.std.item() == pytest.approx(labels.std())


def test_the_best_epoch_by_points_on_the_dev_networks_is_kept():
    torch.manual_seed(0)
    dev, model, seen = part(range(12, 16)), small_model(), []
    settings = FitSettings(epochs=6, batch_size=4, lr=0.05)
    fitted = fit(
        model, part(range(12)), settings, dev, lambda *_: seen.append(error(model, dev))
    )
    assert fitted.epoch == 1 + int(np.argmin(seen))
    assert fitted.dev_error == pytest.approx(min(seen))
    assert error(model, dev) == pytest.approx(min(seen))


def test_without_dev_networks_the_last_weights_stay():
    fitted = fit(small_model(), part(range(8)), FitSettings(epochs=3))
    assert (fitted.epoch, fitted.dev_error) == (3, None)


def test_a_moving_average_is_what_is_returned():
    torch.manual_seed(0)
    model = small_model()
    first = {name: value.clone() for name, value in model.state_dict().items()}
    fit(model, part(range(8)), FitSettings(epochs=3, batch_size=8, ema=1.0))
    name = 'head.last.weight'
    moved = (model.state_dict()[name] - first[name]).abs().max()
    # The average starts from the weights after the first step and never moves.
    assert 0 < moved < 1.1e-4
    assert model.scaler.fitted


def test_frozen_parameters_stay():
    model = small_model()
    model.encoder.requires_grad_(False)
    before = model.encoder.layers[0].lin_rel.weight.clone()
    fit(model, part(range(8)), FitSettings(epochs=1))
    assert torch.equal(model.encoder.layers[0].lin_rel.weight, before)
    model.requires_grad_(False)
    with pytest.raises(ValueError, match='no parameter with requires_grad'):
        fit(model, part(range(8)), FitSettings(epochs=1))


def test_fine_tuning_leaves_the_original_alone():
    model = small_model()
    fit(model, part(range(8)), FitSettings(epochs=1))
    before = predict(model, toy_table())
    settings = FitSettings(epochs=10, batch_size=1, lr=1e-3)
    tuned = fine_tune(model, part(range(8, 16)), settings)
    assert np.array_equal(predict(model, toy_table()), before)
    assert error(tuned, part(range(8, 16))) < error(model, part(range(8, 16)))
    assert tuned.scaler.mean != model.scaler.mean


def test_predictions_do_not_depend_on_their_batches(monkeypatch):
    model = small_model()
    fit(model, part(range(8)), FitSettings(epochs=1))
    whole = predict(model, toy_table())
    assert predict(model, toy_table(), np.array([9, 2])) == pytest.approx(whole[[9, 2]])
    monkeypatch.setattr('hpml_mm.predictor.gnn.fit.PREDICT_BATCH', 3)
    assert predict(model, toy_table()) == pytest.approx(whole, abs=1e-4)
    assert predict(model, toy_table(), np.array([], int)).shape == (0,)


def test_settings_that_make_no_sense():
    with pytest.raises(ValueError, match="schedule 'step' is unknown"):
        FitSettings(schedule='step')
    with pytest.raises(ValueError, match='epochs=0'):
        FitSettings(epochs=0)
    with pytest.raises(ValueError, match='2 networks with 1 labels'):
        Labelled(toy_table(), np.arange(2), np.ones(1))


def test_a_loss_that_is_not_finite():
    model = small_model()
    with torch.no_grad():
        model.head.last.bias.fill_(torch.inf)
    with pytest.raises(ValueError, match='the loss of epoch 1 is'):
        fit(model, part(range(8)), FitSettings(epochs=1))
