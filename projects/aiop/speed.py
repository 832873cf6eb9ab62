# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Throughput of predictors in graphs/s, for training and prediction."""

import copy
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence

import torch

from hpml_mm.experiments.rows import ResultRow, environment_columns, unit_of
from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.data.graph_set import GraphTable
from hpml_mm.predictor.data.graph_statistics import graph_statistics
from hpml_mm.predictor.gnn.fit import PREDICT_BATCH, Labelled, fit, predict
from hpml_mm.predictor.gnn.recipes import RESIDUAL, Recipe
from hpml_mm.predictor.gp.features import Task
from hpml_mm.predictor.gp.regressor import GaussianProcess
from hpml_mm.predictor.shipped import find_predictor, predictor_name
from hpml_mm.utils.env import environment
from hpml_mm.utils.stats import quartiles, ratio, turns

from .networks import AIOP_UNSCALED
from .pyg import PyGRegressor, pyg_fit, pyg_graphs, pyg_predict

PYG = 'torch-geometric'
_RECIPES = {'gnn': AIOP_UNSCALED, 'residual-gnn': RESIDUAL}

Work = Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Timed:
    """Measurement of one side.

    Attributes:
        seconds: Seconds of each round.
        graphs: Number of graphs in a round.
    """

    seconds: tuple[float, ...]
    graphs: int


def predicting(bench: Bench) -> dict[str, Work]:
    """Sides that predict a whole table from the graphs of a cache.

    Features are computed anew each time, but for torch_geometric's ``Data`` objects,
    which are made before. The Gaussian process is conditioned on as many networks as
    the one that comes with the package.
    """
    rows = torch.arange(len(bench)).numpy()
    baseline = PyGRegressor(AIOP_UNSCALED.build(seed=0))
    graphs = pyg_graphs(Labelled.of(bench, rows, fold=False))
    shipped = find_predictor(predictor_name(bench.space))
    task = Task.of(bench, rows[: shipped.card.networks])
    gp = GaussianProcess().condition_on(task)

    def network(recipe: Recipe) -> Work:
        model = recipe.build(seed=0)
        # The scale of the labels, without which a model does not predict.
        model.fit_scaler(torch.as_tensor(bench.labels), torch.as_tensor(bench.macs))
        return lambda: predict(model, GraphTable(bench.cache, recipe.fold))

    return {
        PYG: lambda: pyg_predict(baseline, graphs, PREDICT_BATCH),
        **{name: network(recipe) for name, recipe in _RECIPES.items()},
        'kernel': lambda: gp.predict(graph_statistics(bench.cache)),
    }


def training(bench: Bench, networks: int, epochs: int) -> dict[str, Work]:
    """Sides that train on the first networks of a table, from equal weights."""
    rows = torch.arange(min(networks, len(bench))).numpy()

    def baseline() -> Work:
        graphs = pyg_graphs(Labelled.of(bench, rows, fold=False))
        first = PyGRegressor(AIOP_UNSCALED.build(seed=0))
        settings = dataclasses.replace(AIOP_UNSCALED.settings, epochs=epochs)
        return lambda: pyg_fit(copy.deepcopy(first), graphs, settings)

    def network(recipe: Recipe) -> Work:
        first, data = recipe.build(seed=0), Labelled.of(bench, rows, recipe.fold)
        settings = dataclasses.replace(recipe.settings, epochs=epochs)
        return lambda: fit(copy.deepcopy(first), data, settings)

    return {
        PYG: baseline(),
        **{name: network(recipe) for name, recipe in _RECIPES.items()},
    }


def time_in_turns(
    sides: Mapping[str, Work],
    graphs: int,
    rounds: int,
    warmup: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timed]:
    """Time all sides in turn, round after round.

    Args:
        sides: Functions to time, by name.
        graphs: Graphs in each round.
        rounds: That count.
        warmup: Rounds before these.
        clock: Clock in seconds.

    Raises:
        ValueError: There is no round.
    """
    if rounds < 1:
        raise ValueError(f'{rounds} rounds measure nothing; 1 or more are needed')
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn, order in enumerate(turns(list(sides.items()), warmup + rounds)):
        for name, work in order:
            start = clock()
            work()
            took = clock() - start
            if turn >= warmup:
                seconds[name].append(took)
    return {name: Timed(tuple(took), graphs) for name, took in seconds.items()}


def speed_rows(
    experiment: str, found: Mapping[str, Timed], command: str
) -> list[ResultRow]:
    """Graphs a second of each side, and the speed-up over torch_geometric."""
    measured_on = environment_columns(environment())
    rates = {n: [t.graphs / s for s in t.seconds] for n, t in found.items()}
    rows = []
    for name, values in rates.items():
        numbers = {'throughput(graph/s)': quartiles(values)}
        numbers['wall_time(s)'] = quartiles(found[name].seconds)
        if PYG in rates and name != PYG:
            numbers['speedup/torch_geometric(x)'] = ratio(values, rates[PYG])
        for metric, number in numbers.items():
            rows.append(
                ResultRow(
                    experiment=f'predictor-speed/{experiment}/{name}',
                    metric=metric,
                    unit=unit_of(metric),
                    value=number.median,
                    spread=number.iqr,
                    n=number.n,
                    baseline=None,
                    command=command,
                    **measured_on,
                )
            )
    return rows


def choose(sides: Mapping[str, Work], names: Sequence[str] | None) -> dict[str, Work]:
    """Select sides by name; None for all.

    Raises:
        ValueError: One is not there.
    """
    wrong = [name for name in names or () if name not in sides]
    if wrong:
        raise ValueError(f'no side {wrong[0]!r}; there are {", ".join(sides)}')
    return {name: sides[name] for name in names or sides}
