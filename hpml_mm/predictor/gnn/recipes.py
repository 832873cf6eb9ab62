# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Which graph networks there are to choose from, and how each of them learns."""

import dataclasses
import math

import numpy as np
import torch

from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.data.protocol import split_off

from . import GraphRegressor, ScoreModel
from .fit import FINE_TUNE, FitSettings, fine_tune, fit

# Fine-tuning, as in AIO-P.
TUNE_EPOCHS = 100
# Share of the networks to learn from that choose the best epoch, and the fewest
# networks that can spare it.
_DEV, _DEV_FROM = 0.1, 200
# A small sample is passed more often: this many steps, if it is not too many epochs.
_STEPS, _MOST_EPOCHS, _FEWEST_EPOCHS = 1500, 200, 40


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A graph network and how it is trained.

    Attributes:
        name: Part of the names of files.
        model: Arguments of ``GraphRegressor``.
        fold: Whether nodes are merged.
        settings: Of the training; the number of epochs follows from the sample.
        tuning: Of the fine-tuning, but for the number of epochs.
    """

    name: str
    model: dict
    fold: bool
    settings: FitSettings
    tuning: FitSettings


AIOP = Recipe('aiop', {'scaling': 'stand_flops'}, False, FitSettings(), FINE_TUNE)
AIOP_UNSCALED = Recipe(
    'aiop-unscaled', {'scaling': 'none'}, False, *(AIOP.settings, AIOP.tuning)
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


def new(recipe: Recipe, seed: int) -> GraphRegressor:
    """The network before it has learnt."""
    torch.manual_seed(seed)
    return GraphRegressor(**recipe.model)


def train(
    model: ScoreModel,
    bench: Bench,
    rows: np.ndarray,
    recipe: Recipe,
    epochs: int,
    seed: int,
) -> None:
    """Let a network learn from some rows; of many, a tenth chooses the best epoch."""
    settings = dataclasses.replace(recipe.settings, epochs=epochs, seed=seed)
    held = None
    if len(rows) >= _DEV_FROM:
        rows, rest = split_off(rows, _DEV, seed)
        held = bench.labelled(rest, recipe.fold)
    fit(model, bench.labelled(rows, recipe.fold), settings, held)


def learnt(bench: Bench, rows: np.ndarray, recipe: Recipe, seed: int) -> GraphRegressor:
    """A network that has learnt from some rows of a table alone."""
    model = new(recipe, seed)
    steps = math.ceil(len(rows) / recipe.settings.batch_size)
    epochs = min(max(_STEPS // steps, _FEWEST_EPOCHS), _MOST_EPOCHS)
    train(model, bench, rows, recipe, epochs, seed)
    return model


def tuned(
    model: ScoreModel, bench: Bench, rows: np.ndarray, recipe: Recipe, seed: int
) -> ScoreModel:
    """A copy of a trained network that has learnt from some rows of a table more."""
    tuning = dataclasses.replace(recipe.tuning, epochs=TUNE_EPOCHS, seed=seed)
    return fine_tune(model, bench.labelled(rows, recipe.fold), tuning)
