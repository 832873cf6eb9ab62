# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The file of a graph cache: arrays as they are, texts as one array of JSON."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from hpml_mm.predictor.graphs.vocabulary import VOCABULARY
from hpml_mm.utils.checked_file import FileFormat, read_checked, write_checked

from .columns import Columns, Kinds

FORMAT = FileFormat('hpml_mm graph cache', 1, 'a graph cache', 'build it again')

_KIND_ARRAYS = {
    'ops': ('u', 0),
    'weighted': ('b', 0),
    'biased': ('b', 0),
    'strides': ('i', 2),
    'resolutions': ('i', 6),
    'shapes': ('i', 4),
    'macs': ('i', 0),
    'params': ('i', 0),
}
_ARRAYS = {
    'node_kinds': ('u', 0),
    'node_names': ('u', 0),
    'edges': ('u', 2),
    'node_offsets': ('i', 0),
    'edge_offsets': ('i', 0),
}
_TEXTS = ('labels', 'metric_names', 'names', 'archs')


def write_columns(path: Path, columns: Columns) -> None:
    """Write columns to a file, whole or not at all.

    Args:
        path: Target; its directory is made where it is missing.
        columns: What to write.

    Raises:
        OSError: The disk is full, or the directory cannot be written to.
    """
    arrays = {f'kinds.{name}': getattr(columns.kinds, name) for name in _KIND_ARRAYS}
    arrays |= {name: getattr(columns, name) for name in (*_ARRAYS, 'metrics')}
    texts = {name: getattr(columns, name) for name in _TEXTS}
    arrays['texts'] = np.frombuffer(json.dumps(texts).encode(), np.uint8)
    write_checked(path, FORMAT, arrays, {})


def read_columns(path: Path) -> Columns:
    """Read what ``write_columns`` has written.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no cache, of another version, truncated or damaged.
    """
    arrays, _ = read_checked(path, FORMAT)
    try:
        return _columns(arrays)
    except _WrongContentError as error:
        raise ValueError(f'{path} is not a right graph cache: {error}') from error


class _WrongContentError(Exception):
    """Says which part of a file is wrong."""


def _columns(arrays: dict[str, np.ndarray]) -> Columns:
    expected = {f'kinds.{name}': form for name, form in _KIND_ARRAYS.items()} | _ARRAYS
    for name, (kind, width) in expected.items():
        array = arrays.get(name)
        _require(array is not None, f'{name} is missing')
        wide = array.shape[1:] == ((width,) if width else ())
        _require(array.dtype.kind == kind and wide, f'{name} has another type or shape')
    texts = _texts(arrays.get('texts'))
    columns = Columns(
        kinds=Kinds(**{name: arrays[f'kinds.{name}'] for name in _KIND_ARRAYS}),
        **{name: arrays[name] for name in _ARRAYS},
        metrics=arrays.get('metrics', np.empty(0)),
        **texts,
    )
    _check_sizes(columns)
    return columns


def _texts(array: np.ndarray | None) -> dict[str, Any]:
    _require(array is not None, 'texts are missing')
    try:
        texts = json.loads(array.tobytes())
    except ValueError as error:
        raise _WrongContentError('texts are not JSON') from error
    right = isinstance(texts, dict) and set(texts) == set(_TEXTS)
    _require(right and all(isinstance(v, list) for v in texts.values()), 'texts differ')
    return texts


def _check_sizes(columns: Columns) -> None:
    """Every index must point at something, so that no later look-up can go astray."""
    count, kinds = len(columns.names), columns.kinds
    lengths = {len(getattr(kinds, field.name)) for field in dataclasses.fields(kinds)}
    _require(len(lengths) == 1, 'kinds have different lengths')
    _require(len(columns.archs) == count, 'names and archs have different lengths')
    shape = (len(columns.metric_names), count)
    _require(columns.metrics.shape == shape, f'metrics are not of shape {shape}')
    _check_offsets('node', columns.node_offsets, count, len(columns.node_kinds))
    _check_offsets('edge', columns.edge_offsets, count, len(columns.edges))
    _check_below('node_kinds', columns.node_kinds, len(kinds))
    _check_below('node_names', columns.node_names, len(columns.labels))
    _require(len(columns.node_names) == len(columns.node_kinds), 'node_names are short')
    _check_below('kinds.ops', kinds.ops, len(VOCABULARY))
    own = np.diff(columns.node_offsets)
    limits = np.repeat(own, np.diff(columns.edge_offsets))
    if len(limits):
        inside = (columns.edges < limits[:, None]).all()
        _require(inside, 'an edge points outside of its graph')


def _check_offsets(name: str, offsets: np.ndarray, count: int, total: int) -> None:
    right = len(offsets) == count + 1 and offsets[0] == 0 and offsets[-1] == total
    _require(right and (np.diff(offsets) >= 0).all(), f'{name}_offsets do not fit')


def _check_below(name: str, indices: np.ndarray, limit: int) -> None:
    small = not len(indices) or int(indices.max()) < limit
    _require(small, f'{name} point outside of their table')


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise _WrongContentError(problem)
