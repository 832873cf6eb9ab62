# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Result rows of a case, and their table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hpml_mm.experiments.rows import ResultRow, environment_columns, unit_of
from hpml_mm.experiments.runs import check_same_environment
from hpml_mm.utils.messages import markdown_table

from .sweep import Cell

# Metrics of the results; the record of a run has more.
METRICS = (
    'srcc(1)',
    'mae(points)',
    'mape(%)',
    'kendall(1)',
    'top10_overlap(%)',
    'within_1_spread(%)',
    'within_2_spread(%)',
)
_BASELINES = ('ridge', 'macs', 'kernel')
_FAMILY_METRIC = 'srcc(1)'

Record = Mapping[str, Any]
Done = Sequence[tuple[Cell, Record]]


def case_rows(done: Done, command: str) -> list[ResultRow]:
    """One row for each method and metric: mean and std over seeds and samples.

    The baseline is ridge regression on the architecture, or where that was not run,
    MACs alone, or the Gaussian process. Networks of several families have rows of each
    family too.

    Args:
        done: Runs of one case with their records.
        command: That gives these numbers again.

    Raises:
        ValueError: The runs are of different code, PyTorch or devices.
    """
    check_same_environment(
        {
            f'{cell.method}/seed{cell.seed}-draw{cell.draw}': record['environment']
            for cell, record in done
        },
        'delete those of one kind, or set another --work-dir',
    )
    methods: dict[str, list[Record]] = {}
    for cell, record in done:
        methods.setdefault(cell.method, []).append(record)
    name = f'predictor/{done[0][0].case.name}'
    found = {
        method: summarise([record['scores'] for record in records])
        for method, records in methods.items()
    }
    rows = _rows(name, '', found, methods, command)
    families = {method: _family_scores(records) for method, records in methods.items()}
    for family in dict.fromkeys(name for held in families.values() for name in held):
        scores = {method: held.get(family, {}) for method, held in families.items()}
        rows += _rows(name, f'/{family}', scores, methods, command)
    return rows


def _rows(
    name: str,
    family: str,
    found: Mapping[str, Mapping[str, tuple[float, float] | None]],
    methods: Mapping[str, Sequence[Record]],
    command: str,
) -> list[ResultRow]:
    baseline = next((found[name] for name in _BASELINES if name in found), {})
    rows = []
    for method, metrics in found.items():
        for metric in METRICS:
            measured = metrics.get(metric)
            if measured is None:  # None, or the method gives none.
                continue
            value, spread = measured
            beside = (baseline.get(metric) or (None,))[0]
            count = len(methods[method])
            row = ResultRow(
                experiment=f'{name}{family}/{method}',
                metric=metric,
                unit=unit_of(metric),
                value=value,
                spread=spread if count > 1 else None,
                n=count,
                baseline=beside or None,
                command=command,
                **environment_columns(methods[method][-1]['environment']),
            )
            rows.append(row)
    return rows


def _family_scores(
    records: Sequence[Record],
) -> dict[str, dict[str, tuple[float, float]]]:
    """Mean and standard deviation of the families scored in every run."""
    held = [record['families'] for record in records]
    return {
        family: {_FAMILY_METRIC: mean_and_std(one[family] for one in held)}
        for family in held[0]
        if all(one.get(family) is not None for one in held)
    }


def mean_and_std(values: Iterable[float]) -> tuple[float, float]:
    """Mean and population standard deviation, as AIO-P gives them over its seeds.

    Raises:
        ValueError: There are no values.
    """
    array = np.array(list(values), np.float64)
    if not len(array):
        raise ValueError('mean_and_std: there are no values')
    return float(array.mean()), float(array.std())


def summarise(
    scores: Sequence[Mapping[str, float | None]],
) -> dict[str, tuple[float, float] | None]:
    """Mean and standard deviation of each metric over several runs.

    Args:
        scores: Results of ``score``, one for each run.

    Returns:
        None for a metric that one of the runs does not have: the mean of the others
        would be one of easier cases.
    """
    found: dict[str, tuple[float, float] | None] = {}
    for name in scores[0] if scores else ():
        values = [one[name] for one in scores]
        known = [value for value in values if value is not None]
        found[name] = mean_and_std(known) if len(known) == len(values) else None
    return found


def case_table(rows: Sequence[ResultRow]) -> str:
    """Methods by metrics, mean and standard deviation, as a table in Markdown."""
    metrics = [name for name in METRICS if any(row.metric == name for row in rows)]
    by_method: dict[str, dict[str, ResultRow]] = {}
    for row in rows:
        by_method.setdefault(row.experiment, {})[row.metric] = row
    lines = []
    for name, held in by_method.items():
        cells = [_cell(held.get(metric)) for metric in metrics]
        count = next(iter(held.values())).n
        name = name.split('/', 2)[2]  # Without the case, which is the same for all.
        lines.append([name, str(count), *cells])
    return markdown_table(['', 'n', *metrics], lines)


def _cell(row: ResultRow | None) -> str:
    if row is None:
        return ''
    digits = 4 if row.unit == '1' else 2
    spread = '' if row.spread is None else f' ± {row.spread:.{digits}f}'
    return f'{row.value:.{digits}f}{spread}'
