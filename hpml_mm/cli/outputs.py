# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Results of a command: checks of ``--out`` before the work, and ``--json``."""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def check_out(out: Path | None, option: str = '--out') -> None:
    """Refuse an output file that cannot be written, before the work is done.

    Raises:
        ValueError: It is a directory, or its directory cannot be written to.
    """
    if out is None:
        return
    if out.is_dir():
        raise ValueError(f'{option} {out} is a directory: name a file')
    _check_writable(f'{option} {out}', out.parent)


def check_out_folder(out: Path) -> None:
    """Refuse an output directory that cannot be written to, before the work is done.

    Raises:
        ValueError: It is a file, or cannot be made or written to.
    """
    if out.is_file():
        raise ValueError(f'--out {out} is a file: name a directory')
    _check_writable(f'--out {out}', out)


def _check_writable(option: str, folder: Path) -> None:
    """Try to write into a directory, and remove the traces."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f'{option} cannot be written: {folder}: {error.strerror}'
        ) from error
    finally:
        for path in filter(Path.is_dir, missing):
            # Another process may have begun to use it.
            with contextlib.suppress(OSError):
                path.rmdir()


def add_json_option(group: argparse._ActionsContainer) -> None:
    """Add ``--json``, a flag in all commands."""
    group.add_argument(
        '--json', action='store_true', help='print the result as JSON, all else aside'
    )


def add_rows_option(group: argparse._ActionsContainer, required: bool = False) -> None:
    """Add ``--rows``, the CSV file that holds results."""
    group.add_argument(
        '--rows',
        type=Path,
        required=required,
        metavar='results/NAME.csv',
        help='append the results to this file',
    )


@contextlib.contextmanager
def result_alone(args: argparse.Namespace) -> Iterator[None]:
    """With ``--json``, send to stderr what is printed on the way."""
    with contextlib.redirect_stdout(sys.stderr if args.json else sys.stdout):
        yield


def print_result(args: argparse.Namespace, result: Any) -> None:
    """With ``--json``, print the result."""
    if args.json:
        # The doctor takes its option from here, where any package may lack.
        from hpml_mm.utils.files import dump_strict

        print(dump_strict(result), end='')
