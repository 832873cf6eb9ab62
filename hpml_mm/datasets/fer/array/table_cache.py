# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Build the table of a data set once and find it again."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from mmengine.logging import print_log

from hpml_mm.datasets.fer.base import BaseFERDataset

from .face_table import FaceTable, read_table
from .fingerprint import fingerprint, table_name
from .table_file import load_table, save_table


def default_cache_dir() -> Path:
    """The user's folder for what can be made again."""
    base = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return Path(base).expanduser() / 'hpml_mm' / 'faces'


def cached_table(
    source: BaseFERDataset, config: Mapping, cache_dir: str | Path | None
) -> FaceTable:
    """The table of a data set, from a file where that is still right.

    A file that is absent, damaged or older than the data is written anew. Where that
    is impossible the table is used from memory, with a warning. Two processes may do
    all this at once.

    Args:
        source: The data set, not loaded yet.
        config: What it was built from.
        cache_dir: Folder of the files, or None for :func:`default_cache_dir`.
    """
    key = fingerprint(source)
    if key is None:
        return read_table(source)
    path = Path(cache_dir or default_cache_dir()).expanduser()
    path /= table_name(source, config)
    table = _load(path, key)
    if table is not None:
        return table
    table = read_table(source)
    try:
        save_table(table, path, key)
        return load_table(path, key)
    except (OSError, ValueError) as error:
        print_log(
            f'{path} cannot be used: {error}. The {len(table):,} faces stay in memory '
            'and are read again in the next run; cache_dir names another folder',
            logger='current',
            level=logging.WARNING,
        )
        return table


def _load(path: Path, key: str) -> FaceTable | None:
    try:
        table = load_table(path, key)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        print_log(
            f'{path} is made anew: {error}', logger='current', level=logging.WARNING
        )
        return None
    print_log(
        f'{len(table):,} faces from {path}; {table.num_skipped} damaged and '
        f'{table.num_crossing} crossing ones were left out',
        logger='current',
    )
    return table
