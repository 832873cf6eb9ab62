# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Protocol over tasks: few networks known on the target, 300 on two others, the rest.

The three sets are disjoint, and a predictor sees no other task's scores of the labelled
and the test networks. Of the micro space's cells many compute the same, so there are
scores of those test networks alone that are unlike all known ones, too.
"""

import csv
import dataclasses
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hpml_mm.predictor.data.bench import simplest
from hpml_mm.predictor.spaces import get_space
from hpml_mm.predictor.tasks.features import FeatureSets, arch_features, choices
from hpml_mm.predictor.tasks.table import TaskTable
from hpml_mm.utils.text_file import csv_errors, read_text

# Most networks that are labelled on the target, and those known on two other tasks.
LABELLED, SOURCES = 50, 300
# Published proxies; others of the tables hold a constant, or costs.
PROXIES = ('grasp', 'fisher', 'grad_norm', 'l2_norm', 'plain', 'nwot', 'jacov', 'snip')


@dataclasses.dataclass(frozen=True, eq=False)
class Published:
    """A published table: its complete networks.

    Attributes:
        table: Their scores.
        features: Features of their architectures.
        digits: Their architectures, one-hot.
        proxies: By name (G, T) published zero-cost proxies; the greater the better.
        equal: Key of each network, the same where two compute the same.
    """

    table: TaskTable
    features: FeatureSets
    digits: np.ndarray
    proxies: dict[str, np.ndarray]
    equal: np.ndarray

    @classmethod
    def read(cls, folder: Path, name: str) -> 'Published':
        """Read 'macro' or 'micro' of a folder of tables.

        Raises:
            FileNotFoundError: A table is missing.
            ValueError: One is malformed.
        """
        table = TaskTable.read(folder / f'tnb101_{name}_7tasks.csv')
        table = table.take(table.complete)
        home = get_space(table.space)
        proxies = _proxies(folder / f'tnb101_{name}_zero_cost.csv', table)
        return cls(
            table,
            arch_features(table.space, table.names),
            choices(table.space, table.names),
            proxies,
            np.array([simplest(home, name) for name in table.names]),
        )


def _proxies(path: Path, table: TaskTable) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise FileNotFoundError(f'there is no table {path}')
    with csv_errors(path):
        read = list(csv.DictReader(io.StringIO(read_text(path), newline='')))
    rows = {name: row for row, name in enumerate(table.names)}
    found = {name: np.full(table.scores.shape, np.nan) for name in PROXIES}
    for number, cells in enumerate(read, start=2):
        if (row := rows.get(cells['arch_str'])) is None:
            continue
        task = table.task(cells['task'])
        for name, column in found.items():
            try:
                column[row, task] = float(cells[name])
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f'{path}, line {number}: {name} is {cells[name]!r}, no number'
                ) from error
    for name, column in found.items():
        if np.isnan(column).any():
            raise ValueError(f'{path}: networks without {name}: the table is cut off')
    return found


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """One draw of a table.

    Attributes:
        labelled: Positions of 50 networks; a smaller sample is the first of them.
        sources: Positions of 300 networks that are known on other tasks.
        test: Positions of networks to predict, the same for all methods and samples.
        unlike: (G,) of these, True for one that computes something else than every
            labelled and source network.
    """

    labelled: np.ndarray
    sources: np.ndarray
    test: np.ndarray
    unlike: np.ndarray

    @classmethod
    def draw(cls, published: Published, seed: int) -> 'Split':
        """Split a table by a seed."""
        order = np.random.RandomState(seed).permutation(len(published.table))
        known, rest = np.split(order, [LABELLED + SOURCES])
        unlike = ~np.isin(published.equal[rest], published.equal[known])
        return cls(known[:LABELLED], known[LABELLED:], rest, unlike)


def pairs(tasks: int, target: int) -> Iterator[tuple[int, int]]:
    """Pairs of other tasks than the target: 15 of seven."""
    return itertools.combinations([t for t in range(tasks) if t != target], 2)
