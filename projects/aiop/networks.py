# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Graph networks as methods: from scratch, pre-trained, fine-tuned, with adapters."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.data.protocol import Draw
from hpml_mm.predictor.gnn import GraphRegressor, ScoreModel, recipes
from hpml_mm.predictor.gnn.fit import FitSettings, Labelled, Model, fit, predict
from hpml_mm.predictor.gnn.recipes import AIOP, Recipe
from hpml_mm.predictor.predictor import Prediction
from hpml_mm.utils.files import replacing

from .adapters import KAdapterRegressor

AIOP_UNSCALED = Recipe(
    'aiop-unscaled', {'scaling': 'none'}, False, AIOP.settings, AIOP.tuning
)

# Pre-training of a sweep over seeds.
PRETRAIN_NETS, PRETRAIN_EPOCHS = 5000, 20


@dataclasses.dataclass(frozen=True, eq=False)
class Setting:
    """Input of a method: table, split, pre-training tables, seed.

    Attributes:
        bench: The table.
        drawn: Its sample, and the rest.
        sources: Tables to pre-train on, which hold none of its networks. Graph
            networks are pre-trained on the first.
        adapters: Other labels of the first source, for AIO-P's adapters.
        seed: Seed of pre-training, first weights and order.
        store: Folder of pre-trained weights, which several samples share.
    """

    bench: Bench
    drawn: Draw
    sources: tuple[Bench, ...] = ()
    adapters: tuple[Bench, ...] = ()
    seed: int = 0
    store: Path | None = None


def from_scratch(setting: Setting, recipe: Recipe) -> Prediction:
    """Train on the sample alone."""
    model = recipes.train_new(setting.bench, setting.drawn.train, recipe, setting.seed)
    return _rest(model, setting, recipe.fold)


def zero_shot(setting: Setting, recipe: Recipe) -> Prediction:
    """Pre-trained network without fine-tuning; the sample only sets the labels' scale.

    Without a sample that of the source stays.
    """
    model = pretrained(setting, recipe)
    if len(setting.drawn.train):
        _set_scale(model, setting)
    return _rest(model, setting, recipe.fold)


def fine_tuned(setting: Setting, recipe: Recipe) -> Prediction:
    """A pre-trained network, fine-tuned on the sample."""
    model = pretrained(setting, recipe)
    return _rest(_tuned(model, setting, recipe), setting, recipe.fold)


def adapted(setting: Setting, tune: bool) -> Prediction:
    """AIO-P: adapters for other labels beside a frozen base.

    Args:
        setting: With at least one bench of adapters.
        tune: True to train heads and the base's layers (group 1) on the sample.
    """
    base = pretrained(setting, AIOP)
    names = [f'task{index}' for index in range(len(setting.adapters))]
    # The base may have been trained just now, or read: the first weights are the same.
    torch.manual_seed(setting.seed)
    model = KAdapterRegressor(base.encoder, names, scaling='stand_flops')

    def train() -> None:
        for name, source in zip(names, setting.adapters, strict=True):
            model.train_task(name)
            # As in AIO-P the last weights are taken, not those of the best epoch.
            rows = _source_rows(source, setting.seed)
            epochs = FitSettings(epochs=PRETRAIN_EPOCHS, seed=setting.seed)
            fit(model, Labelled.of(source, rows, fold=False), epochs)

    _store(model, setting, f'adapters-{len(names)}', train)
    model.tune(1)
    if tune:
        model = _tuned(model, setting, AIOP)
    else:
        _set_scale(model, setting)
    return _rest(model, setting, fold=False)


def pretrained(setting: Setting, recipe: Recipe) -> GraphRegressor:
    """Network pre-trained on the first source, once for each seed."""
    model = recipe.build(setting.seed)
    source = setting.sources[0]

    def train() -> None:
        rows = _source_rows(source, setting.seed)
        recipes.train(model, source, rows, recipe, PRETRAIN_EPOCHS, setting.seed)

    _store(model, setting, recipe.name, train)
    return model


def _source_rows(source: Bench, seed: int) -> np.ndarray:
    return np.sort(np.random.RandomState(seed).permutation(len(source))[:PRETRAIN_NETS])


def _store(
    model: ScoreModel, setting: Setting, name: str, train: Callable[[], None]
) -> None:
    """Load a model's weights from its file; without one, train and write it."""
    if setting.store is None:
        train()
        return
    source = setting.sources[0].space
    path = setting.store / f'{name}-{source}-{setting.seed}.pth'
    if path.is_file():
        model.load_state_dict(torch.load(path, weights_only=True))
        return
    torch.manual_seed(setting.seed)
    train()
    _write(model, path)


def _write(model: ScoreModel, path: Path) -> None:
    with replacing(path) as beside:
        torch.save(model.state_dict(), beside)


def _tuned(model: Model, setting: Setting, recipe: Recipe) -> Model:
    rows = setting.drawn.train
    return recipes.tune(model, setting.bench, rows, recipe, setting.seed)


def _set_scale(model: ScoreModel, setting: Setting) -> None:
    sample = Labelled.of(setting.bench, setting.drawn.train, fold=False)
    model.fit_scaler(torch.as_tensor(sample.labels), torch.as_tensor(sample.macs))


def _rest(model: ScoreModel, setting: Setting, fold: bool) -> Prediction:
    table = setting.bench.folded if fold else setting.bench.table
    return Prediction(predict(model, table, setting.drawn.test))
