# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Joining the graphs of a network's parts.

A searched network is made of a few kinds of blocks: each kind is traced once, and a
network is joined of them a hundred times faster than it could be traced.
"""

from collections.abc import Sequence

import numpy as np

from .graph import OP_INDEX, Graph

_OUTPUT, _CONCAT = OP_INDEX['output'], OP_INDEX['concat']


def join(parts: Sequence[Graph], reads: Sequence[Sequence[int]] | None = None) -> Graph:
    """Join the graphs of parts that run one after another.

    What a part returns is what those get that read it; 'input' and 'output' nodes
    between them go. The result equals a trace of the whole: nodes of each kind stay in
    the order in which they run, and parameters that a part does not use count at the
    last 'output'. Parts that share parameters must not be joined: these would count
    twice.

    Args:
        parts: Graphs with one 'output' node, which is the last one. The first has the
            network's input, the last its output.
        reads: Places of the parts that each part reads, none for the first; None for a
            chain. A part that begins with a concatenation takes the channels of all
            that it reads together.

    Raises:
        ValueError: A part does not fit one that it reads.
    """
    if reads is None:
        reads = [[index - 1] if index else [] for index in range(len(parts))]
    _check(parts, reads)
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
    return Graph(
        ops=nodes('ops'),
        resolutions=nodes('resolutions'),
        strides=nodes('strides'),
        shapes=np.concatenate([part.shapes for part in parts]),
        biased=np.concatenate([part.biased for part in parts]),
        edges=_edges(parts, light, reads),
        macs=nodes('macs'),
        params=params,
        names=tuple(name for part, kept in rows for name in part.names[kept]),
    )


def _check(parts: Sequence[Graph], reads: Sequence[Sequence[int]]) -> None:
    for index, part in enumerate(parts):
        assert part.ops[-1] == _OUTPUT
        given = [
            parts[before].resolutions[-1, 1::2].tolist() for before in reads[index]
        ]
        taken = part.resolutions[part.weighted, ::2].tolist()
        if part.ops[part.weighted + 1] == _CONCAT:
            width = sum(channels for _, _, channels in given)
            given = [[height, wide, width] for height, wide, _ in given]
        for before, found in zip(reads[index], given, strict=True):
            if found != taken:
                raise ValueError(
                    f'join: part {before} gives (height, width, channels) {found}, but '
                    f'part {index} was traced with {taken}'
                )


def _edges(
    parts: Sequence[Graph], light: Sequence[slice], reads: Sequence[Sequence[int]]
) -> np.ndarray:
    """All edges by the joined graph's numbers."""
    edges: list[tuple[int, int]] = []
    # Of each part, the nodes whose output those get that read it.
    ends: list[list[int]] = []
    first_heavy, first_light = 0, sum(part.weighted for part in parts)
    for index, part in enumerate(parts):
        source, sink = part.weighted, part.num_nodes - 1
        numbers = [*range(first_heavy, first_heavy + part.weighted)]
        shift = first_light - light[index].start
        numbers += range(source + shift, part.num_nodes + shift)
        before = [end for place in reads[index] for end in ends[place]]
        ends.append([])
        for start, end in part.edges.tolist():
            starts = before if index and start == source else [numbers[start]]
            if end == sink and index < len(parts) - 1:
                ends[-1] += starts
            else:
                edges += [(number, numbers[end]) for number in starts]
        first_heavy += part.weighted
        first_light += light[index].stop - light[index].start
    return np.array(sorted(set(edges)), np.int32).reshape(-1, 2)
