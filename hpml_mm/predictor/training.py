# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Train, fine-tune and judge the predictors that are kept in files."""

import copy
import dataclasses
import zlib
from collections.abc import Callable

import numpy as np

from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.data.protocol import Draw
from hpml_mm.predictor.gnn.predictor import NetworkPredictor
from hpml_mm.predictor.gp.predictor import KernelPredictor
from hpml_mm.predictor.gp.regressor import KernelRegressor
from hpml_mm.predictor.graphs.cache import GraphCache

from .baselines import CostLine, Ridge
from .bounds import Bounds
from .card import Card
from .gnn import recipes
from .metrics import mae, srcc
from .predictor import Predictor
from .predictor_file import rounded

METHODS = ('kernel', 'residual-gnn', 'gnn')
_RECIPES = {'residual-gnn': recipes.RESIDUAL, 'gnn': recipes.AIOP}

Scores = dict[str, float | None]


def train_predictor(
    bench: Bench, count: int, seed: int = 0, method: str = 'kernel'
) -> Predictor:
    """Learn from a sample of a table, and judge on the rest.

    Args:
        bench: The table.
        count: Networks in the sample, as ``protocol.draw`` draws it.
        seed: Of the sample, and of first weights.
        method: One of ``METHODS``.

    Returns:
        As a file will give it back, with scores of predictor and baselines.

    Raises:
        ValueError: There are too few networks, or their labels cannot be learnt from.
    """
    drawn = sampled(bench, count, seed)
    card, bounds = described(bench, drawn, method)
    if method == 'kernel':
        model = KernelRegressor()
        task = bench.task(drawn.train)
        model.learn([task], seed=seed)
        predictor = KernelPredictor(card, bounds, model.condition(task))
    else:
        recipe = _recipe(method)
        network = recipes.learnt(bench, drawn.train, recipe, seed)
        config = {'type': 'hpml_mm.GraphRegressor', **recipe.model}
        predictor = NetworkPredictor(card, bounds, network, config, recipe.fold)
    return judged(predictor, bench, drawn)


def fine_tune_predictor(
    predictor: Predictor, bench: Bench, count: int, seed: int = 0
) -> Predictor:
    """Learn from a few networks of another table, and judge on its rest.

    The Gaussian process keeps its scales, which say what matters in a network, and
    draws from the sample alone. A graph network goes on learning.

    Args:
        predictor: Where to start; it stays as it is.
        bench: The other table.
        count: Networks in the sample.
        seed: Of the sample.

    Returns:
        As ``train_predictor``; scores have 'before tuning' too.

    Raises:
        ValueError: As for ``train_predictor``; or the predictor has learnt from this
            table, so that nobody knows how good it is on other networks.
    """
    _refuse_known(predictor.card, bench)
    drawn = sampled(bench, count, seed)
    origin = predictor.card
    card, bounds = described(bench, drawn, origin.method, origin.short)
    if isinstance(predictor, KernelPredictor):
        model = copy.deepcopy(predictor.model).condition(bench.task(drawn.train))
    else:
        recipe = recipes.RESIDUAL if predictor.fold else recipes.AIOP
        model = recipes.tuned(predictor.model, bench, drawn.train, recipe, seed)
    tuned = dataclasses.replace(predictor, card=card, bounds=bounds, model=model)
    before = _measured(predictor, bench, drawn.test)
    return judged(tuned, bench, drawn, {'before tuning': before})


def judge_again(predictor: Predictor, bench: Bench) -> dict[str, Scores]:
    """Scores of a predictor and of the baselines, on the networks of its card.

    Args:
        predictor: A trained one.
        bench: The table that it learnt from, with the label of the card.

    Raises:
        ValueError: This is another table.
    """
    card = predictor.card
    if card.table not in (None, table_checksum(bench.cache, bench.metric)):
        raise ValueError(
            'the networks of the cache, or their labels, are not those that the '
            'predictor was trained and judged on: it is another table'
        )
    drawn = sampled(bench, card.networks, card.seed)
    if len(drawn.test) != card.rest:
        raise ValueError(
            f'{len(drawn.test)} networks of the cache are left to judge on, '
            f'{card.rest} were when the predictor was trained: it is another table'
        )
    return _scores(predictor, bench, drawn)


