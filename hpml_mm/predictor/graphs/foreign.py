# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The caches of AIO-P and GENNAPE as records of ours.

Theirs are lists of dicts with a 'compute graph' of their classes (tf_comp_graph.py),
'acc' as a share of 1, 'flops', 'n_params' or 'params', and 'original config'. AIO-P's
make_cg_task_cache.py puts the score of another task in place of 'acc', and says which
in 'metric_map': 'obj_det_AP->acc'.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .graph import Entry, Graph, Node, assemble
from .pickles import ArrayRecord, Record, read_pickle
from .vocabulary import VOCABULARY, op_index

#: Their caches give FLOPs as a number or in units of 1e9. Between these two bounds it
#: may be either, or in units of 1e6, and is left out.
_SURELY_GFLOPS = 1e4
_SURELY_FLOPS = 1e7
#: BatchNorm's scale and shift.
_NORM_PARAMS = 2


def import_foreign(path: str | Path) -> Iterator[Entry]:
    """Read a pickled cache of AIO-P or GENNAPE; nothing of it is executed.

    Strides, shapes and edges are taken over. MACs and parameters of the nodes, which
    these caches lack, are counted from shapes and resolutions; theirs of the network
    become the metrics 'gflops' and 'params'. The accuracy becomes percent, 'acc(%)';
    the score of another task has its name: 'obj_det_AP(%)'.

    Args:
        path: The file.

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
        except (
            AttributeError,
            IndexError,
            KeyError,
            OverflowError,
            RecursionError,
            TypeError,
        ) as error:
            raise ValueError(
                f'{path}: network {index} is not one of AIO-P or GENNAPE: '
                f'{type(error).__name__}: {error}'
            ) from error
        except ValueError as error:
            raise ValueError(f'{path}: network {index}: {error}') from error
        if entry.name in used:
            raise ValueError(f'{path}: there are two networks {entry.name!r}')
        used.add(entry.name)
        yield entry


def _entry(record: dict[str, Any], unnamed: str) -> Entry:
    graph = record['compute graph']
    if not isinstance(graph, Record):
        raise ValueError(f"its 'compute graph' is {_kind(graph)}")
    config = record.get('original config')
    arch = None if config is None else json.dumps(config, default=_plain)
    return Entry(graph.name or unnamed, foreign_graph(graph), arch, _metrics(record))


def foreign_graph(record: Record) -> Graph:
    """A graph of AIO-P's class as one of ours.

    Raises:
        ValueError: The graph breaks a rule; the message names node and rule.
    """
    theirs = [*record.weighted_nodes, *record.regular_nodes]
    nodes = [_node(node) for node in theirs]
    # Theirs has its input anywhere among the regular nodes, ours has it first.
    order = sorted(range(len(nodes)), key=lambda index: nodes[index].op != 'input')
    position = {old: new for new, old in enumerate(order)}
    edges = [(position[int(a)], position[int(b)]) for a, b in record.edge_pairs]
    return assemble([nodes[index] for index in order], edges)


def _node(node: Record) -> Node:
    op = VOCABULARY[op_index(node.label)]
    resolution = tuple(_whole(value) for value in node.resolution)
    # NHWC: the first and the last of the four are 1.
    strides = tuple(node.strides or (1, 1, 1, 1))[1:3]
    name = node.str_id.split('|')[-1]
    if name.isdecimal():  # an input that they have added has its parts the other way
        name = node.label
    if not hasattr(node, 'shape'):
        params = _NORM_PARAMS * resolution[5] if op == 'batchnorm' else 0
        return Node(op, name, resolution, strides, params=params)
    shape = tuple(_whole(value) for value in node.shape)
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
            metrics[f'{_scored(record)}(%)'] = 100 * value
        elif key == 'flops':
            if value < _SURELY_GFLOPS:
                metrics['gflops'] = value
            elif value > _SURELY_FLOPS:
                metrics['gflops'] = value / 1e9
        else:
            metrics['params' if key == 'n_params' else key] = value
    return metrics


def _scored(record: dict[str, Any]) -> str:
    """What 'acc' is the score of."""
    mapped = record.get('metric_map')
    named = mapped.removesuffix('->acc').strip() if isinstance(mapped, str) else ''
    return named or 'acc'


def _plain(value: object) -> object:
    """What a config holds beside lists and texts, for JSON."""
    if isinstance(value, ArrayRecord):
        return value.array.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f'a config holds {_kind(value)}')


def _kind(value: object) -> str:
    return f'one {type(value).__name__}'
