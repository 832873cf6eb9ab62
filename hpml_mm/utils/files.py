# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Strict JSON, and atomic writes."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch


def to_strict(value: Any) -> Any:
    """Convert a value to what strict JSON can hold.

    NaN and infinities become None, tensors and arrays numbers or lists, classes and
    functions their dotted name, sets sorted lists, anything else its ``str``.

    Args:
        value: Any nesting of dicts and sequences.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, torch.Tensor):
        return to_strict(value.detach().cpu().tolist())
    if isinstance(value, np.ndarray | np.bool_):
        return to_strict(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): to_strict(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((to_strict(item) for item in value), key=str)
    if isinstance(value, list | tuple):
        return [to_strict(item) for item in value]
    if hasattr(value, '__qualname__'):
        return f'{value.__module__}.{value.__qualname__}'
    return str(value)


def dump_strict(payload: Any) -> str:
    """Format a payload as indented strict JSON."""
    return json.dumps(to_strict(payload), indent=2, allow_nan=False) + '\n'


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Name a file beside ``path`` to write to, which replaces it if all goes well.

    After an error the file that was there is still there, and nothing else.

    Args:
        path: Target; its directory is made where it is missing.

    Raises:
        OSError: The disk is full, or the directory cannot be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f'.{path.stem}.{os.getpid()}.tmp{path.suffix}')
    try:
        yield beside
        with beside.open('rb+') as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
        _sync_folder(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file atomically, see :func:`replacing`."""
    with replacing(path) as beside:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder outlast a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
