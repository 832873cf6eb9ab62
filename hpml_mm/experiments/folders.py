# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Search of folders for runs, and for the records of jobs beside them."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hpml_mm.utils.text_file import read_json

SUMMARIES = ('summary.json', 'summary_train.json', 'summary_test.json')
EVENTS = 'events.out.tfevents.'
# MMEngine's folder of one start of a run.
_START = re.compile(r'\d{8}_\d{6}')
_SKIPPED = ('vis_data', 'vis_image', 'confusion', 'confusion_test', '__pycache__')
_RECORD = {'arguments', 'config'}
# Bytes of a record at most: other JSON files, such as annotations, have more.
_LONGEST = 2**20


class Folder(NamedTuple):
    """Folder with what lies in it.

    Attributes:
        path: The folder.
        files: Names of its files.
        is_run: True for the work directory of a run: it holds a folder of MMEngine for
            each start, a summary, or events of TensorBoard.
    """

    path: Path
    files: list[str]
    is_run: bool

    @property
    def jobs(self) -> list[Path]:
        """Work directories of jobs whose records lie here."""
        places = (
            self.path / name.removesuffix('.json')
            for name in self.files
            if name.endswith('.json') and name not in SUMMARIES
        )
        return sorted(place for place in places if has_record(place))


def walk(folder: Path) -> Iterator[Folder]:
    """Go through a folder and all below it, but for what runs and programs keep."""
    for place, names, files in os.walk(folder):
        here = Folder(Path(place), files, _is_run(names, files))
        names[:] = sorted(name for name in names if _enters(here, name))
        yield here


def starts(run: Path) -> list[Path]:
    """List MMEngine's folders of a run, one for each time it was started."""
    return sorted(path for path in _children(run) if _START.fullmatch(path.name))


def beside(run: Path, ending: str) -> Path:
    """Path beside a work directory, of its name with an ending."""
    place = run if run.name not in ('', '..') else run.resolve()
    return place.parent / f'{place.name}{ending}'


def has_record(run: Path) -> bool:
    """Return whether the record of a job lies beside a work directory."""
    path = beside(run, '.json')
    try:
        held: Any = read_json(path) if path.stat().st_size <= _LONGEST else None
    except (OSError, ValueError):  # another's file, or none
        return False
    return isinstance(held, dict) and held.keys() == _RECORD


def _is_run(subfolders: Iterable[str], files: Iterable[str]) -> bool:
    return any(map(_START.fullmatch, subfolders)) or any(
        name in SUMMARIES or name.startswith(EVENTS) for name in files
    )


def _enters(folder: Folder, name: str) -> bool:
    """Return whether a subfolder may hold runs of its own."""
    if name.startswith('.') or name in _SKIPPED or _START.fullmatch(name):
        return False
    # TensorBoard's run of a second start belongs to its training.
    later = folder.is_run and re.fullmatch(r'start\d+', name)
    return not (later and _holds_events(folder.path / name))


def _holds_events(folder: Path) -> bool:
    return any(path.name.startswith(EVENTS) for path in _children(folder))


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
