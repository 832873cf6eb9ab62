# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Read the pickles of AIO-P and GENNAPE without running anything that they name.

A pickle is a program: it may call whatever it can name. This reader knows a short list
of names and has its own harmless stand-in for each of them, even for numpy's: numpy
trusts the bytes of which it rebuilds an array. Every other name is an error.
"""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

_GRAPH_MODULE = 'model_src.comp_graph.tf_comp_graph'
_GRAPH_CLASSES = ('ComputeGraph', 'Node', 'RegularNode', 'WeightedNode')
#: Of DARTS, by which GENNAPE's NAS-Bench-301 names its networks.
_GENOTYPE = ('model_src.darts.model_darts', 'Genotype')
#: Most numbers that a range of theirs has: those of a cell's nodes.
_LONGEST_RANGE = 1000
#: Types of numbers that an array in a pickle may have: kind and bytes.
_NUMBERS = ('b1', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8')


class _Sealed(type):
    """A class whose attributes no pickle can set."""

    def __setattr__(cls, name: str, value: object) -> None:
        raise pickle.UnpicklingError(f'it sets {name!r} of a class')


class Record(metaclass=_Sealed):
    """A foreign object without its methods: its attributes, and the class's name."""

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError(f'a {type(self).__name__} without attributes')
        vars(self).update(state)


class _DType(metaclass=_Sealed):
    """Stands for ``numpy.dtype``; plain numbers only."""

    def __init__(self, code: str, *rest: object) -> None:
        if code not in _NUMBERS:
            raise pickle.UnpicklingError(f'an array of type {code!r}, not of numbers')
        self.dtype = np.dtype(f'<{code}')

    def __setstate__(self, state: Sequence) -> None:
        # Version, byte order, and what plain numbers do not have.
        if state[1] == '>':
            self.dtype = self.dtype.newbyteorder('>')


class ArrayRecord(metaclass=_Sealed):
    """Stands for an array of numpy; its content is in ``array``."""

    def __setstate__(self, state: Sequence) -> None:
        _, shape, dtype, fortran, content = state
        flat = _numbers(dtype, content)
        if max(shape, default=0) > len(content):  # such as a billion empty rows
            raise pickle.UnpicklingError(f'an array of shape {shape} without content')
        self.array = flat.reshape(shape, order='F' if fortran else 'C')


class _Function:
    """A stand-in for a function: it has no attributes that a pickle could set."""

    __slots__ = ()


class _Scalar(_Function):
    """Stands for what numpy makes one number with."""

    __slots__ = ()

    def __call__(self, dtype: object, content: object = b'') -> Any:
        (number,) = _numbers(dtype, content).tolist()
        return number


class _Reconstruct(_Function):
    """Stands for what numpy makes an empty array with."""

    __slots__ = ()

    def __call__(self, *arguments: object) -> ArrayRecord:
        return ArrayRecord()


class _NDArray(metaclass=_Sealed):
    """Stands for ``numpy.ndarray``, which is only named."""


class _Bytes(_Function):
    """Stands for ``_codecs.encode``, by which old protocols write bytes."""

    __slots__ = ()

    def __call__(self, text: object, encoding: object) -> bytes:
        if not isinstance(text, str) or encoding != 'latin1':
            raise pickle.UnpicklingError('bytes of an unknown encoding')
        return text.encode('latin1')


class _Range(_Function):
    """Stands for ``range``, of which a short one is a list."""

    __slots__ = ()

    def __call__(self, *bounds: int) -> list[int]:
        numbers = range(*bounds)
        if len(numbers) > _LONGEST_RANGE:
            raise pickle.UnpicklingError(f'{numbers} is longer than any of theirs')
        return list(numbers)


class _Genotype(tuple, metaclass=_Sealed):
    """Stands for a tuple with names, whose fields come one by one."""

    __slots__ = ()

    def __new__(cls, *fields: object) -> '_Genotype':
        return super().__new__(cls, fields)


class _DefaultDict(dict, metaclass=_Sealed):
    """Stands for ``collections.defaultdict``; it makes no defaults."""

    def __init__(self, *factory: object) -> None:
        super().__init__()


def _numbers(dtype: object, content: object) -> np.ndarray:
    if not isinstance(dtype, _DType) or not isinstance(content, bytes):
        raise pickle.UnpicklingError('an array that is not made of numbers')
    return np.frombuffer(content, dtype.dtype)


def _known() -> dict[tuple[str, str], object]:
    """The names that a pickle may use, and what stands for each."""
    records = {
        (_GRAPH_MODULE, name): _Sealed(name, (Record,), {}) for name in _GRAPH_CLASSES
    }
    # numpy 2 renamed the module; caches of both are about.
    modules = ('numpy.core.multiarray', 'numpy._core.multiarray')
    return {
        **records,
        **{(module, 'scalar'): _Scalar() for module in modules},
        **{(module, '_reconstruct'): _Reconstruct() for module in modules},
        ('numpy', 'dtype'): _DType,
        ('numpy', 'ndarray'): _NDArray,
        ('_codecs', 'encode'): _Bytes(),
        ('builtins', 'set'): set,
        ('builtins', 'frozenset'): frozenset,
        ('builtins', 'list'): list,
        ('builtins', 'range'): _Range(),
        _GENOTYPE: _Genotype,
        ('collections', 'OrderedDict'): dict,
        ('collections', 'defaultdict'): _DefaultDict,
    }


class _Unpickler(pickle.Unpickler):
    """Finds the stand-ins and nothing else."""

    _stands = None

    def find_class(self, module: str, name: str) -> Any:
        if self._stands is None:
            self._stands = _known()
        if (module, name) not in self._stands:
            raise _ForeignNameError(f'{module}.{name}')
        return self._stands[module, name]


class _ForeignNameError(Exception):
    """Holds a name that is not on the list."""


def read_pickle(path: str | Path) -> Any:
    """Read a pickle whose names are all on a short list; nothing of it is executed.

    Args:
        path: A file of AIO-P or GENNAPE.

    Returns:
        Lists, dicts, tuples, sets, numbers and texts; ``Record`` for an object of
        theirs, ``ArrayRecord`` for an array, Python's number for one of numpy's.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It names something else, which the message tells; or it is truncated
            or no pickle.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'no pickle {str(path)!r}')
    with path.open('rb') as file:
        try:
            return _Unpickler(file).load()
        except _ForeignNameError as error:
            raise ValueError(
                f'{path} names {error}, which a cache of AIO-P or GENNAPE has no use '
                'for: it was not read, nothing of it was run'
            ) from error
        except Exception as error:  # bytes of any kind may come: so may any error
            raise ValueError(
                f'{path} is truncated, or not a pickle of AIO-P or GENNAPE: {error}'
            ) from error