def table_checksum(cache: GraphCache, label: str) -> str:
    """What tells tables apart: a sum over names and labels, in whatever order."""
    rows = sorted(zip(cache.names, cache.metric(label).tolist(), strict=True))
    return f'{zlib.crc32(repr(rows).encode()):08x}'


def _refuse_known(card: Card, bench: Bench) -> None:
    if card.label not in bench.cache.metric_names:
        return
    if card.table == table_checksum(bench.cache, card.label):
        raise ValueError(
            f'the predictor has learnt from {card.networks:,} networks of this table: '
            'its score on them would say nothing of others; train a new one, or '
            'fine-tune on another table'
        )


def sampled(bench: Bench, count: int, seed: int) -> Draw:
    """The networks to learn from, and the rest.

    Raises:
        ValueError: There are too few or too many, it is no seed, or a label is no
            percentage.
    """
    wrong = np.flatnonzero((bench.labels <= 0) | (bench.labels >= 100))
    if len(wrong):
        name, value = bench.cache.names[wrong[0]], bench.labels[wrong[0]]
        raise ValueError(
            f'{bench.metric!r} of {name} is {value:,.6g}: labels are percentages above '
            '0 and below 100; choose another metric'
        )
    if count < 2:
        raise ValueError(f'-n {count}: at least 2 networks are needed to learn from')
    if not 0 <= seed < 2**32:
        raise ValueError(f'--seed {seed}: a seed is from 0 to {2**32 - 1}')
    return bench.draw(count, seed)


def _recipe(method: str) -> recipes.Recipe:
    if method not in _RECIPES:
        raise ValueError(f'no method {method!r}; there are {", ".join(METHODS)}')
    return _RECIPES[method]


def described(
    bench: Bench, drawn: Draw, method: str, origin: str | None = None
) -> tuple[Card, Bounds]:
    """What is to be known of a predictor before it is judged: see ``Card``."""
    card = Card(
        space=bench.space,
        label=bench.metric,
        method=method,
        networks=len(drawn.train),
        seed=drawn.seed,
        rest=len(drawn.test),
        scores={},
        origin=origin,
        table=table_checksum(bench.cache, bench.metric),
    )
    rows = drawn.train
    return card, Bounds.of(bench.statistics.take(rows), bench.sizes[rows])


def judged(
    predictor: Predictor,
    bench: Bench,
    drawn: Draw,
    more: dict[str, Scores] | None = None,
) -> Predictor:
    """A predictor as its file will give it back, with scores on its card.

    Args:
        predictor: A trained one.
        bench: What it learnt from.
        drawn: The networks that it learnt from, and the rest.
        more: Scores to put beside its own.
    """
    predictor = rounded(predictor)
    scores = _scores(predictor, bench, drawn) | (more or {})
    card = dataclasses.replace(predictor.card, scores=scores)
    return dataclasses.replace(predictor, card=card)


def _scores(predictor: Predictor, bench: Bench, drawn: Draw) -> dict[str, Scores]:
    scores = {'predictor': _measured(predictor, bench, drawn.test)}
    for name, (model, features) in _baselines(bench).items():
        rows = features()
        model.fit(rows[drawn.train], bench.labels[drawn.train])
        scores[name] = _compared(model.predict(rows[drawn.test]), bench, drawn.test)
    return scores


def _baselines(bench: Bench) -> dict[str, tuple[CostLine | Ridge, Callable]]:
    found = {
        'macs': (CostLine(), lambda: bench.macs[:, None]),
        'params': (CostLine(), lambda: bench.params[:, None]),
    }
    if bench.families is None:  # In a search space, where networks have archs.
        found = {'ridge': (Ridge(), lambda: bench.one_hot), **found}
    return found


def _measured(predictor: Predictor, bench: Bench, rows: np.ndarray) -> Scores:
    found = predictor.score(bench, rows)
    scores = _compared(found.scores, bench, rows)
    if found.spread is not None:
        off = np.abs(found.scores - bench.labels[rows])
        scores['within_1_spread(%)'] = 100 * float((off <= found.spread).mean())
    scores['outside(%)'] = 100 * sum(map(bool, found.outside)) / len(rows)
    return scores


def _compared(predicted: np.ndarray, bench: Bench, rows: np.ndarray) -> Scores:
    labels = bench.labels[rows]
    return {'srcc(1)': srcc(predicted, labels), 'mae(points)': mae(predicted, labels)}
