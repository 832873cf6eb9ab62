# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Harmless stand-ins for what a pickle of a stranger may name.

A pickle is a program: it may call whatever it can name, and change whatever it gets
hold of. These classes take the places of numpy's, which trusts the bytes of which it
rebuilds an array. Functions have classes as stand-ins, too: even a method would lend
its function's attributes to a pickle that sets some.
"""

import re
from typing import Any

import numpy as np

#: Types of numbers and texts that an array in a pickle may have: kind and bytes.
_NUMBERS = ('b1', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8')
_LONGEST_EMPTY = 1000
_TEXT = re.compile(r'[US][1-9]\d{0,5}')


class Record:
    """Attributes of a foreign object, without its methods."""

    # With it no pickle can set the attributes of a class: one has no such method.
    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


class Numbers(Record):
    """Stand-in for ``numpy.dtype``; plain numbers and texts only."""

    def __init__(self, code: object, *rest: object) -> None:
        known = isinstance(code, str) and (code in _NUMBERS or _TEXT.fullmatch(code))
        if not known:
            shown = code if isinstance(code, str) else f'of a {type(code).__name__}'
            raise ValueError(f'an array of type {shown[:40]}, not of numbers')
        self.dtype = np.dtype(f'<{code}')

    def __setstate__(self, state: Any) -> None:
        # Version, byte order, and what plain numbers do not have.
        self.dtype = self.dtype.newbyteorder('>' if state[1] == '>' else '<')


def read_numbers(numbers: object, content: bytes) -> np.ndarray:
    """Read an array's content, or a number's.

    Args:
        numbers: What a pickle gives as its type.
        content: The bytes, as numpy writes them.

    Raises:
        ValueError: It is of no plain type, or of another length.
    """
    if not isinstance(numbers, Numbers):
        raise ValueError('an array that is not made of numbers')
    return np.frombuffer(content, numbers.dtype)


class Array(Record):
    """Stand-in for ``numpy.ndarray``; its content is in ``array``."""

    array: np.ndarray

    def __setstate__(self, state: Any) -> None:
        _, shape, numbers, fortran, content = state
        # An empty one may have a few sides, but not a billion rows.
        if max(shape, default=0) > max(len(content), _LONGEST_EMPTY):
            raise ValueError(f'an array of shape {shape} without content')
        flat = read_numbers(numbers, content)
        # A copy, which can be written to, as of numpy.
        self.array = flat.reshape(shape, order='F' if fortran else 'C').copy('K')


class Reconstruct(Record):
    """Stand-in for numpy's function that makes an empty array."""

    def __new__(cls, *arguments: object) -> Any:
        """Make the array that a state will fill."""
        return Array()


class Scalar(Record):
    """Stand-in for numpy's function that makes a number."""

    def __new__(cls, numbers: object, content: bytes = b'') -> Any:
        """Read the number."""
        (number,) = read_numbers(numbers, content)
        return number


class NoBytes(Record):
    """Stand-in for ``bytes``, by which old protocols write an empty text of bytes."""

    def __new__(cls) -> Any:
        """Make it."""
        return b''


class PlainDict(Record):
    """Stand-in for ``collections.defaultdict``; a dict without defaults."""

    def __new__(cls, *factory: object) -> Any:
        """Make the dict that a pickle will fill."""
        return {}


#: numpy 2 renamed the module of its functions; files of both are about.
NUMPY_STAND_INS: dict[str, type] = {
    'numpy.dtype': Numbers,
    'numpy.ndarray': Array,
    'builtins.bytes': NoBytes,  # of an empty array
    **{
        f'numpy.{core}.multiarray.{name}': kind
        for core in ('core', '_core')
        for name, kind in (('_reconstruct', Reconstruct), ('scalar', Scalar))
    },
}
