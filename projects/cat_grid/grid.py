# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Table of a folder of configs: published numbers beside measured ones."""

import csv
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from hpml_mm.experiments.rows import ResultRow
from hpml_mm.utils.messages import markdown_table

SOURCE_COLUMNS = ('experiment', 'change', 'final', 'best')
# A run may have given none.
_CELL = re.compile(r'0?\.\d+|not converged|out of memory')
_NUMBERED = re.compile(r'e\d\d[a-z]?')
_HEADER = (
    *('experiment', 'config', 'change'),
    *('source, last / best', 'ours, last / best'),
)
_MARKS = ('<!-- grid -->\n', '<!-- /grid -->')


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


def measured(rows: Iterable[ResultRow], metric: str) -> dict[str, ResultRow]:
    """Last row of a metric of each config that was trained without overrides.

    A row's command says which config it is of: the one behind its own label in a
    sweep, or the one that was trained. Overrides on the command line make it another
    experiment, which this leaves out.
    """
    found = {}
    for row in rows:
        config = _config_of(row)
        if row.metric == metric and config:
            found[Path(config).stem] = row
    return found


def _config_of(row: ResultRow) -> str | None:
    words = shlex.split(row.command)
    label = row.experiment.rpartition('/')[2]
    for at, word in enumerate(words[:-2]):
        if word == '--variant' and words[at + 1] == label:
            overridden = words[at + 3 : at + 4]
            changed = overridden and not overridden[0].startswith('--')
            return None if changed else words[at + 2]
    trained = words[:2] == ['python', 'tools/train.py'] and len(words) == 3
    return words[2] if trained else None


def grid_table(
    leaves: Iterable[Path],
    source: Mapping[str, Mapping[str, str]],
    final: Mapping[str, ResultRow],
    best: Mapping[str, ResultRow],
) -> str:
    """A Markdown table with a line for each config, the source's experiments first.

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
        cells = (
            number,
            f'[{leaf.stem.removeprefix(number + "_")}]({leaf.name})',
            theirs['change'],
            _pair(theirs['final'], theirs['best']),
            _pair(*ours),
        )
        lines.append(cells)
    return markdown_table(_HEADER, lines)


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


def replace_grid(text: str, table: str) -> str:
    """A document with its table between the marks replaced.

    Raises:
        ValueError: If the document has no marks.
    """
    start, end = (text.find(mark) for mark in _MARKS)
    if not 0 <= start < end:
        raise ValueError(f'the document has no {_MARKS[0].strip()} and {_MARKS[1]}')
    return text[: start + len(_MARKS[0])] + table + '\n' + text[end:]
