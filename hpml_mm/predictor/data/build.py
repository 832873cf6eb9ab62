# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Building a graph cache of all networks of a table, with resume.

Beside the file that is to be lies a folder of parts, each a small cache. What is done
is done: a build that is started again goes on where it stopped. Of several processes
that build the same file, one builds it and the others wait for it.
"""

import dataclasses
import multiprocessing
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.predictor.spaces import SearchSpace, get_space
from hpml_mm.predictor.spaces.tables import Row
from hpml_mm.predictor.tasks.table import table_rows
from hpml_mm.utils.files import dump_strict, locked, write_atomic
from hpml_mm.utils.messages import shown
from hpml_mm.utils.text_file import read_json
from hpml_mm.version import __version__

from .network_source import arch_graph

#: Networks to a part: what an interruption can cost.
PART = 250


@dataclasses.dataclass(frozen=True)
class _Part:
    """One part of a build.

    Attributes:
        path: Its file.
        home: The search space.
        size: Height and width of the images; None for the space's own.
        rows: Rows of the table.
    """

    path: Path
    home: SearchSpace
    size: tuple[int, int] | None
    rows: Sequence[Row]

    @property
    def names(self) -> list[str]:
        return [f'{self.home.name}:{row.arch}' for row in self.rows]


def build_cache(
    table: str | Path,
    space: str,
    out: str | Path,
    *,
    size: tuple[int, int] | None = None,
    task: str | None = None,
    workers: int = 1,
    advanced: Callable[[int, int], None] = lambda done, total: None,
    left_out: Callable[[str], None] = lambda reason: None,
) -> GraphCache:
    """Build the graphs of a table's networks and write them with its metrics.

    A record is called ``SPACE:ARCH``, with the arch as the table writes it; its own
    arch is canonical. 'macs' and 'params' are counted where the table has none.

    Args:
        table: File that ``table_rows`` reads.
        space: Name of the search space.
        out: The cache; it is written whole, in the end.
        size: Height and width of the images; None for the space's own.
        task: Task that the networks are built for; None for the space's first.
        workers: Processes that build; 1 for this one alone.
        advanced: Called at first and after each part with how many networks are done,
            and of how many.
        left_out: Called for each row, cell and column of a table of one's own that
            cannot be used, with the reason.

    Raises:
        FileNotFoundError: There is no such table.
        ValueError: The table, an arch, the task, or what lies there of another build.
    """
    table, out = Path(table), Path(out)
    if workers < 1:
        raise ValueError(f'workers={workers}: at least 1 is needed')
    home = get_space(space, task)
    rows, reasons = table_rows(table, space)
    for reason in reasons:
        left_out(f'{table}: {reason}')
    _check_rows(table, home, size, rows)
    names, before = [f'{space}:{row.arch}' for row in rows], _version(out)
    with locked(out) as waited:
        # Where that process was ended before it was done, its parts are still there.
        if waited and _version(out) != before and not parts_of(out).exists():
            cache = GraphCache.load(out)
            if list(cache.names) == names:
                advanced(len(rows), len(rows))
                return cache
        return _build_all(table, home, out, size, workers, rows, advanced)


def _version(path: Path) -> tuple[int, int] | None:
    """Mark of the content of a file, which is only ever replaced."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def parts_of(out: Path) -> Path:
    """Folder of the parts of a cache that is being built."""
    return out.with_name(f'{out.name}.parts')


def _build_all(
    table: Path,
    home: SearchSpace,
    out: Path,
    size: tuple[int, int] | None,
    workers: int,
    rows: Sequence[Row],
    advanced: Callable[[int, int], None],
) -> GraphCache:
    """Build what is missing of the parts, and join them."""
    folder = parts_of(out)
    # What parts must have in common to belong to one build.
    identity = {
        'table': f'{zlib.crc32(table.read_bytes()):08x}',
        'space': home.name,
        'input size': size and list(size),
        'networks to a part': PART,
        'version': __version__,
    }
    if home.task:
        identity['task'] = home.task
    _claim(folder, identity)
    parts = [
        _Part(folder / f'{start:06d}', home, size, rows[start : start + PART])
        for start in range(0, len(rows), PART)
    ]
    missing = [part for part in parts if not _is_done(part)]
    done = len(rows) - sum(len(part.rows) for part in missing)
    advanced(done, len(rows))
    for count, problem in _built(missing, workers):
        if problem:
            raise ValueError(f'{table}: {problem}')
        done += count
        advanced(done, len(rows))
    cache = GraphCache.from_entries(
        entry for part in parts for entry in GraphCache.load(part.path)
    )
    cache.save(out)
    shutil.rmtree(folder)
    return cache


def _check_rows(
    table: Path, home: SearchSpace, size: tuple[int, int] | None, rows: Sequence[Row]
) -> None:
    """Check all rows before the work begins."""
    seen = set[str]()
    for row in rows:
        try:
            home.decode(row.arch)
            if not seen:  # a size that suits one network suits all
                arch_graph(home, row.arch, size)
            if row.arch in seen:
                raise ValueError('it is there twice')
        except ValueError as error:
            raise ValueError(f'{table}: network {shown(row.arch)}: {error}') from error
        seen.add(row.arch)


def _claim(folder: Path, identity: dict) -> None:
    note = folder / 'build.json'
    if not (note.is_file() and any(p.name.isdecimal() for p in folder.iterdir())):
        write_atomic(note, dump_strict(identity))
        return
    try:
        known = read_json(note)
    except ValueError:
        known = {}
    other = [key for key, value in identity.items() if known.get(key) != value]
    if other:
        raise ValueError(
            f'{folder} holds parts of another build ({", ".join(other)} differ): '
            'delete it, or set another --out'
        )


def _is_done(part: _Part) -> bool:
    if not part.path.is_file():
        return False
    try:
        return GraphCache.load(part.path).names == part.names
    except ValueError:  # damaged: it is built again
        return False


def _built(parts: Sequence[_Part], workers: int) -> Iterator[tuple[int, str]]:
    """Build parts; yield each one's number of networks, and its error or ''."""
    if workers == 1 or len(parts) < 2:
        yield from map(_build, parts)
        return
    # Forked processes could hang in the threads that torch has started by now.
    with multiprocessing.get_context('spawn').Pool(workers, _one_thread) as pool:
        yield from pool.imap_unordered(_build, parts)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _build(part: _Part) -> tuple[int, str]:
    entry = partial(_entry, part.home, part.size)
    try:
        GraphCache.from_entries(map(entry, part.names, part.rows)).save(part.path)
    except ValueError as error:  # as text: another process would lose where it arose
        return 0, str(error)
    return len(part.rows), ''


def _entry(
    home: SearchSpace, size: tuple[int, int] | None, name: str, row: Row
) -> Entry:
    try:
        graph = arch_graph(home, row.arch, size)
    except ValueError as error:
        raise ValueError(f'network {shown(row.arch)}: {error}') from error
    counted = {'macs': float(graph.total_macs), 'params': float(graph.total_params)}
    absent = {key: counted[key] for key in counted if key not in row.metrics}
    arch = home.encode(home.decode(row.arch))
    return Entry(name, graph, arch, {**row.metrics, **absent})
