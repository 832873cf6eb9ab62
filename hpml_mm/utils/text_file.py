# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Text, JSON and CSV of users' files, whose damage is one line with the place."""

import contextlib
import csv
import json
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def check_regular(path: str | Path) -> None:
    """Refuse what is there and no file: a folder, or a pipe that would never end.

    Raises:
        FileNotFoundError: There is nothing.
        ValueError: It is no file.
        OSError: It cannot be looked at.
    """
    kind = irregular(path)
    if kind is not None:
        raise ValueError(f'{path} is {kind}, not a file: give the path of a file')


def irregular(path: str | Path) -> str | None:
    """Tell what something is that is no file; None for a file.

    Raises:
        OSError: There is nothing, or it cannot be looked at.
    """
    mode = os.stat(path).st_mode
    if stat.S_ISREG(mode):
        return None
    return 'a folder' if stat.S_ISDIR(mode) else 'a pipe or a device'


def read_text(path: str | Path) -> str:
    """Read a text, without the mark that spreadsheets put before it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no file or no UTF-8; the message names the byte.
    """
    check_regular(path)
    return decode(Path(path).read_bytes(), path)


def decode(data: bytes, place: str | Path) -> str:
    """Decode a text in UTF-8.

    Args:
        data: Its bytes.
        place: Path of the file, for errors.

    Raises:
        ValueError: It is no UTF-8, or holds a byte of zero, as damaged files do.
    """
    try:
        text = data.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{place}: byte {error.start} is not UTF-8; save the file as UTF-8'
        ) from error
    if '\0' in text:
        line = text[: text.index('\0')].count('\n') + 1
        raise ValueError(
            f'{place}, line {line}: a byte of zero, which no text has: the file is '
            'damaged'
        )
    return text


def read_json(path: str | Path, finite: bool = False) -> Any:
    """Read a JSON file, see :func:`parse_json`."""
    return parse_json(read_text(path), path, finite)


def parse_json(text: str, place: str | Path, finite: bool = False) -> Any:
    """Parse JSON.

    Args:
        text: The JSON.
        place: Path of the file, for errors.
        finite: True to refuse NaN and numbers that are too large for a float, which
            JSON does not have but Python takes.

    Raises:
        ValueError: It is no JSON, with line and column, or nested too deeply.
    """
    strict = _finite if finite else None
    try:
        return json.loads(text, parse_constant=strict, parse_float=strict)
    except json.JSONDecodeError as error:
        raise ValueError(
            f'{place}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}'
        ) from error
    except RecursionError as error:
        raise ValueError(f'{place}: not JSON: it is nested too deeply') from error
    except ValueError as error:  # an integer of thousands of digits
        reason = str(error).partition(';')[0]
        raise ValueError(f'{place}: not JSON: {reason}') from error


@contextlib.contextmanager
def csv_errors(path: str | Path) -> Iterator[None]:
    """Context that adds file and remedy to errors of the csv module.

    Raises:
        ValueError: A cell is too long, as one whose quote is never closed.
    """
    try:
        yield
    except csv.Error as error:
        raise ValueError(f'{path} cannot be read as CSV: {error}') from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f'{text} is no number that JSON can hold')
    return number
