# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""How many graphs a second predictors learn from, and predict."""

import copy
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence

import torch

from hpml_mm.experiments.rows import ResultRow, environment_columns, unit_of
from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.data.graph_table import GraphTable
from hpml_mm.predictor.gnn.fit import PREDICT_BATCH, fit, predict
from hpml_mm.predictor.gnn.recipes import AIOP_UNSCALED, RESIDUAL, Recipe, new
from hpml_mm.predictor.gp.regressor import KernelRegressor
from hpml_mm.predictor.gp.statistics import graph_statistics
from hpml_mm.predictor.shipped import find_predictor, predictor_name
from hpml_mm.utils.env import environment
from hpml_mm.utils.stats import quartiles, ratio, turns

from .stock import StockRegressor, stock_fit, stock_graphs, stock_predict

STOCK = 'torch-geometric'
_RECIPES = {'gnn': AIOP_UNSCALED, 'residual-gnn': RESIDUAL}

Work = Callable[[], object]


@dataclasses.dataclass(frozen=True)
class Timed:
    """What was measured of one side.

    Attributes:
        seconds: Of each round.
        graphs: How many were learnt from, or predicted, in a round.
    """

    seconds: tuple[float, ...]
    graphs: int


def predicting(bench: Bench) -> dict[str, Work]:
    """Predict a whole table, from its graphs as the cache has them.

    Features are computed anew each time, but for torch_geometric's ``Data`` objects,
    which are made before. The kernel predictor draws from as many networks as the one
    that comes with the package.
    """
    rows = torch.arange(len(bench)).numpy()
    unscaled = new(AIOP_UNSCALED, seed=0)
    stock, graphs = StockRegressor(unscaled), stock_graphs(bench.labelled(rows, False))
    shipped = find_predictor(predictor_name(bench.space))
    kernel = KernelRegressor().condition(bench.task(rows[: shipped.card.networks]))

    def network(recipe: Recipe) -> Work:
        model = new(recipe, seed=0)
        # The scale of the labels, without which a model does not predict.
        model.fit_scaler(
            torch.as_tensor(bench.labels), torch.as_tensor(bench.costs('macs')[:, 0])
        )
        return lambda: predict(model, GraphTable.from_cache(bench.cache, recipe.fold))

    return {
        STOCK: lambda: stock_predict(stock, graphs, PREDICT_BATCH),
        **{name: network(recipe) for name, recipe in _RECIPES.items()},
        'kernel': lambda: kernel.predict(graph_statistics(bench.cache.columns)),
    }


def training(bench: Bench, networks: int, epochs: int) -> dict[str, Work]:
    """Train on the first networks of a table, each time from the same weights."""
    rows = torch.arange(min(networks, len(bench))).numpy()

    def stock() -> Work:
        graphs = stock_graphs(bench.labelled(rows, False))
        first = StockRegressor(new(AIOP_UNSCALED, seed=0))
        settings = dataclasses.replace(AIOP_UNSCALED.settings, epochs=epochs)
        return lambda: stock_fit(copy.deepcopy(first), graphs, settings)

    def network(recipe: Recipe) -> Work:
        first, data = new(recipe, seed=0), bench.labelled(rows, recipe.fold)
        settings = dataclasses.replace(recipe.settings, epochs=epochs)
        return lambda: fit(copy.deepcopy(first), data, settings)

    return {
        STOCK: stock(),
        **{name: network(recipe) for name, recipe in _RECIPES.items()},
    }


def alternate(
    sides: Mapping[str, Work],
    graphs: int,
    rounds: int,
    warmup: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timed]:
    """Time all sides in turn, round after round.

    Args:
        sides: What is timed.
        graphs: That each of them goes through.
        rounds: That count.
        warmup: Rounds before these.
        clock: In seconds.

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
    """Graphs a second of each side, and how many times torch_geometric's they are."""
    ground = environment_columns(environment())
    rates = {n: [t.graphs / s for s in t.seconds] for n, t in found.items()}
    rows = []
    for name, values in rates.items():
        numbers = {'throughput(graph/s)': quartiles(values)}
        numbers['wall_time(s)'] = quartiles(found[name].seconds)
        if STOCK in rates and name != STOCK:
            numbers['speedup/torch_geometric(x)'] = ratio(values, rates[STOCK])
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
                    **ground,
                )
            )
    return rows


def choose(sides: Mapping[str, Work], names: Sequence[str] | None) -> dict[str, Work]:
    """Some of the sides; None for all.

    Raises:
        ValueError: One is not there.
    """
    wrong = [name for name in names or () if name not in sides]
    if wrong:
        raise ValueError(f'no side {wrong[0]!r}; there are {", ".join(sides)}')
    return {name: sides[name] for name in names or sides}
