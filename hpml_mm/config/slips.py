# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Files that a config stands on: are they there, and do they repeat known slips."""

import difflib
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE

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


def check_bases(path: Path, above: tuple[Path, ...] = ()) -> None:
    """Follow ``_base_`` to the last file.

    A file that cannot be parsed is left to MMEngine, which says where its fault is.

    Raises:
        FileNotFoundError: If one is not there; the message names the file above it.
        ValueError: If a file is its own base.
    """
    path = path.resolve()
    if path in above:
        circle = ' -> '.join(one.name for one in [*above[above.index(path) :], path])
        raise ValueError(f'_base_ leads in a circle: {circle}; take one of them out')
    if not path.is_file():
        raise FileNotFoundError(
            f'{above[-1]}: there is no _base_ file {str(path)!r}'
            f'{_like(path, above[-1])}'
        )
    try:
        bases = Config._get_base_files(str(path))
    except Exception:  # whatever is wrong with a file, MMEngine tells it next
        return
    for base in bases:
        if isinstance(base, str) and '::' not in base:
            check_bases(path.parent / base, (*above, path))


def check_installed(name: str) -> None:
    """Refuse ``package::config`` where either of them is not there.

    Raises:
        FileNotFoundError: If the package is unknown or lacks, or has no such config.
    """
    package, _, config = name.partition('::')
    if package not in MODULE2PACKAGE:
        close = difflib.get_close_matches(package, MODULE2PACKAGE, n=1)
        hint = f'; did you mean {close[0]}::{config}?' if close else ''
        raise FileNotFoundError(
            f'no config {name!r}: {package!r} is no known package{hint}'
        )
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            f'{name}: {package} is not installed: pip install {MODULE2PACKAGE[package]}'
        )
    root = Path(spec.submodule_search_locations[0], '.mim', 'configs')
    path = root / (config if config.endswith('.py') else f'{config}.py')
    if root.is_dir() and not path.is_file() and not (root / config).is_file():
        known = {p.stem: p for p in sorted(root.rglob('*.py'))}
        close = difflib.get_close_matches(path.stem, known, n=1)
        found = f'{package}::{known[close[0]].relative_to(root)}' if close else ''
        hint = f'; did you mean {found}?' if close else ''
        raise FileNotFoundError(f'{package} has no config {config!r}{hint}')


def _like(path: Path, above: Path) -> str:
    known = {p.name: p for p in sorted(path.parent.glob('*.py')) if p != above}
    close = difflib.get_close_matches(path.name, known, n=1)
    return f'; did you mean {close[0]}?' if close else ''
