# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Judge what ranks networks by labels of one's own, and the noise of the labels.

    python -m projects.aiop.labels poses=work_dirs/labels/poses.csv \
        semantic=work_dirs/labels/semantic.csv --rows results/labels.csv

Each table is one that hpml nas label wrote; beside it lies its cache, and with two
seeds the table of the seeds. Labels of one seed are not judged, as their noise is not
known; they rank the others, as pseudo-labels do.
"""

import argparse
import shlex
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpml_mm.config.command.errors import clear_errors
from hpml_mm.experiments.rows import ResultRow, append_results, environment_columns
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.tasks.table import TaskTable
from hpml_mm.utils.env import environment
from hpml_mm.utils.messages import markdown_table

from .judge import Labels, judge, noise
from .noise import Interval

_COMMAND = ('python', '-m', 'projects.aiop.labels')


def main(argv: list[str] | None = None) -> None:
    """Print noise and verdicts of each task, and write rows."""
    words = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog=' '.join(_COMMAND),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('tables', nargs='+', metavar='NAME=TABLE')
    parser.add_argument(
        '--known', type=Path, help='cache of a task that many networks have labels of'
    )
    parser.add_argument('--rows', type=Path, help='results/NAME.csv')
    args = parser.parse_args(words)
    with clear_errors():
        tables = dict(_named(word) for word in args.tables)
        known = None if args.known is None else Labels(GraphCache.load(args.known))
        means = {name: TaskTable.read(path) for name, path in tables.items()}
        seeds = {
            name: TaskTable.read(place)
            for name, path in tables.items()
            if (place := path.with_suffix('.seeds.csv')).is_file()
        }
        if not seeds:
            raise ValueError(
                f'{", ".join(tables)}: no labels of two seeds, so nothing is judged'
            )
        labels = {
            name: Labels(
                GraphCache.load(path.with_suffix('.cache')), _metric(means[name])
            )
            for name, path in tables.items()
        }
        for name, table in means.items():
            for one in (table, seeds.get(name, table)):
                _check_same(name, one, labels[name])
        command = shlex.join([*_COMMAND, *words])
        columns = {**environment_columns(environment()), 'command': command}
        rows = [_mean(name, table, columns) for name, table in means.items()]
        for name, held in seeds.items():
            others = {other: one for other, one in labels.items() if other != name}
            rows += _rows(name, held, labels[name], others, known, columns)
        if args.rows:
            append_results(args.rows, rows)
    header = ['experiment', 'metric', 'value', 'standard error', 'n']
    told = [
        [
            one.experiment,
            one.metric,
            f'{one.value:.3f}',
            f'{one.spread:.3f}',
            str(one.n),
        ]
        for one in rows
    ]
    print(markdown_table(header, told))


def _named(word: str) -> tuple[str, Path]:
    name, _, path = word.partition('=')
    if not name or not path:
        raise ValueError(f'{word}: write NAME=TABLE')
    return name, Path(path)


def _check_same(name: str, table: TaskTable, labels: Labels) -> None:
    """Refuse a cache that is older than a table beside it, which grows first."""
    scored = {table.names[index] for index in table.complete}
    if scored != set(labels.archs):
        raise ValueError(
            f'{name}: the cache holds {len(labels.archs)} networks and the table '
            f'{len(scored)}, or others: run its hpml nas label again, which writes both'
        )


def _metric(table: TaskTable) -> str:
    """First metric of a table, with its direction."""
    first = table.metrics[0]
    return f'{first.heading}:{"max" if first.greater_is_better else "min"}'


def _mean(name: str, table: TaskTable, columns: dict[str, Any]) -> ResultRow:
    """Row of the networks' mean label and its standard deviation."""
    unit = table.metrics[0].unit
    scores = table.scores[table.complete, 0].tolist()
    if len(scores) < 2:
        raise ValueError(f'{name}: {len(scores)} labelled networks, 2 are needed')
    return ResultRow(
        experiment=f'labels/{name}/networks',
        metric=f'label({unit})',
        unit=unit,
        value=statistics.mean(scores),
        spread=statistics.stdev(scores),
        n=len(scores),
        baseline=None,
        **columns,
    )


def _rows(
    name: str,
    seeds: TaskTable,
    labels: Labels,
    others: dict[str, Labels],
    known: Labels | None,
    columns: dict[str, Any],
) -> Iterator[ResultRow]:
    """Rows of a task, each with its standard error as spread."""

    def written(method: str, name: str, found: Interval) -> Iterator[ResultRow]:
        for metric, value in _ends(name, found).items():
            yield row(method, metric, value, found.std, found.n)

    def row(method: str, metric: str, value: float, spread: float, n: int) -> ResultRow:
        return ResultRow(
            experiment=f'labels/{name}/{method.replace(" ", "-")}',
            metric=f'{metric}(1)',
            unit='1',
            value=value,
            spread=spread,
            n=n,
            baseline=None,
            **columns,
        )

    for metric, found in noise(seeds).items():
        yield from written('seeds', metric, found)
    for verdict in judge(labels, others, known):
        yield from written(verdict.method, 'srcc', verdict.srcc)
        if len(null := verdict.null) > 1:
            yield row(
                verdict.method,
                'srcc_null',
                statistics.mean(null),
                statistics.stdev(null),
                len(null),
            )
        if verdict.gain is not None:
            yield from written(verdict.method, 'gain', verdict.gain)


def _ends(name: str, found: Interval) -> dict[str, float]:
    return {name: found.value, f'{name}_low': found.low, f'{name}_high': found.high}


if __name__ == '__main__':
    main()
