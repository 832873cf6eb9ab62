# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Training, fine-tuning and testing of predictors that can be saved."""

import copy
import dataclasses
import zlib
from typing import Any

import numpy as np

from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.data.protocol import Draw
from hpml_mm.predictor.gnn import recipes
from hpml_mm.predictor.gp.features import Task
from hpml_mm.predictor.gp.regressor import GaussianProcess
from hpml_mm.predictor.graphs.cache import GraphCache

from .baselines import CostLine, one_hot, ridge
from .card import Card
from .metrics import mae, srcc
from .predictor import ScorePredictor
from .predictor_file import GNNPredictor, GPPredictor, as_stored
from .training_range import TrainingRange

METHODS = ('gp', 'residual-gnn', 'gnn')
_RECIPES = {'residual-gnn': recipes.RESIDUAL, 'gnn': recipes.AIOP}

Scores = dict[str, float | None]


def train_predictor(
    bench: Bench, count: int, seed: int = 0, method: str = 'gp'
) -> ScorePredictor:
    """Train on a sample of a table, and test on the rest.

    Args:
        bench: The table.
        count: Networks in the sample, as ``protocol.draw`` draws it.
        seed: Seed of the sample, and of first weights.
        method: One of ``METHODS``.

    Returns:
        As a file will give it back, with scores of predictor and baselines.

    Raises:
        ValueError: There are too few networks, or their labels cannot be fitted.
    """
    drawn = draw_sample(bench, count, seed)
    about = card_and_range(bench, drawn, method)
    if method == 'gp':
        gp, task = GaussianProcess(), Task.of(bench, drawn.train)
        gp.fit([task], seed=seed)
        return with_scores(GPPredictor(*about, gp.condition_on(task)), bench, drawn)
    if method not in _RECIPES:
        raise ValueError(f'no method {method!r}; there are {", ".join(METHODS)}')
    recipe = _RECIPES[method]
    network = recipes.train_new(bench, drawn.train, recipe, seed)
    config = {'type': 'hpml_mm.GraphRegressor', **recipe.model}
    return with_scores(GNNPredictor(*about, network, config, recipe.fold), bench, drawn)


def fine_tune_predictor(
    predictor: ScorePredictor, bench: Bench, count: int, seed: int = 0
) -> ScorePredictor:
    """Fine-tune a predictor on a sample of another table, and test it on the rest.

    The Gaussian process keeps its scales, which say what matters in a network, and is
    conditioned on the sample alone. The weights of a graph network are trained further.

    Args:
        predictor: First state; it stays as it is.
        bench: The other table.
        count: Networks in the sample.
        seed: Seed of the sample.

    Returns:
        As ``train_predictor``; scores have 'before tuning' too.

    Raises:
        ValueError: As for ``train_predictor``; or the predictor was trained on this
            table, so that its score on the rest would say nothing.
    """
    _refuse_known(predictor.card, bench)
    drawn = draw_sample(bench, count, seed)
    origin = predictor.card
    about = card_and_range(bench, drawn, origin.method, origin.short)
    tuned: ScorePredictor
    if isinstance(predictor, GPPredictor):
        gp = copy.deepcopy(predictor.model).condition_on(Task.of(bench, drawn.train))
        tuned = GPPredictor(*about, gp)
    else:
        assert isinstance(predictor, GNNPredictor)
        recipe = recipes.RESIDUAL if predictor.fold else recipes.AIOP
        network = recipes.tune(predictor.model, bench, drawn.train, recipe, seed)
        tuned = GNNPredictor(*about, network, predictor.config, predictor.fold)
    before = _measured(predictor, bench, drawn.test)
    return with_scores(tuned, bench, drawn, {'before tuning': before})


def score_again(predictor: ScorePredictor, bench: Bench) -> dict[str, Scores]:
    """Scores of a predictor and of the baselines, on the networks of its card.

    Args:
        predictor: A trained one.
        bench: The table that it was trained on, with the label of the card.

    Raises:
        ValueError: This is another table.
    """
    card = predictor.card
    if card.table != table_checksum(bench.cache, bench.metric):
        raise ValueError(
            'the networks of the cache, or their labels, are not those that the '
            'predictor was trained and tested on: it is another table'
        )
    drawn = draw_sample(bench, card.networks, card.seed)
    if len(drawn.test) != card.rest:
        raise ValueError(
            f'{len(drawn.test)} networks of the cache are left to test on, '
            f'{card.rest} were when the predictor was trained: it is another table'
        )
    return _scores(predictor, bench, drawn)


