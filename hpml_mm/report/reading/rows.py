# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Result rows of a report, with their files and lines."""

import csv
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from hpml_mm.experiments.rows import RESULT_COLUMNS, read_good_results
from hpml_mm.report.content import Problem, RowData
from hpml_mm.utils.text_file import csv_errors, decode

# So many of the columns make a file one of results, though others may lack.
_ALIKE = 6
# Bytes of a line of names.
_LONGEST = 2**16


def header_of(path: Path, problems: list[Problem]) -> tuple[str, ...]:
    """Read the names of a CSV file's columns; empty where it cannot be read."""
    try:
        with path.open('rb') as file, csv_errors(path):
            line = decode(file.readline(_LONGEST), path)
            return tuple(next(csv.reader([line]), ()))
    except (OSError, ValueError) as error:
        problems.append(Problem(str(path), str(error)))
        return ()


def is_results(header: tuple[str, ...]) -> bool:
    """Return whether columns are those of result rows, or were meant to be."""
    return len(set(header) & set(RESULT_COLUMNS)) >= _ALIKE


def read_rows(paths: Iterable[Path], problems: list[Problem]) -> list[RowData]:
    """Read all good rows of results files; each bad one becomes a problem."""
    found: list[RowData] = []
    for path in paths:
        good, bad = read_good_results(path)
        for line, row in good:
            cells = asdict(row)
            found.append(RowData(**cells, id=len(found), file=str(path), line=line))
        problems += (_problem(path, str(error)) for error in bad)
    return found


def _problem(path: Path, text: str) -> Problem:
    """Problem of a message that begins with its place."""
    place, colon, what = text.partition(': ')
    if colon and place.startswith(str(path)):
        return Problem(place, what)
    return Problem(str(path), text)
