# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Misspelt keys of installed recipes, which a user's own config must not repeat."""

import re
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config

from .sections import UPSTREAM_SLIPS

# Where packages of OpenMMLab are installed with their configs.
_INSTALLED = '.mim'
_SLIP = re.compile(rf'\b({"|".join(UPSTREAM_SLIPS)})\b')


def is_installed(filename: str | Path | None) -> bool:
    """True if a config file belongs to an installed package."""
    return _INSTALLED in Path(filename or '').parts


def own_files(cfg: Config) -> Iterator[Path]:
    """Iterate over a config's file and its bases, installed packages left out."""
    return _own_files(Path(cfg.filename)) if cfg.filename else iter(())


def own_slips(cfg: Config) -> list[str]:
    """Find misspelt keys of installed recipes that the user's own files repeat.

    Returns:
        One line for each, with its place and the right name.
    """
    return [
        f'unknown key {key!r} at {path}:{line}: did you mean {UPSTREAM_SLIPS[key]!r}?'
        for path in own_files(cfg)
        for line, text in enumerate(path.read_text(encoding='utf-8').splitlines(), 1)
        for key in _SLIP.findall(text.partition('#')[0])
    ]


def _own_files(path: Path) -> Iterator[Path]:
    if path.suffix != '.py' or is_installed(path) or not path.is_file():
        return  # a config may have been given no more than its name
    yield path
    for base in Config._get_base_files(str(path)):
        if '::' not in base:
            yield from _own_files(path.parent / base)
