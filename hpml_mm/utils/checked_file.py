# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Safetensors files with a format, a version and a checksum.

Graph caches and predictors are such files. Nothing in them is ever run.
"""

import dataclasses
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .file_kind import why_unreadable
from .files import write_atomic
from .text_file import parse_json


@dataclasses.dataclass(frozen=True)
class FileFormat:
    """The format that a file must name.

    Attributes:
        name: Key of its notes; two formats differ in it.
        version: The only one that is read.
        title: With article, for messages: 'a graph cache'.
        remedy: Advice for a damaged file, or one of another version.
    """

    name: str
    version: int
    title: str
    remedy: str


def write_checked(
    path: Path,
    kind: FileFormat,
    arrays: Mapping[str, np.ndarray],
    notes: Mapping[str, Any],
) -> None:
    """Write a file atomically; equal content gives equal bytes.

    Args:
        path: Target; its directory is made where it is missing.
        kind: Kind of the file.
        arrays: Arrays by name.
        notes: Content that JSON can hold.

    Raises:
        ValueError: The notes hold what JSON cannot, such as NaN.
        OSError: The disk is full, or the directory cannot be written to.
    """
    arrays = {name: np.require(array, None, 'C') for name, array in arrays.items()}
    head = {**notes, 'version': kind.version, 'checksum': _checksum(arrays)}
    try:
        text = json.dumps(head, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f'{path}: its notes are no JSON: {error}') from error
    # Not save_file: what it writes nobody else may read. One note: several would come
    # in an order of their own each time.
    write_atomic(path, save(arrays, {kind.name: text}))


def read_checked(
    path: Path, kind: FileFormat
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read the arrays and notes of a file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is of another format or version, truncated or damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f'no {kind.title.partition(" ")[2]} {str(path)!r}')
    try:
        with safe_open(path, 'np') as file:
            notes = _read_notes(path, kind, file.metadata() or {})
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f'{path} is not {kind.title}, or is truncated: '
            f'{why_unreadable(path, error, ("safetensors",))}'
        ) from error
    if _checksum(arrays) != notes.pop('checksum', None):
        raise ValueError(
            f'{path} is damaged: its content does not have its checksum; {kind.remedy}'
        )
    return arrays, notes


def _read_notes(
    path: Path, kind: FileFormat, metadata: Mapping[str, str]
) -> dict[str, Any]:
    if kind.name not in metadata:
        raise ValueError(f'{path} is a safetensors file, but not {kind.title}')
    try:
        notes = dict(parse_json(metadata[kind.name], path))
    except (TypeError, ValueError) as error:
        raise ValueError(f'{path} is damaged: its notes are not JSON') from error
    if (version := notes.pop('version', None)) != kind.version:
        raise ValueError(
            f'{path} is {kind.title} of version {version}; this program reads version '
            f'{kind.version}: {kind.remedy}'
        )
    return notes


def _checksum(arrays: Mapping[str, np.ndarray]) -> str:
    total = 0
    for name in sorted(arrays):
        array = arrays[name]
        total = zlib.crc32(f'{name}{array.dtype.str}{array.shape}'.encode(), total)
        total = zlib.crc32(array.reshape(-1).view(np.uint8).data, total)
    return f'{total:08x}'