def table_checksum(cache: GraphCache, label: str) -> str:
    """Checksum of names and labels, independent of their order."""
    rows = sorted(zip(cache.names, cache.metric(label).tolist(), strict=True))
    return f'{zlib.crc32(repr(rows).encode()):08x}'


def _refuse_known(card: Card, bench: Bench) -> None:
    if card.label not in bench.cache.metric_names:
        return
    if card.table == table_checksum(bench.cache, card.label):
        raise ValueError(
            f'the predictor was trained on {card.networks:,} networks of this table: '
            'its score on them would say nothing of others; train a new one, or '
            'fine-tune on another table'
        )


def draw_sample(bench: Bench, count: int, seed: int) -> Draw:
    """Draw the sample of a table, and the rest.

    Raises:
        ValueError: There are too few or too many, it is no seed, or a label in percent
            is no percentage.
    """
    wrong = np.flatnonzero((bench.labels <= 0) | (bench.labels >= 100))
    if bench.task.unit == '%' and len(wrong):
        name, value = bench.cache.names[wrong[0]], bench.labels[wrong[0]]
        raise ValueError(
            f'{bench.metric!r} of {name} is {value:,.6g}: labels are percentages above '
            '0 and below 100; choose another metric'
        )
    if count < 2:
        raise ValueError(f'-n {count}: at least 2 networks are needed to train on')
    if not 0 <= seed < 2**32:
        raise ValueError(f'--seed {seed}: a seed is from 0 to {2**32 - 1}')
    return bench.draw(count, seed)


def card_and_range(
    bench: Bench, drawn: Draw, method: str, origin: str | None = None
) -> tuple[Card, TrainingRange]:
    """Card, without scores, and training range of a sample's predictor."""
    card = Card(
        space=bench.space,
        label=bench.metric,
        method=method,
        networks=len(drawn.train),
        seed=drawn.seed,
        rest=len(drawn.test),
        scores={},
        table=table_checksum(bench.cache, bench.metric),
        origin=origin,
        unit='percent' if bench.task.unit == '%' else bench.task.unit,
        greater_is_better=bench.task.greater_is_better,
    )
    rows = drawn.train
    return card, TrainingRange.of(bench.statistics.take(rows), bench.sizes[rows])


def with_scores(
    predictor: ScorePredictor,
    bench: Bench,
    drawn: Draw,
    more: dict[str, Scores] | None = None,
) -> ScorePredictor:
    """Put scores on the card of a predictor, after a round trip through its file.

    Args:
        predictor: A trained one.
        bench: The table.
        drawn: Its sample, and the rest.
        more: Scores to put beside its own.
    """
    predictor = as_stored(predictor)
    scores = _scores(predictor, bench, drawn) | (more or {})
    card = dataclasses.replace(predictor.card, scores=scores)
    return dataclasses.replace(predictor, card=card)


def _scores(predictor: ScorePredictor, bench: Bench, drawn: Draw) -> dict[str, Scores]:
    scores = {'predictor': _measured(predictor, bench, drawn.test)}
    models: dict[str, tuple[Any, np.ndarray]] = {}
    if bench.families is None:  # In a search space, where networks have archs.
        models['ridge'] = (ridge(), one_hot(bench.space, bench.archs))
    models['macs'] = (CostLine(), bench.macs[:, None])
    models['params'] = (CostLine(), bench.params[:, None])
    for name, (model, features) in models.items():
        model.fit(features[drawn.train], bench.labels[drawn.train])
        scores[name] = _compared(model.predict(features[drawn.test]), bench, drawn.test)
    return scores


def _measured(predictor: ScorePredictor, bench: Bench, rows: np.ndarray) -> Scores:
    found = predictor.score(bench, rows)
    scores = _compared(found.scores, bench, rows)
    if found.std is not None:
        off = np.abs(found.scores - bench.labels[rows])
        scores['within_1_std(%)'] = 100 * float((off <= found.std).mean())
    scores['out_of_distribution(%)'] = 100 * sum(map(bool, found.ood or ())) / len(rows)
    return scores


def _compared(predicted: np.ndarray, bench: Bench, rows: np.ndarray) -> Scores:
    labels = bench.labels[rows]
    unit = 'points' if bench.task.unit == '%' else bench.task.unit
    return {'srcc(1)': srcc(predicted, labels), f'mae({unit})': mae(predicted, labels)}
