# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Name work directories: one for each different run.

An overridden run never lands in the directory of the unchanged config.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9._=-]*')
_SLUG_LENGTH = 60


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
