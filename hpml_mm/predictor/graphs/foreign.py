# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Import of AIO-P's and GENNAPE's pickled caches, without running pickles.

Theirs are lists of dicts with a 'compute graph' of their classes (tf_comp_graph.py),
'acc' as a share of 1, 'flops', 'n_params' or 'params', and 'original config'. AIO-P's
make_cg_task_cache.py puts the score of another task in place of 'acc', and says which
in 'metric_map': 'obj_det_AP->acc'.

A pickle is a program: it may call whatever it can name. This reader knows a short list
of names and has its own harmless stand-in for each, even for numpy's: numpy trusts the
bytes of which it rebuilds an array. Every other name is an error.
"""

import io
import json
import math
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpml_mm.compat.stand_ins import (
    NUMPY_STAND_INS,
    Array,
    PlainDict,
    Record,
    read_numbers,
)
from hpml_mm.utils.file_kind import why_unreadable

from .graph import VOCABULARY, Entry, Graph, Node, assemble

#: Their caches give FLOPs as a number or in units of 1e9. Between these two bounds it
#: may be either, or in units of 1e6, and is left out.
_SURELY_GFLOPS = 1e4
_SURELY_FLOPS = 1e7
#: How a record of other kinds ends.
_WRONG = (AttributeError, LookupError, OverflowError, RecursionError, TypeError)
#: BatchNorm's scale and shift.
_NORM_PARAMS = 2
#: Most numbers that a range of theirs has (those of a cell's nodes), and characters
#: of a config as text: a pickle of a few bytes may stand for a list without end.
_LONGEST_RANGE, _LONGEST_CONFIG = 1000, 100_000


class _Fields(tuple):
    """Stand-in for a tuple with names, whose fields come one by one."""

    __slots__ = ()
    __setstate__ = Record.__setstate__

    def __new__(cls, *fields: object) -> '_Fields':
        return super().__new__(cls, fields)


class _Scalar(Record):
    """Stand-in for numpy's function that makes a number; one of Python's."""

    def __new__(cls, numbers: object, content: bytes = b'') -> Any:
        (number,) = read_numbers(numbers, content).tolist()
        return number


class _Encode(Record):
    """Stand-in for ``_codecs.encode``, by which old protocols write bytes."""

    def __new__(cls, text: str, encoding: str) -> Any:
        if encoding != 'latin1':
            raise ValueError('bytes of an unknown encoding')
        return str.encode(text, 'latin1')


class _Range(Record):
    """Stand-in for ``range``; a list."""

    def __new__(cls, *bounds: int) -> Any:
        numbers = range(*bounds)
        if len(numbers) > _LONGEST_RANGE:
            raise ValueError(f'{numbers} is longer than any of theirs')
        return list(numbers)


_KNOWN: dict[str, type] = {
    **NUMPY_STAND_INS,
    **{f'numpy.{core}.multiarray.scalar': _Scalar for core in ('core', '_core')},
    '_codecs.encode': _Encode,
    'builtins.range': _Range,
    'collections.defaultdict': PlainDict,
    'collections.OrderedDict': dict,
    **{f'builtins.{kind.__name__}': kind for kind in (set, frozenset, list)},
    # Of DARTS, by which GENNAPE's NAS-Bench-301 names its networks.
    'model_src.darts.model_darts.Genotype': _Fields,
    **{
        f'model_src.comp_graph.tf_comp_graph.{name}': Record
        for name in ('ComputeGraph', 'Node', 'RegularNode', 'WeightedNode')
    },
}


class _Unpickler(pickle.Unpickler):
    """Unpickler that finds the stand-ins and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        found = _KNOWN.get(f'{module}.{name}')
        if found is None or '.' in name:
            raise _ForeignNameError(f'{module}.{name}')
        return found


class _ForeignNameError(Exception):
    """Error with a name that is not on the list."""


