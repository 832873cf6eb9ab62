# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Work directories: one for each different run.

An overridden run never lands in the directory of the unchanged config, and a
new run never overwrites the checkpoints of an earlier one.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._=-]*')
_SLUG_LENGTH = 60
# What a run leaves. Other weights in the directory are the user's own.
_OWN_CHECKPOINTS = ('epoch_*.pth', 'iter_*.pth', 'best_*.pth', 'interrupted.pth')


def derive_work_dir(
    config: str,
    changes: Mapping[str, Any],
    *,
    tag: str | None = None,
    work_dir: str | None = None,
    configured: str | None = None,
) -> Path:
    """Derive the work directory of a run; equal arguments give equal directories.

    Args:
        config: The config file's path.
        changes: Overrides of the command line, by dotted key.
        tag: A name of the user's choice for an overridden run.
        work_dir: The directory itself, of the user's choice.
        configured: ``work_dir`` as the config file sets it.

    Raises:
        ValueError: For both ``tag`` and ``work_dir``, a ``tag`` that is no plain name,
            or an overridden run in the directory of the unchanged config.
    """
    plain = Path(configured) if configured else Path('work_dirs', Path(config).stem)
    if tag is not None and work_dir is not None:
        raise ValueError('--tag and --work-dir both name the directory: give one')
    if tag is not None:
        if not _NAME.fullmatch(tag):
            raise ValueError(
                f'--tag {tag!r} cannot be part of a directory name: use letters, '
                'digits, "-", "_", "." and "="'
            )
        return plain.with_name(f'{plain.name}--{tag}')
    if work_dir is not None:
        if changes and Path(work_dir).resolve() == plain.resolve():
            raise ValueError(
                f'--work-dir {work_dir} is the directory of the unchanged config, '
                f'but this run overrides {", ".join(changes)}: choose another one, '
                'or leave --work-dir out'
            )
        return Path(work_dir)
    return plain.with_name(f'{plain.name}--{slug(changes)}') if changes else plain


def slug(changes: Mapping[str, Any]) -> str:
    """Readable name of overrides, with a digest that makes it unique.

    Only the last part of each key is shown, so two sets of overrides may read
    alike; the digest covers the whole keys and values, in any order.
    """
    ordered = sorted(changes.items())
    words = []
    for key, value in ordered:
        name = key.rsplit('.', 1)[-1]
        words.append(name if value is True else f'{name}={value}')
    text = re.sub(r'[^A-Za-z0-9._=-]+', '_', '-'.join(words)).strip('_-.')
    if set(changes) <= {'amp', 'seed', 'processes'}:  # these say all there is to say
        return text
    digest = hashlib.sha256(json.dumps(ordered, default=repr).encode()).hexdigest()
    return f'{text[:_SLUG_LENGTH].rstrip("_-.")}-{digest[:6]}'


def claim_work_dir(work_dir: Path, overwrite: bool = False) -> None:
    """Refuse a directory in which a new run would overwrite an earlier one.

    ``overwrite`` deletes the earlier run's checkpoints and summary; its logs stay.

    Raises:
        FileExistsError: If the directory holds checkpoints of a run.
    """
    earlier = sorted(p for name in _OWN_CHECKPOINTS for p in work_dir.glob(name))
    if overwrite:
        for path in [*earlier, work_dir / 'last_checkpoint', work_dir / 'summary.json']:
            path.unlink(missing_ok=True)
    elif earlier:
        raise FileExistsError(
            f'{work_dir} holds an earlier run ({earlier[-1].name}): add --resume to '
            'continue it, --tag NAME to keep both, or --overwrite to start again'
        )


def find_checkpoint(work_dir: Path) -> Path | None:
    """The checkpoint to resume from, or ``None`` where there is none yet.

    A directory that was moved still resumes: ``last_checkpoint`` holds an
    absolute path, of which the file name is enough.

    Raises:
        FileNotFoundError: If the checkpoint that was saved last is gone.
    """
    pointer = work_dir / 'last_checkpoint'
    if not pointer.is_file():
        return None
    recorded = Path(pointer.read_text().strip())
    for path in (recorded, work_dir / recorded.name):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f'{pointer} names {recorded}, which is gone: give --resume CHECKPOINT'
    )
