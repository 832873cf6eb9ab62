# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Find the checkpoint that a run goes on from: the last one that is whole."""

import logging
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

from mmengine.logging import print_log

POINTER = 'last_checkpoint'
# Names of what a run leaves to go on from. A best checkpoint has no optimizer.
_RESUMABLE = ('epoch_*.pth', 'iter_*.pth', 'interrupted.pth')


def damage(path: Path) -> str | None:
    """Describe why a checkpoint is not whole; None for one that is.

    Every part of a checkpoint of torch has a checksum, which torch does not compare.
    """
    if not path.is_file():
        return 'is not there'
    if path.stat().st_size == 0:
        return 'is empty'
    try:
        with zipfile.ZipFile(path) as file:
            broken = file.testzip()
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        return f'is cut off or damaged ({error})'
    return None if broken is None else f'is damaged (in {broken})'


def newest_whole(work_dir: Path, folder: Path | None = None) -> Path | None:
    """Find the checkpoint to resume from: the last one, else the newest whole one.

    Each one that is left out is a line in the log.

    Args:
        work_dir: Folder of the run, with the pointer to the last checkpoint.
        folder: Folder of its checkpoints, where that is another one.

    Returns:
        None where the run has left no checkpoint.

    Raises:
        ValueError: There are checkpoints and none of them is whole.
    """
    tried: dict[Path, str] = {}
    for path in _candidates(work_dir, folder or work_dir):
        if path.resolve() in tried:
            continue
        reason = damage(path)
        if reason is None:
            if tried:
                print_log(
                    f'resuming from {path}: '
                    + '; '.join(f'{p.name} {why}' for p, why in tried.items()),
                    logger='current',
                    level=logging.WARNING,
                )
            return path
        tried[path.resolve()] = reason
    if tried:
        listed = '; '.join(f'{path.name} {why}' for path, why in tried.items())
        raise ValueError(
            f'{work_dir} holds no checkpoint that is whole: {listed}. Give another one '
            'with --resume CHECKPOINT, or begin anew with --overwrite'
        )
    return None


def _candidates(work_dir: Path, folder: Path) -> Iterator[Path]:
    """Yield the checkpoint of the pointer, then all the others, newest first."""
    recorded = _recorded(work_dir / POINTER)
    if recorded is not None:
        yield recorded
        # The folder may have been moved since.
        for place in dict.fromkeys((work_dir, folder)):
            if place / recorded.name != recorded:
                yield place / recorded.name
    places = dict.fromkeys((folder, work_dir))
    found = [path for place in places for n in _RESUMABLE for path in place.glob(n)]
    yield from sorted(found, key=_age, reverse=True)


def _recorded(pointer: Path) -> Path | None:
    """Path in a pointer; None where there is no pointer that can be read."""
    try:
        text = pointer.read_bytes().decode().strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        print_log(f'{pointer} cannot be read ({error})', 'current', logging.WARNING)
        return None
    return Path(text) if text and '\0' not in text else None


def _age(path: Path) -> tuple[float, int]:
    """Time of writing, then the epoch or iteration in the name."""
    number = re.search(r'_(\d+)\.pth$', path.name)
    return path.stat().st_mtime, int(number[1]) if number else 0
