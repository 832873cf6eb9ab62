# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Search of folders for runs, results files and studies."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hpml_mm.experiments.folders import EVENTS, SUMMARIES, walk

#: Storages that ``hpml search`` makes, by their names.
STORAGES = ('journal.log', 'study.db')


@dataclass
class Found:
    """Files and folders that a report is made of.

    Attributes:
        runs: Work directories.
        tables: CSV files.
        named_tables: Those among them that the user has named.
        storages: Paths or URLs of studies' storages.
        jobs: Work directories of jobs, which those that wait do not have yet.
    """

    runs: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    named_tables: set[Path] = field(default_factory=set)
    storages: list[str] = field(default_factory=list)
    jobs: list[Path] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.runs or self.tables or self.storages or self.jobs)


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
        for name in ('runs', 'tables', 'storages', 'jobs'):
            held = getattr(found, name)
            held += (one for one in getattr(here, name) if one not in held)
        found.named_tables |= here.named_tables
    return found


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
    for here in walk(path):
        if here.is_run:
            found.runs.append(here.path)
        found.tables += (here.path / n for n in here.files if n.endswith('.csv'))
        found.storages += (_storage(here.path / n) for n in STORAGES if n in here.files)
        found.jobs += here.jobs
    for each in (found.runs, found.tables, found.storages, found.jobs):
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


def _storage(path: Path) -> str:
    return f'sqlite:///{path.resolve()}' if path.suffix == '.db' else str(path)
