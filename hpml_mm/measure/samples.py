# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Number of samples in a batch of any form."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence


def count_samples(data_batch: Any) -> int | None:
    """Count the samples in a batch, before a step that may change it.

    A part of a batch allows these numbers:

    - a tensor, an array, or whatever has a ``shape``: its first length; a graph
      batch: its ``num_graphs``; a packed sequence: its number of sequences;
    - a list or tuple of N: N; of N tensors or lists of the same length M, M as well,
      since they may be views of M samples. N tensors of shape (C, H, W) are N images;
    - a dict: what all its parts allow;
    - a number, a text or any other object says nothing.

    The batch itself is

    - one of the parts with a length of their own: that many;
    - a dict with ``inputs``: what ``inputs`` and ``data_samples`` both allow, and where
      that leaves several numbers, the rest of the dict too;
    - another dict or a dataclass, without a further dict in it: what all its parts
      allow, if two or more say something;
    - a list or tuple of fields, e.g. (images, labels): what all of them allow;
    - a list or tuple of dicts: their sum. One counts 1 if its ``data_samples`` is a
      single object, or if it has none and its ``inputs`` are a number or one image.
      It is a batch of its own if it has several ``data_samples``, or ``inputs`` of four
      or more dimensions and another part of the same length.

    Anything else, and whatever leaves not exactly one number, is not known.

    Args:
        data_batch: What the loop hands to ``train_step``.

    Returns:
        The number, or None where it is not known.
    """
    length = _length(data_batch)
    if length is not None:
        return length
    if dataclasses.is_dataclass(data_batch):
        data_batch = _fields(data_batch)
    if isinstance(data_batch, Mapping):
        return _in_dict(data_batch)
    if not isinstance(data_batch, list | tuple):
        return None
    if not data_batch:
        return 0
    if all(isinstance(field, Mapping) for field in data_batch):
        counts = [_in_listed(field) for field in data_batch]
        return None if None in counts else sum(filter(None, counts))
    if all(map(_is_image, data_batch)) or all(map(_lists_dicts, data_batch)):
        return None  # samples, or fields of samples
    return _only(_common(data_batch)[0])


def _in_dict(batch: Mapping) -> int | None:
    if 'inputs' in batch:
        common, told = _common([batch['inputs'], batch.get('data_samples')])
        if told and len(common) > 1:
            common, _ = _common(batch.values())
        return _only(common)
    if any(isinstance(part, Mapping) for part in batch.values()):
        return None  # several batches, or views of one
    common, told = _common(batch.values())
    return _only(common) if told > 1 else None


def _in_listed(element: Mapping) -> int | None:
    """Samples in a dict that is one of several."""
    inputs, samples = element.get('inputs'), element.get('data_samples')
    if samples is not None:
        several = _allowed(samples) is not None
        return _only(_common([inputs, samples])[0]) if several else 1
    common, told = _common(element.values())
    agreed = _only(common) if told > 1 else None
    if _is_image(inputs):
        return 1 if agreed is None else None
    if isinstance(inputs, int | float):
        return 1
    return agreed if len(_shape(inputs)) > 3 else None


def _common(parts: Iterable[Any]) -> tuple[set[int], int]:
    """Numbers that all parts allow, and how many parts say something."""
    telling = [numbers for numbers in map(_allowed, parts) if numbers is not None]
    return set.intersection(*telling) if telling else set(), len(telling)


def _allowed(part: Any) -> set[int] | None:
    """Numbers of samples that a part allows, None where it says nothing."""
    length = _length(part)
    if length is not None:
        return {length}
    if isinstance(part, Mapping):
        common, told = _common(part.values())
        return common if told else None
    if not isinstance(part, list | tuple):
        return None
    if not part or _is_image(part[0]):
        return {len(part)}
    rows = _rows(part[0])
    if rows is None or any(_rows(item) != rows for item in part):
        return {len(part)}
    return {len(part), rows}


def _rows(item: Any) -> int | None:
    return len(item) if isinstance(item, list | tuple) else _length(item)


def _length(part: Any) -> int | None:
    """First length of an array, or how many graphs or sequences are packed."""
    if isinstance(part, PackedSequence):
        return int(part.batch_sizes[0])
    if isinstance(part, Tensor) and part.is_nested:
        return part.size(0)  # it has no shape
    graphs = _attribute(part, 'num_graphs')
    if isinstance(graphs, int):
        return graphs
    shape = _shape(part)
    return int(shape[0]) if shape else None


def _fields(part: Any) -> dict[str, Any]:
    # Not vars(): a class with slots has none.
    return {f.name: _attribute(part, f.name) for f in dataclasses.fields(part)}


def _shape(part: Any) -> tuple[int, ...]:
    shape = _attribute(part, 'shape')
    return shape if isinstance(shape, tuple) else ()


def _attribute(part: Any, name: str) -> Any:
    try:
        return getattr(part, name, None)
    except Exception:  # anybody's property; to measure must not stop a run
        return None


def _is_image(part: Any) -> bool:
    return len(_shape(part)) == 3


def _lists_dicts(part: Any) -> bool:
    return isinstance(part, list | tuple) and all(isinstance(i, Mapping) for i in part)


def _only(numbers: set[int]) -> int | None:
    return next(iter(numbers)) if len(numbers) == 1 else None
