# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Recipes: graph networks and their training settings."""

import dataclasses
import math

import numpy as np
import torch

from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.data.protocol import split_off

from .fit import FitSettings, Labelled, Model, fine_tune, fit
from .regressor import GraphRegressor, ScoreModel

# Fine-tuning, as in AIO-P.
TUNE_EPOCHS = 100
# Share of the sample that chooses the best epoch, and the fewest networks that can
# spare it.
_DEV, _DEV_FROM = 0.1, 200
# A small sample is passed more often: this many steps, if it is not too many epochs.
_STEPS, _MOST_EPOCHS, _FEWEST_EPOCHS = 1500, 200, 40


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Graph network with its training settings.

    Attributes:
        name: Part of the names of files.
        model: Arguments of ``GraphRegressor``.
        fold: True to merge nodes.
        settings: Training settings; the number of epochs follows from the sample.
        tuning: Fine-tuning settings, but for the number of epochs.
    """

    name: str
    model: dict
    fold: bool
    settings: FitSettings
    tuning: FitSettings

    def build(self, seed: int) -> GraphRegressor:
        """Build the network with random weights."""
        torch.manual_seed(seed)
        return GraphRegressor(**self.model)


# AIO-P's fine-tuning takes one network a step, and the last weights.
AIOP = Recipe(
    'aiop',
    {'scaling': 'stand_flops'},
    False,
    FitSettings(),
    FitSettings(batch_size=1),
)
RESIDUAL = Recipe(
    'residual',
    {
        'encoder': {'type': 'hpml_mm.ResidualEncoder'},
        'readout': ('sum', 'mean', 'max'),
        'head': {'type': 'hpml_mm.SkipHead'},
    },
    True,
    FitSettings(batch_size=16, lr=1e-3, schedule='cosine'),
    FitSettings(batch_size=4, lr=3e-4, schedule='cosine'),
)


def train(
    model: ScoreModel,
    bench: Bench,
    rows: np.ndarray,
    recipe: Recipe,
    epochs: int,
    seed: int,
) -> None:
    """Train a network on some rows; of many rows, a tenth chooses the best epoch."""
    settings = dataclasses.replace(recipe.settings, epochs=epochs, seed=seed)
    dev = None
    if len(rows) >= _DEV_FROM:
        rows, rest = split_off(rows, _DEV, seed)
        dev = Labelled.of(bench, rest, recipe.fold)
    fit(model, Labelled.of(bench, rows, recipe.fold), settings, dev)


def train_new(
    bench: Bench, rows: np.ndarray, recipe: Recipe, seed: int
) -> GraphRegressor:
    """Train a network from scratch on some rows of a table."""
    model = recipe.build(seed)
    steps = math.ceil(len(rows) / recipe.settings.batch_size)
    epochs = min(max(_STEPS // steps, _FEWEST_EPOCHS), _MOST_EPOCHS)
    train(model, bench, rows, recipe, epochs, seed)
    return model


def tune(
    model: Model, bench: Bench, rows: np.ndarray, recipe: Recipe, seed: int
) -> Model:
    """Fine-tune a copy of a trained network on some rows of a table."""
    tuning = dataclasses.replace(recipe.tuning, epochs=TUNE_EPOCHS, seed=seed)
    return fine_tune(model, Labelled.of(bench, rows, recipe.fold), tuning)
