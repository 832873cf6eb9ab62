# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""How many samples a batch holds."""

from collections.abc import Mapping
from typing import Any


def count_samples(data_batch: Any) -> int | None:
    """Number of samples in a batch as a loader of the OpenMMLab family yields it.

    Known forms: a dict with ``inputs`` (a tensor or array of shape (N, ...), a
    list of N samples, or a dict or tuple of those), a tuple or list of such
    fields, e.g. ``(images, labels)``, a list of N dicts, and a bare tensor. A list
    of ``data_samples`` decides over a list of ``inputs``, because the latter holds
    the views, not the samples, in contrastive learning.

    Args:
        data_batch: What the loop hands to ``train_step``.

    Returns:
        The number, or None where the form is not known.
    """
    if isinstance(data_batch, Mapping):
        inputs = data_batch.get('inputs')
        if not hasattr(inputs, 'shape'):
            samples = data_batch.get('data_samples')
            if isinstance(samples, list | tuple):
                return len(samples)
        return _length(inputs)
    if isinstance(data_batch, list | tuple) and data_batch:
        if isinstance(data_batch[0], Mapping):
            return len(data_batch)
        return _length(data_batch[0])
    return _length(data_batch)


def _length(field: Any) -> int | None:
    """Samples in one field of a batch."""
    shape = getattr(field, 'shape', None)
    if shape is not None:
        return int(shape[0]) if len(shape) else None
    if isinstance(field, list):
        return len(field)
    if isinstance(field, Mapping) and field:
        return _length(next(iter(field.values())))
    if isinstance(field, tuple) and field:
        return _length(field[0])
    return None
