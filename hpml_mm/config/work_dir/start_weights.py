# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Start weights that a config names by a pattern, such as another run's best."""

import glob
from collections.abc import Iterator, MutableMapping
from typing import Any


def find_start_weights(cfg: MutableMapping[str, Any]) -> None:
    """Put the file that matches in place of each pattern of start weights.

    A best checkpoint has the number of its epoch in its name, which the config of a
    run that starts from it cannot know: ``load_from='work_dirs/first/best_*.pth'``.
    The same holds for the ``checkpoint`` of an ``init_cfg``.

    Args:
        cfg: Config of a training.

    Raises:
        FileNotFoundError: No file matches.
        ValueError: Several files match.
    """
    for owner, key in _places(cfg):
        pattern = owner.get(key)
        if isinstance(pattern, str) and '*' in pattern and '://' not in pattern:
            owner[key] = _only_match(key, pattern)


def _places(cfg: MutableMapping[str, Any]) -> Iterator[tuple[MutableMapping, str]]:
    yield cfg, 'load_from'
    yield from _pretrained(cfg.get('model'))


def _pretrained(part: Any) -> Iterator[tuple[MutableMapping, str]]:
    if isinstance(part, MutableMapping):
        if part.get('type') == 'Pretrained':
            yield part, 'checkpoint'
        part = list(part.values())
    if isinstance(part, list | tuple):
        for one in part:
            yield from _pretrained(one)


def _only_match(key: str, pattern: str) -> str:
    found = sorted(glob.glob(pattern))
    if not found:
        raise FileNotFoundError(
            f'{key}: no checkpoint matches {pattern!r}: train the config that writes '
            'it first, or name another file'
        )
    if len(found) > 1:
        raise ValueError(
            f'{key}: {len(found)} checkpoints match {pattern!r}, {found[0]} and '
            f'{found[1]} among them: name one'
        )
    return found[0]
