# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Graphs of a network's parts, put end to end.

A searched network is a chain of a few kinds of blocks: each kind is traced once, and a
network is joined of them a hundred times faster than it could be traced.
"""

from collections.abc import Sequence

import numpy as np

from .graph import Graph
from .vocabulary import OP_INDEX

_OUTPUT = OP_INDEX['output']


def join(parts: Sequence[Graph], prefixes: Sequence[str] | None = None) -> Graph:
    """The graph of networks that run one after another.

    What one part returns is what the next one gets; 'input' and 'output' nodes between
    them go. The result equals a trace of the whole chain: nodes of each kind stay in
    the order in which they run, and parameters that a part does not use count at the
    last 'output'. Parts that share parameters must not be joined: these would count
    twice.

    Args:
        parts: Graphs with one 'output' node, which is the last one.
        prefixes: Put with a dot before the names of each part's nodes; '' for none.

    Raises:
        ValueError: A part does not end in an 'output', or does not fit the one before.
    """
    _check(parts, prefixes)
    last = len(parts) - 1
    heavy = [slice(0, part.weighted) for part in parts]
    # The input of the first part and the output of the last one stay.
    light = [
        slice(part.weighted + (index > 0), part.num_nodes - (index < last))
        for index, part in enumerate(parts)
    ]

    rows = [*zip(parts, heavy, strict=True), *zip(parts, light, strict=True)]

    def nodes(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name)[kept] for part, kept in rows])

    params = nodes('params')
    params[-1] += sum(int(part.params[-1]) for part in parts[:-1])
    named = _names(parts, prefixes) * 2
    return Graph(
        ops=nodes('ops'),
        resolutions=nodes('resolutions'),
        strides=nodes('strides'),
        shapes=np.concatenate([part.shapes for part in parts]),
        biased=np.concatenate([part.biased for part in parts]),
        edges=_edges(parts, light),
        macs=nodes('macs'),
        params=params,
        names=tuple(
            name
            for names, (_, kept) in zip(named, rows, strict=True)
            for name in names[kept]
        ),
    )


def _check(parts: Sequence[Graph], prefixes: Sequence[str] | None) -> None:
    if prefixes is not None and len(prefixes) != len(parts):
        raise ValueError(
            f'join: {len(prefixes)} prefixes for {len(parts)} parts; each needs one'
        )
    if not parts:
        raise ValueError('join: there are no parts; at least one is needed')
    for index, part in enumerate(parts):
        if part.ops[-1] != _OUTPUT:
            raise ValueError(
                f"join: part {index} ends in {part.labels[-1]!r}; it needs an 'output'"
            )
    for index, (part, after) in enumerate(zip(parts[:-1], parts[1:], strict=True)):
        given = part.resolutions[-1, 1::2].tolist()
        taken = after.resolutions[after.weighted, ::2].tolist()
        if given != taken:
            raise ValueError(
                f'join: part {index} gives (height, width, channels) {given}, but part '
                f'{index + 1} was traced with {taken}'
            )


def _edges(parts: Sequence[Graph], light: Sequence[slice]) -> np.ndarray:
    """All edges by the joined graph's numbers."""
    weighted = sum(part.weighted for part in parts)
    edges: list[tuple[int, int]] = []
    # Nodes whose output the next part gets.
    before: list[int] = []
    first_heavy, first_light = 0, weighted
    for index, part in enumerate(parts):
        source, sink = part.weighted, part.num_nodes - 1
        numbers = [*range(first_heavy, first_heavy + part.weighted)]
        shift = first_light - light[index].start
        numbers += range(source + shift, part.num_nodes + shift)
        ends: list[int] = []
        for start, end in part.edges.tolist():
            starts = before if index and start == source else [numbers[start]]
            if end == sink and index < len(parts) - 1:
                ends += starts
            else:
                edges += [(number, numbers[end]) for number in starts]
        before = ends
        first_heavy += part.weighted
        first_light += light[index].stop - light[index].start
    return np.array(sorted(set(edges)), np.int32).reshape(-1, 2)


def _names(
    parts: Sequence[Graph], prefixes: Sequence[str] | None
) -> list[tuple[str, ...]]:
    if prefixes is None:
        return [part.names for part in parts]
    named = []
    for index, (part, prefix) in enumerate(zip(parts, prefixes, strict=True)):
        names = [f'{prefix}.{name}' if prefix else name for name in part.names]
        if index == 0:
            names[part.weighted] = part.names[part.weighted]
        if index == len(parts) - 1:
            names[-1] = part.names[-1]
        named.append(tuple(names))
    return named
