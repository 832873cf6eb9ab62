# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The networks of a table with each task's decoder, and their split."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.predictor.spaces import get_space
from hpml_mm.predictor.spaces.tables import Row, read_table


@dataclasses.dataclass(frozen=True, eq=False)
class TaskDraw:
    """Split of a table's networks.

    Attributes:
        seed: Seed of the draw.
        sample: Positions of those with labels of the target.
        others: Positions of those with labels of other tasks.
        test: Positions of the rest, without equals of the former.
    """

    seed: int
    sample: np.ndarray
    others: np.ndarray
    test: np.ndarray


def draw_tasks(
    names: Sequence[str], groups: Sequence[str], seed: int, sample: int, others: int
) -> TaskDraw:
    """Shuffle the networks, sorted by name, and split them from the end.

    Args:
        names: Names of the networks.
        groups: Key of each, the same for equal networks.
        seed: Seed of the shuffle.
        sample: Size of the target's sample.
        others: Number of networks with labels of other tasks.

    Raises:
        ValueError: Nothing is left to predict.
    """
    order = np.argsort(np.asarray(names, dtype=str), kind='stable')
    np.random.RandomState(seed).shuffle(order)
    count = len(order) - sample - others
    rest, middle, last = np.split(order, [max(count, 0), max(count, 0) + others])
    keys = np.asarray(groups, dtype=str)
    rest = rest[~np.isin(keys[rest], keys[np.concatenate([middle, last])])]
    if count < 1 or not len(rest):
        raise ValueError(
            f'{len(names)} networks: none is left to predict beside {sample} and '
            f'{others}'
        )
    return TaskDraw(seed, *(np.sort(part) for part in (last, middle, rest)))


def task_benches(table: Path, space: str, folder: Path) -> dict[str, Bench]:
    """Make a table of graphs for each task, of the networks with labels of all.

    Args:
        table: Table of the space.
        space: Name of a space with tasks.
        folder: Folder where the graphs are kept.

    Raises:
        FileNotFoundError: There is no such table.
        ValueError: The table is malformed, or no network has all labels.
    """
    rows = read_table(table, space)
    home = get_space(space)
    metrics = _scores(rows, home.tasks)
    whole = [row for row in rows if set(metrics.values()) <= set(row.metrics)]
    if not whole:
        raise ValueError(f'{table}: no network has a label of each task')
    found = {}
    for task, metric in metrics.items():
        path = folder / f'{space}-{task}.safetensors'
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            _graphs(space, task, metric, whole).save(path)
        found[task] = Bench(space, GraphCache.load(path), metric)
    return found


def _scores(rows: Sequence[Row], tasks: Sequence[str]) -> Mapping[str, str]:
    """Score of each task, which is the first of its metrics."""
    names = [name for row in rows for name in row.metrics]
    return {
        task: next(name for name in names if name.startswith(f'{task}/'))
        for task in tasks
    }


def _graphs(space: str, task: str, metric: str, rows: Sequence[Row]) -> GraphCache:
    home = get_space(space).for_task(task)
    entries = []
    for row in rows:
        arch = home.decode(row.arch)
        label = {metric: row.metrics[metric]}
        name = f'{space}:{row.arch}'
        entries.append(Entry(name, home.graph(arch), home.encode(arch), label))
    return GraphCache.from_entries(entries)