def read_pickle(path: str | Path) -> Any:
    """Read a pickle whose names are all on a short list; nothing of it is executed.

    Returns:
        Lists, dicts, tuples, sets, numbers and texts; a ``Record`` with its attributes
        for an object of theirs, with an ``array`` for one of numpy's.

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
                f'{path} is truncated, or not a pickle of AIO-P or GENNAPE: '
                f'{why_unreadable(path, error, ("pickle",))}'
            ) from error


def import_foreign(path: str | Path) -> Iterator[Entry]:
    """Read a pickled cache of AIO-P or GENNAPE; nothing of it is executed.

    Strides, shapes and edges are taken over. MACs and parameters of the nodes, which
    these caches lack, are counted from shapes and resolutions; theirs of the network
    become the metrics 'gflops' and 'params'. The accuracy becomes percent, 'acc(%)';
    the score of another task has its name: 'obj_det_AP(%)'.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no such cache, or names what such a cache has no use for.
    """
    records = read_pickle(path)
    if not isinstance(records, list):
        raise ValueError(f'{path} holds no list of networks, but {_kind(records)}')
    used: set[str] = set()
    for index, record in enumerate(records):
        try:
            entry = _entry(record, f'{Path(path).stem}-{index}')
        except ValueError as error:
            raise ValueError(f'{path}: network {index}: {error}') from error
        except _WRONG as error:
            raise ValueError(
                f'{path}: network {index} is not one of AIO-P or GENNAPE: '
                f'{type(error).__name__}: {error}'
            ) from error
        if entry.name in used:
            raise ValueError(f'{path}: there are two networks {entry.name!r}')
        used.add(entry.name)
        yield entry


def _entry(record: dict[str, Any], unnamed: str) -> Entry:
    graph = record['compute graph']
    if not isinstance(graph, Record):
        raise ValueError(f"its 'compute graph' is {_kind(graph)}")
    name = vars(graph)['name'] or unnamed
    if not isinstance(name, str):
        raise ValueError(f'its name is {_kind(name)}')
    config = record.get('original config')
    arch = None if config is None else _text(config)
    return Entry(name, _graph(graph), arch, _metrics(record))


def _graph(record: Any) -> Graph:
    nodes = [_node(node) for node in [*record.weighted_nodes, *record.regular_nodes]]
    # Theirs has its input anywhere among the regular nodes, ours has it first.
    order = sorted(range(len(nodes)), key=lambda index: nodes[index].op != 'input')
    position = {old: new for new, old in enumerate(order)}
    edges = [(position[int(a)], position[int(b)]) for a, b in record.edge_pairs]
    return assemble([nodes[index] for index in order], edges)


def _node(node: Any) -> Node:
    # AIO-P's rule: the longest operation that is part of the label, so 'Conv2D' is a
    # 'conv', 'DepthwiseConv2dNative' a 'depthwise'.
    words = [word for word in VOCABULARY[1:] if word in node.label.lower()]
    op = max(words, key=len, default=VOCABULARY[0])
    resolution: Any = tuple(_whole(value) for value in node.resolution)
    # NHWC: the first and the last of the four are 1.
    strides: Any = tuple(node.strides or (1, 1, 1, 1))[1:3]
    name = node.str_id.split('|')[-1]
    if name.isdecimal():  # an input that they have added has its parts the other way
        name = node.label
    if not hasattr(node, 'shape'):
        params = _NORM_PARAMS * resolution[5] if op == 'batchnorm' else 0
        return Node(op, name, resolution, strides, params=params)
    shape: Any = tuple(_whole(value) for value in node.shape)
    biased = bool((node.metadata or {}).get('use_bias', False))
    weights = shape[0] * shape[1] * max(shape[2], 1) * max(shape[3], 1)
    macs = weights * resolution[1] * resolution[3]
    params = weights + biased * resolution[5]
    return Node(op, name, resolution, strides, shape, biased, macs, params)


def _whole(value: float) -> int:
    if int(value) != value:
        raise ValueError(f'{value} is not a whole number')
    return int(value)


def _metrics(record: dict[str, Any]) -> dict[str, float]:
    """Numbers under names that hold their units."""
    found = {
        key: float(value)
        for key, value in record.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
    metrics = {}
    for key, value in found.items():
        if not math.isfinite(value):
            raise ValueError(f'its {key!r} is {value}')
        if key == 'acc':
            if not 0 <= value <= 1:
                raise ValueError(f"its 'acc' is {value:g}, not a share of 1")
            named = record.get('metric_map')
            task = named.removesuffix('->acc').strip() if isinstance(named, str) else ''
            metrics[f'{task or "acc"}(%)'] = 100 * value
        elif key == 'flops':
            if value < _SURELY_GFLOPS:
                metrics['gflops'] = value
            elif value > _SURELY_FLOPS:
                metrics['gflops'] = value / 1e9
        else:
            metrics['params' if key == 'n_params' else key] = value
    return metrics


def _text(config: object) -> str:
    text = io.StringIO()
    for part in json.JSONEncoder(default=_plain).iterencode(config):
        if text.tell() + len(part) > _LONGEST_CONFIG:
            raise ValueError("its 'original config' is longer than any of theirs")
        text.write(part)
    return text.getvalue()


def _plain(value: object) -> object:
    """Convert a config's other containers into lists, for JSON."""
    if isinstance(value, Array):
        return value.array.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f'a config holds {_kind(value)}')


def _kind(value: object) -> str:
    return f'one {type(value).__name__}'
