# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Graph networks among the compared methods: from scratch, pre-trained, adapted."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.gnn import GraphRegressor, KAdapterRegressor, ScoreModel, recipes
from hpml_mm.predictor.gnn.fit import FitSettings, fit, predict
from hpml_mm.predictor.gnn.recipes import AIOP, Recipe
from hpml_mm.predictor.prediction import Prediction
from hpml_mm.utils.files import replacing

from .setting import Setting

# Pre-training of a sweep over seeds.
PRETRAIN_NETS, PRETRAIN_EPOCHS = 5000, 20


def from_scratch(setting: Setting, recipe: Recipe) -> Prediction:
    """Learn from the sample alone."""
    model = recipes.learnt(setting.bench, setting.drawn.train, recipe, setting.seed)
    return _rest(model, setting, recipe.fold)


def zero_shot(setting: Setting, recipe: Recipe) -> Prediction:
    """A pre-trained network as it is; a sample only sets the scale of the labels.

    Without a sample that of the source stays.
    """
    model = pretrained(setting, recipe)
    if len(setting.drawn.train):
        _set_scale(model, setting)
    return _rest(model, setting, recipe.fold)


def fine_tuned(setting: Setting, recipe: Recipe) -> Prediction:
    """A pre-trained network that learns from the sample."""
    model = pretrained(setting, recipe)
    return _rest(_tuned(model, setting, recipe), setting, recipe.fold)


def adapted(setting: Setting, tune: bool) -> Prediction:
    """AIO-P: adapters for other labels beside a frozen base.

    Args:
        setting: With at least one bench of adapters.
        tune: Whether heads and the base's layers (group 1) learn from the sample.
    """
    base = pretrained(setting, AIOP)
    names = [f'task{index}' for index in range(len(setting.adapters))]
    # The base may have been trained just now, or read: the first weights are the same.
    torch.manual_seed(setting.seed)
    model = KAdapterRegressor(base.encoder, names, scaling='stand_flops')

    def train(model: ScoreModel) -> None:
        for name, source in zip(names, setting.adapters, strict=True):
            model.learn(name)
            # As in AIO-P the last weights are taken, not those of the best epoch.
            rows = source.labelled(_source_rows(source, setting.seed), folded=False)
            epochs = FitSettings(epochs=PRETRAIN_EPOCHS, seed=setting.seed)
            fit(model, rows, epochs)

    _stored(model, setting, f'adapters-{len(names)}', train)
    model.tune(1)
    if tune:
        model = _tuned(model, setting, AIOP)
    else:
        _set_scale(model, setting)
    return _rest(model, setting, fold=False)


def pretrained(setting: Setting, recipe: Recipe) -> GraphRegressor:
    """A network that has learnt from the first source; trained once for a seed."""
    model = recipes.new(recipe, setting.seed)
    source = setting.sources[0]

    def train(model: ScoreModel) -> None:
        rows = _source_rows(source, setting.seed)
        recipes.train(model, source, rows, recipe, PRETRAIN_EPOCHS, setting.seed)

    return _stored(model, setting, recipe.name, train)


def _source_rows(source: Bench, seed: int) -> np.ndarray:
    return np.sort(np.random.RandomState(seed).permutation(len(source))[:PRETRAIN_NETS])


def _stored(
    model: ScoreModel,
    setting: Setting,
    name: str,
    train: Callable[[ScoreModel], None],
) -> ScoreModel:
    """A model with the weights of its file; if there is none, train and write it."""
    if setting.store is None:
        train(model)
        return model
    source = setting.sources[0].space
    path = setting.store / f'{name}-{source}-{setting.seed}.pth'
    if path.is_file():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model
    torch.manual_seed(setting.seed)
    train(model)
    _write(model, path)
    return model


def _write(model: ScoreModel, path: Path) -> None:
    with replacing(path) as beside:
        torch.save(model.state_dict(), beside)


def _tuned(model: ScoreModel, setting: Setting, recipe: Recipe) -> ScoreModel:
    rows = setting.drawn.train
    return recipes.tuned(model, setting.bench, rows, recipe, setting.seed)


def _set_scale(model: ScoreModel, setting: Setting) -> None:
    sample = setting.bench.labelled(setting.drawn.train, folded=False)
    model.fit_scaler(torch.as_tensor(sample.labels), torch.as_tensor(sample.macs))


def _rest(model: ScoreModel, setting: Setting, fold: bool) -> Prediction:
    table = setting.bench.folded if fold else setting.bench.table
    return Prediction(predict(model, table, setting.drawn.test))
