# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Damaged files of every kind: a clear line, or the right values?

Each kind of ``inputs/kinds.py`` is damaged in each way of ``inputs/damages.py``. Where
a format holds no checksum, such as JPEG or ONNX, a byte among its pixels or weights may
be any: there it is enough that nothing breaks.
"""

import contextlib
import io
import logging
import os
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from inputs.damages import BOMBS, OF_ALL, OF_PLACES, OF_TEXTS
from inputs.kinds import KINDS, Kind
from outcomes import Outcome, main

from hpml_mm.config.command.errors import is_user_error

PROMISE = 'damaged input: a clear line, or read rightly'
_NOBODY = 65534
_SECONDS = 5


def problem_of(kind: Kind, path: Path, good: Any, free: bool) -> str | None:
    """Read a damaged file; tell what is wrong with the outcome, None if nothing is."""
    try:
        with limited():
            found = kind.read(path)
    except Exception as error:
        text = str(error)
        if not is_user_error(error):
            return f'traceback: {type(error).__name__}: {text[:150]!r}'
        if '\n' in text.strip() or len(text) > 1000:
            return f'{len(text.splitlines())} lines: {text[:150]!r}'
        return None if path.name in text else f'no name in {text[:150]!r}'
    if free or repr(found) == repr(good):
        return None
    return f'silent: read as {str(found)[:60]!r}'


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Raise an error in a read that never ends; rights are those of a plain user."""

    def stop(*_: object) -> None:
        raise TimeoutError('it never ended')

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_SECONDS)
    root = os.geteuid() == 0
    if root:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def damages_of(kind: Kind) -> dict[str, Callable[[Path], None]]:
    """Name every way to damage a file of a kind, in place."""
    of_bytes = OF_ALL | (OF_TEXTS if kind.is_text else {})

    def change(damage: Callable[[bytes], bytes]) -> Callable[[Path], None]:
        return lambda path: path.write_bytes(damage(path.read_bytes())) and None

    found = {name: change(damage) for name, damage in of_bytes.items()} | OF_PLACES
    for number, bomb in enumerate(BOMBS.get(Path(kind.name).suffix, ())):
        found[f'claim {number}'] = change(lambda _, bomb=bomb: bomb)
    return found


def run(quick: bool) -> list[Outcome]:
    """Damage every kind of file in every way; quickly, a ninth of most."""
    outcome = Outcome(PROMISE, 'hpml_mm')
    logging.disable(logging.CRITICAL)
    ''.encode('cp437')  # of ZIP files: as a plain user, it may not be found
    warnings.simplefilter('ignore')
    number = 0
    for title, kind in KINDS.items():
        with tempfile.TemporaryDirectory() as name, quiet():
            folder = Path(name)
            folder.chmod(0o777)
            path = folder / kind.name
            good = None
            for damage, change in damages_of(kind).items():
                number += 1
                if quick and (number % 9 or kind.slow):
                    continue
                if good is None:
                    kind.write(path)
                    original, good = path.read_bytes(), kind.read(path)
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
                path.write_bytes(original)
                change(path)
                whole = kind.checked or damage in OF_TEXTS or damage in OF_PLACES
                free = damage in kind.takes or not whole
                problem = problem_of(kind, path, good, free)
                outcome.add(f'{title}, {damage}', problem)
    return [outcome]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide what readers print."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield


if __name__ == '__main__':
    main(run)
