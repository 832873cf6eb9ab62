# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Turn the stand-ins within a checkpoint into what they stand for."""

from argparse import Namespace
from collections import OrderedDict
from pickle import UnpicklingError
from types import SimpleNamespace
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer

from .stand_ins import Array, Record

#: Containers within containers; those of optimizers and histories are below ten.
_DEEPEST = 60
#: Items of all containers, each counted as often as it can be reached.
_MOST_ITEMS = 50_000_000
#: Bytes of a tensor that repeats the numbers of a smaller file.
_LARGEST_VIEW = 2**30


class Buffer(Record):
    """Stand-in for MMEngine's ``HistoryBuffer``."""


class Method(Record):
    """Stand-in for ``getattr``, by which a buffer's methods are named; no others."""

    def __init__(self, owner: object, name: str) -> None:
        if owner is not Buffer:
            raise UnpicklingError('GLOBAL builtins.getattr')


class Settings(Record):
    """Stand-in for a config or a dict of one: takes its content, and no methods."""

    content: Any = ()

    def __init__(self, content: Any = ()) -> None:
        self.content = content

    def __setstate__(self, state: Any) -> None:
        # Of a Config: its dict, file name, text and others.
        self.content = state[0] if isinstance(state, tuple) else state


class OldSettings(Record):
    """Stand-in for MMCV's ``ConfigDict``, which pickles item by item."""

    def __new__(cls, *arguments: object) -> Any:
        """Make the dict that a pickle will fill."""
        return OrderedDict()


class Factory(Record):
    """Stand-in for a type that a ``defaultdict`` names; it makes nothing."""

    def __init__(self, *arguments: object) -> None:
        raise ValueError('a type that is called')


def as_data(content: Any, size: int) -> Any:
    """Replace the stand-ins in what was read, in place where containers allow it.

    Args:
        content: What ``torch.load`` returned.
        size: Size of the file in bytes.

    Raises:
        ValueError: It holds more, or is nested deeper, than a file of that size has
            reason to.
    """
    return _Reader(size).read(content, 0)


class _Reader:
    def __init__(self, size: int) -> None:
        self._size = size
        # id -> what became of it, its items, and itself, so that no id comes twice.
        self._done: dict[int, tuple[Any, int, Any]] = {}
        self._items = 0

    def read(self, value: Any, depth: int) -> Any:
        if isinstance(value, torch.Tensor):
            self._check_tensor(value)
            return value
        if not isinstance(value, _CONTAINERS):
            return value
        found = self._done.get(id(value))
        if found is None:
            if depth > _DEEPEST:
                raise ValueError(f'it is nested deeper than {_DEEPEST} containers')
            before = self._items
            result = self._read(value, depth + 1)
            found = result, self._items - before + 1, value
            self._done[id(value)] = found
            self._items += 1
        else:
            self._items += found[1]
        if self._items > _MOST_ITEMS:
            raise ValueError('it holds containers that repeat each other without end')
        return found[0]

    def _read(self, value: Any, depth: int) -> Any:
        if isinstance(value, Array):
            if 'array' not in vars(value):
                raise ValueError('an array without content')
            return value.array
        if isinstance(value, Buffer):
            state = vars(value)
            log, count = (
                self.read(state[f'_{name}_history'], depth) for name in ('log', 'count')
            )
            return HistoryBuffer(log, count, int(state['max_length']))
        if isinstance(value, Settings):
            return ConfigDict(dict(self.read(value.content, depth)))
        if isinstance(value, Namespace | SimpleNamespace):
            self._inside(vars(value), depth)
            return value
        if isinstance(value, dict):
            return self._inside(value, depth)
        if isinstance(value, Record):
            raise ValueError(f'it holds a {type(value).__name__} alone')
        self._items += len(value)
        items = [self.read(item, depth) for item in value]
        if isinstance(value, list):
            value[:] = items
            return value
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return type(value)(items)

    def _inside(self, value: dict, depth: int) -> dict:
        if isinstance(value, OrderedDict):
            # What state_dict() notes there; any other name could hide a method.
            notes = vars(value).get('_metadata')
            vars(value).clear()
            if notes is not None:
                vars(value)['_metadata'] = self.read(notes, depth)
        self._items += len(value)
        for key, item in value.items():
            value[key] = self.read(item, depth)
        return value

    def _check_tensor(self, tensor: torch.Tensor) -> None:
        claimed = tensor.numel() * tensor.element_size()
        if claimed > max(self._size, _LARGEST_VIEW):
            raise ValueError(
                f'a tensor of shape {tuple(tensor.shape)} is larger than the file'
            )


_CONTAINERS = (dict, list, tuple, set, Record, Namespace, SimpleNamespace)
