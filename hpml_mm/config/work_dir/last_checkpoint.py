# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Find the checkpoint that a run goes on from: the last one that is whole."""

import logging
import os
import re
import struct
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log

from .stores import POINTER, Store, stores_of

# Errors that zipfile raises for a file with wrong bytes, by where these are.
_UNREADABLE = (
    zipfile.BadZipFile,
    OSError,
    ValueError,
    RuntimeError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
)
# First byte of the files that torch wrote before 1.6. They have no checksums.
_PICKLE = b'\x80'


def damage(path: Path) -> str | None:
    """Describe why a local checkpoint is not whole; None for one that is.

    Every part of a checkpoint of torch has a checksum, which torch does not compare;
    its own reader, in turn, is stricter with what stands around the parts. A folder, as
    DeepSpeed writes it, only has to hold something.
    """
    try:
        if path.is_dir():
            return None if any(path.iterdir()) else 'is an empty folder'
        with path.open('rb') as file:
            start = file.read(1)
            if start == _PICKLE:
                return None
            if not start:
                return 'is empty'
            with zipfile.ZipFile(file) as parts:
                broken = parts.testzip()
                found = parts.infolist()
        reader: Any = torch._C.PyTorchFileReader(str(path))
        for name in reader.get_all_records():
            reader.get_record_offset(name)
    except FileNotFoundError:
        return 'is not there'
    except PermissionError:
        return 'may not be read by this user'
    except _UNREADABLE as error:
        reason = str(error).partition('\n')[0] or type(error).__name__
        return f'is cut off or damaged ({reason[:100]})'
    if broken is None:
        # It would read a part that is marked as a folder as nothing.
        broken = next((one.filename for one in found if one.external_attr & 0x10), None)
    return None if broken is None else f'is damaged (in {broken})'


def find_checkpoint(work_dir: Path, hooks: Iterable[Mapping] = ()) -> str | None:
    """Find the checkpoint to resume from: the last one, else the newest whole one.

    These are the one that ``last_checkpoint`` names, also after the directory was
    moved, and then the run's own, newest first: by number where they share a name, by
    time of writing where they do not. A best checkpoint is none of them: it has no
    optimizer. One line in the log says what was passed over. Of a place that is not
    local, only the existence of a checkpoint is checked.

    Args:
        work_dir: The run's directory.
        hooks: Settings of the run's CheckpointHooks, which may write elsewhere.

    Returns:
        None where there is no checkpoint of a run yet.

    Raises:
        ValueError: There are remains of a run, and no checkpoint of it is whole.
    """
    stores = stores_of(work_dir, hooks)
    passed_over: dict[str, str] = {}
    tried = set()
    for store, path in _candidates(work_dir, stores, passed_over):
        place = os.path.realpath(path) if store.local else path
        if place in tried:
            continue
        tried.add(place)
        reason = damage(Path(path)) if store.local else None
        if reason is None:
            if passed_over:
                _log(f'resuming from {path}, the newest that is whole', passed_over)
            return path
        passed_over[path] = reason
    best = [name for store in stores for name in store.checkpoints()]
    if not (tried or best or os.path.lexists(work_dir / POINTER)):
        return None
    if best and not tried:
        passed_over[best[-1]] = 'has weights alone'
    raise ValueError(
        f'{work_dir} holds an earlier run, and no checkpoint that is whole to resume '
        f'from: {_listed(passed_over)}. Give one with --resume CHECKPOINT, or add '
        '--overwrite to start again'
    )


def check_whole(checkpoint: str, work_dir: Path, hooks: Iterable[Mapping] = ()) -> None:
    """Refuse a damaged local checkpoint that was asked for by name.

    Args:
        checkpoint: Its path. An address is not looked at.
        work_dir: The run's directory, in which to look for one that is whole.
        hooks: Settings of the run's CheckpointHooks, which may write elsewhere.

    Raises:
        ValueError: It is damaged; the message names the newest that is whole.
    """
    reason = None if '://' in checkpoint else damage(Path(checkpoint))
    if reason is None:
        return
    try:
        found = find_checkpoint(work_dir, hooks)
    except ValueError:
        found = None
    instead = f'the newest that is whole is {found}' if found else 'no other is whole'
    raise ValueError(f'--resume: {checkpoint} {reason}; {instead}')


def _candidates(
    work_dir: Path, stores: list[Store], passed_over: dict[str, str]
) -> Iterator[tuple[Store, str]]:
    """Yield the checkpoint of the pointer, then all the others, newest first."""
    recorded, reason = recorded_checkpoint(work_dir)
    if recorded is None:
        passed_over[POINTER] = reason
    else:
        found = list(_places(recorded, stores))
        if not found:
            passed_over[recorded] = 'is not there'
        yield from found
    yield from _newest_first(stores)


def recorded_checkpoint(work_dir: Path) -> tuple[str | None, str]:
    """Read the path that a run has noted as its last, or None and why there is none."""
    try:
        text = (work_dir / POINTER).read_bytes().decode().strip()
    except FileNotFoundError:
        return None, 'is not there'
    except (OSError, UnicodeDecodeError) as error:
        return None, f'cannot be read ({error})'
    if not text or '\0' in text:
        return None, 'holds no path' if text else 'is empty'
    return text, ''


def _places(recorded: str, stores: list[Store]) -> Iterator[tuple[Store, str]]:
    """Yield where a recorded checkpoint is: the run's own folders come first.

    The directory may have been moved or copied since.
    """
    here = [store for store in stores if store.holds(recorded)]
    for store in here:
        if store.exists(recorded):
            yield store, recorded
    remote = '://' in recorded
    for store in stores:
        if remote == ('://' in store.folder):
            path = store.join(store.folder, store.name_in(recorded))
            if store.exists(path):
                yield store, path
    if not here and not remote and Path(recorded).is_file():
        yield stores[0], recorded


def _newest_first(stores: list[Store]) -> list[tuple[Store, str]]:
    """Sort the checkpoints of a run that hold all of its state."""
    kinds = defaultdict(list)
    for store in stores:
        for name in store.resumable():
            path = store.join(store.folder, name)
            number = re.search(r'(\d+)\D*$', name)
            kind = store.folder, re.sub(r'\d+(\D*)$', r'\1', name)
            kinds[kind].append((int(number[1]) if number else 0, store, path))
    aged = []
    for group in kinds.values():
        group.sort(key=lambda one: one[0])
        # Copying a folder may give the files any times: a later number is newer.
        ages = accumulate((_time(store, path) for _, store, path in group), max)
        aged += [(age, *one) for age, one in zip(ages, group, strict=True)]
    aged.sort(key=lambda one: one[:2], reverse=True)
    return [(store, path) for _, _, store, path in aged]


def _time(store: Store, path: str) -> float:
    try:
        return os.stat(path).st_mtime if store.local else 0
    except OSError:  # a link to nothing
        return 0


def _log(start: str, passed_over: Mapping[str, str]) -> None:
    if int(os.environ.get('RANK', 0)) == 0:
        print_log(f'{start}: {_listed(passed_over)}', 'current', logging.WARNING)


def _listed(passed_over: Mapping[str, str]) -> str:
    return '; '.join(f'{path} {why}' for path, why in passed_over.items())
