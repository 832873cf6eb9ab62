# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What the metrics of a cache are like, and how far two of them agree."""

import dataclasses
import warnings
from collections.abc import Iterable

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import ConstantInputWarning, spearmanr

from hpml_mm.utils.console import table_console

from .cache import GraphCache


@dataclasses.dataclass(frozen=True)
class MetricSummary:
    """One metric over the networks that have it.

    Attributes:
        name: With its unit.
        count: Networks that have it.
        mean: Arithmetic mean; None without a network.
        std: Standard deviation of the networks as they are, divided by their number.
        minimum: Least value.
        maximum: Greatest value.
    """

    name: str
    count: int
    mean: float | None
    std: float | None
    minimum: float | None
    maximum: float | None


def summarise(cache: GraphCache) -> list[MetricSummary]:
    """All metrics of a cache, and the size of its graphs."""
    columns = cache.columns
    found = {name: cache.metric(name) for name in cache.metric_names}
    found['graph nodes'] = np.diff(columns.node_offsets).astype(float)
    found['graph edges'] = np.diff(columns.edge_offsets).astype(float)
    return [_summary(name, values) for name, values in found.items()]


def _summary(name: str, values: np.ndarray) -> MetricSummary:
    values = values[~np.isnan(values)]
    if not len(values):
        return MetricSummary(name, 0, None, None, None, None)
    numbers = values.mean(), values.std(), values.min(), values.max()
    return MetricSummary(name, len(values), *map(float, numbers))


def rank_correlation(
    cache: GraphCache, first: str, second: str
) -> tuple[float | None, int]:
    """Spearman's correlation of two metrics over the networks that have both.

    Returns:
        The correlation, None where it is not defined: with fewer than three networks,
        or where one metric is the same for all. Then the number of networks.

    Raises:
        ValueError: A metric is not in the cache.
    """
    pair = np.stack([cache.metric(first), cache.metric(second)])
    pair = pair[:, ~np.isnan(pair).any(axis=0)]
    count = pair.shape[1]
    if count < 3:
        return None, count
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', ConstantInputWarning)
        value = float(spearmanr(*pair).statistic)
    return (None if np.isnan(value) else value), count


def print_summary(
    cache: GraphCache,
    pairs: Iterable[tuple[str, str]] = (),
    console: Console | None = None,
) -> None:
    """Print a table of the metrics, and the correlation of some pairs.

    Args:
        cache: What to tell of.
        pairs: Metrics whose ranks to compare.
        console: Where to print; standard output.

    Raises:
        ValueError: A metric of a pair is not in the cache; nothing is printed.
    """
    compared = [(*pair, *rank_correlation(cache, *pair)) for pair in pairs]
    console = console or table_console()
    count = len(cache)
    title = f'{count:,} network{"" if count == 1 else "s"}'
    table = Table(title=title, title_justify='left')
    table.add_column('')
    for heading in ('n', 'mean', 'std', 'min', 'max'):
        table.add_column(heading, justify='right')
    for row in summarise(cache):
        numbers = (row.mean, row.std, row.minimum, row.maximum)
        table.add_row(row.name, f'{row.count:,}', *map(_shown, numbers))
    console.print(table)
    for first, second, value, count in compared:
        shown = 'not defined' if value is None else f'{value:.4f}'
        console.print(
            f'SRCC of {first} and {second}: {shown} (n = {count:,})',
            markup=False,
            highlight=False,
        )


def _shown(value: float | None) -> str:
    if value is None:
        return 'unknown'
    return f'{value:,.0f}' if abs(value) >= 1e4 else f'{value:.6g}'
