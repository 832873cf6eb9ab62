# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Published numbers of a folder of configs, beside those that were measured.

They are in a CSV file beside the configs; ours are the rows of configs that were
trained without overrides.
"""

import csv
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hpml_mm.experiments.rows import ResultRow
from hpml_mm.report.content import Problem, TableData

SOURCE_COLUMNS = ('experiment', 'change', 'final', 'best')
HEADER = (
    *('experiment', 'config', 'change'),
    *('source, last / best', 'ours, last / best'),
)
# A run may have given none.
_CELL = re.compile(r'0?\.\d+|not converged|out of memory')
_NUMBERED = re.compile(r'e\d\d[a-z]?')
# Of the poses, whose source gives its AP.
_METRIC = 'coco/AP'


class SourceLine(NamedTuple):
    """Config with the published and the measured numbers.

    Attributes:
        number: Number of the source's experiment; empty for other configs.
        leaf: File of the config.
        change: What the source says about it.
        theirs: Published numbers, last and best.
        ours: Measured numbers, last and best.
    """

    number: str
    leaf: Path
    change: str
    theirs: str
    ours: str

    @property
    def name(self) -> str:
        """Name of the config without the experiment's number."""
        return self.leaf.stem.removeprefix(f'{self.number}_')


def is_source(header: tuple[str, ...]) -> bool:
    """Return whether columns are those of published numbers."""
    return header == SOURCE_COLUMNS


def read_source(path: Path) -> dict[str, dict[str, str]]:
    """Read the published numbers by experiment.

    Args:
        path: CSV with the columns :data:`SOURCE_COLUMNS`; an empty number is one that
            the source does not give.

    Raises:
        ValueError: For other columns, an experiment that is there twice, and a
            number that is none.
    """
    found: dict[str, dict[str, str]] = {}
    with path.open(newline='', encoding='utf-8') as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != SOURCE_COLUMNS:
            raise ValueError(f'{path}: the columns must be {",".join(SOURCE_COLUMNS)}')
        for cells in reader:
            place = f'{path}:{reader.line_num}'
            if cells['experiment'] in found:
                raise ValueError(f'{place}: {cells["experiment"]} is there twice')
            for name in ('final', 'best'):
                if cells[name] and not _CELL.fullmatch(cells[name]):
                    raise ValueError(f'{place}: {name} is no score: {cells[name]!r}')
            found[cells['experiment']] = cells
    return found


def read_source_tables(
    paths: Iterable[Path], rows: Sequence[ResultRow], problems: list[Problem]
) -> list[TableData]:
    """Make a table of each folder of configs with published numbers."""
    tables = []
    for path in paths:
        try:
            source = read_source(path)
        except (OSError, ValueError) as error:
            problems.append(Problem(str(path), str(error)))
            continue
        lines = source_lines(
            path.parent.glob('*.py'),
            source,
            measured(rows, _METRIC),
            measured(rows, f'best/{_METRIC}'),
        )
        cells = tuple((one.number, one.name, *one[2:]) for one in lines)
        note = f'{_METRIC}; mean ± standard deviation of n seeds'
        title = f'{path.parent.name} beside its source'
        tables.append(TableData(title, HEADER, cells, note))
    return tables


def measured(rows: Iterable[ResultRow], metric: str) -> dict[str, ResultRow]:
    """Last row of a metric of each config that was trained without overrides.

    A row's command says which config it is of: the one behind its own label in a
    sweep, or the one that was trained. Overrides on the command line make it another
    experiment, which this leaves out.
    """
    found = {}
    for row in rows:
        config = _config_of(row.experiment, row.command)
        if row.metric == metric and config:
            found[Path(config).stem] = row
    return found


def source_lines(
    leaves: Iterable[Path],
    source: Mapping[str, Mapping[str, str]],
    final: Mapping[str, ResultRow],
    best: Mapping[str, ResultRow],
) -> list[SourceLine]:
    """Put published and measured numbers together, the source's experiments first.

    Args:
        leaves: The config files.
        source: The source's numbers, see :func:`read_source`.
        final: Our row of each config's last validation, by the file's stem.
        best: The same of its best validation.
    """
    lines = []
    for leaf in sorted(leaves, key=lambda path: (not _number(path), path.name)):
        number = _number(leaf)
        theirs = source.get(number, {'change': '', 'final': '', 'best': ''})
        ours = [_shown(held.get(leaf.stem)) for held in (final, best)]
        published = _pair(theirs['final'], theirs['best'])
        lines.append(
            SourceLine(number, leaf, theirs['change'], published, _pair(*ours))
        )
    return lines


def _config_of(experiment: str, command: str) -> str | None:
    try:
        words = shlex.split(command)
    except ValueError:  # quotes that are never closed
        return None
    label = experiment.rpartition('/')[2]
    for at, word in enumerate(words[:-2]):
        if word == '--variant' and words[at + 1] == label:
            overridden = words[at + 3 : at + 4]
            changed = overridden and not overridden[0].startswith('--')
            return None if changed else words[at + 2]
    trained = words[:2] in (['python', 'tools/train.py'], ['hpml', 'train'])
    return words[2] if trained and len(words) == 3 else None


def _number(path: Path) -> str:
    first = path.stem.split('_')[0]
    return first if _NUMBERED.fullmatch(first) else ''


def _shown(row: ResultRow | None) -> str:
    if row is None:
        return ''
    spread = '' if row.spread is None else f' ± {row.spread:.3f} (n={row.n})'
    return f'{row.value:.3f}{spread}'


def _pair(last: str, best: str) -> str:
    return f'{last or "-"} / {best or "-"}' if last or best else ''
