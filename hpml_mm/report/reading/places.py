# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Search of folders for runs, results files and studies."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

SUMMARIES = ('summary.json', 'summary_train.json', 'summary_test.json')
EVENTS = 'events.out.tfevents.'
#: Storages that ``hpml search`` makes, by their names.
STORAGES = ('journal.log', 'study.db')
# MMEngine's folder of one start of a run.
_START = re.compile(r'\d{8}_\d{6}')
_SKIPPED = ('vis_data', 'vis_image', 'confusion', 'confusion_test', '__pycache__')


@dataclass
class Found:
    """Files and folders that a report is made of.

    Attributes:
        runs: Work directories.
        tables: CSV files.
        named_tables: Those among them that the user has named.
        storages: Paths or URLs of studies' storages.
        records: Records of jobs, ``DIR.json`` beside their directory ``DIR``.
    """

    runs: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    named_tables: set[Path] = field(default_factory=set)
    storages: list[str] = field(default_factory=list)
    records: list[Path] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.runs or self.tables or self.storages or self.records)


def find(places: Iterable[str]) -> Found:
    """Look through places, each folder with all below it.

    Args:
        places: Folders, files, or URLs of studies' storages.

    Raises:
        FileNotFoundError: There is no such place.
        ValueError: A place holds nothing that can be shown.
    """
    found = Found()
    for place in places:
        here = _look_through(place)
        if not here:
            raise ValueError(
                f'{place} holds no run, results file or study: give work directories '
                'of `hpml train`, results/*.csv or the folder of `hpml search`'
            )
        for name in ('runs', 'tables', 'storages', 'records'):
            held = getattr(found, name)
            held += (one for one in getattr(here, name) if one not in held)
        found.named_tables |= here.named_tables
    return found


def starts(run: Path) -> list[Path]:
    """List MMEngine's folders of a run, one for each time it was started."""
    return sorted(path for path in _children(run) if _START.fullmatch(path.name))


def _look_through(place: str) -> Found:
    found = Found()
    if '://' in place:
        found.storages.append(place)
        return found
    path = Path(place)
    if not path.exists():
        raise FileNotFoundError(f'there is no {place}: give a folder or a file')
    if path.is_file():
        _take_file(path, found)
        return found
    for folder, subfolders, files in os.walk(path):
        here = Path(folder)
        is_run = _is_run(subfolders, files)
        if is_run:
            found.runs.append(here)
        found.tables += (here / name for name in files if name.endswith('.csv'))
        found.storages += (_storage(here / name) for name in STORAGES if name in files)
        found.records += _records(here, files)
        subfolders[:] = sorted(
            name for name in subfolders if _enters(here, name, is_run)
        )
    for each in (found.runs, found.tables, found.storages, found.records):
        each.sort()
    return found


def _take_file(path: Path, found: Found) -> None:
    if path.suffix == '.csv':
        found.tables.append(path)
        found.named_tables.add(path)
    elif path.name in SUMMARIES or path.name.startswith(EVENTS):
        found.runs.append(path.parent)
    elif path.suffix in ('.log', '.db'):
        found.storages.append(_storage(path))


def _is_run(subfolders: Iterable[str], files: Iterable[str]) -> bool:
    return any(map(_START.fullmatch, subfolders)) or any(
        name in SUMMARIES or name.startswith(EVENTS) for name in files
    )


def _enters(folder: Path, name: str, is_run: bool) -> bool:
    """Return whether a subfolder may hold runs of its own."""
    if name.startswith('.') or name in _SKIPPED or _START.fullmatch(name):
        return False
    # TensorBoard's run of a second start belongs to its training.
    return not (
        is_run and re.fullmatch(r'start\d+', name) and _holds_events(folder / name)
    )


def _holds_events(folder: Path) -> bool:
    return any(path.name.startswith(EVENTS) for path in _children(folder))


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _storage(path: Path) -> str:
    return f'sqlite:///{path.resolve()}' if path.suffix == '.db' else str(path)


def _records(folder: Path, files: Iterable[str]) -> list[Path]:
    """List records of jobs: JSON files beside the directory or the log they name."""
    names = set(files)
    return [
        folder / name
        for name in names
        if name.endswith('.json')
        and name not in SUMMARIES
        and (f'{name[:-5]}.log' in names or f'{name[:-5]}.owner' in names)
    ]
