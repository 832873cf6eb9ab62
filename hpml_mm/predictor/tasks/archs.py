# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Architectures of TransNAS-Bench-101: modules of the macro, cells of the micro space.

Duan et al., `TransNAS-Bench-101 <https://arxiv.org/abs/2105.11871>`_.
"""

import re
from collections.abc import Callable, Sequence

from hpml_mm.utils.messages import shown

#: From and to of a cell's edges, in the order of its digits.
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
_MACRO = re.compile(r'64-([1-4]{4,6})-basic')
_MICRO = re.compile(r'64-41414-([0-3])_([0-3]{2})_([0-3]{3})')


def macro_modules(arch: str) -> tuple[int, ...]:
    """Read the modules of ``64-1234-basic``: 2 and 4 widen, 3 and 4 halve the sides.

    Raises:
        ValueError: It is not written so, with four to six digits of 1 to 4.
    """
    match = _MACRO.fullmatch(arch)
    if match is None:
        raise ValueError(f'transnas-macro: {shown(arch)} is not as 64-1234-basic')
    return tuple(map(int, match[1]))


def micro_edges(arch: str) -> tuple[int, ...]:
    """Read the edges of ``64-41414-1_23_013``: none, skip, 1x1 and 3x3 convolution.

    Raises:
        ValueError: It is not written so.
    """
    match = _MICRO.fullmatch(arch)
    if match is None:
        raise ValueError(f'transnas-micro: {shown(arch)} is not as 64-41414-1_23_013')
    return tuple(map(int, ''.join(match.groups())))


#: Reader of each space's architectures, which raises ValueError for others.
PARSERS: dict[str, Callable[[str], tuple[int, ...]]] = {
    'transnas-macro': macro_modules,
    'transnas-micro': micro_edges,
}


def live_edges(edges: Sequence[int]) -> tuple[int, ...]:
    """Leave out the edges without effect, and order nodes that may change places.

    An edge out of a node that is always zero, or into one that nothing reads, becomes
    0. Nodes 1 and 2 may change places where no edge joins them.
    """
    live = list(edges)
    reached, read = {0}, {3}
    for index, (start, end) in enumerate(EDGES):
        if start not in reached:
            live[index] = 0
        if live[index]:
            reached.add(end)
    for index, (start, end) in reversed(list(enumerate(EDGES))):
        if end not in read:
            live[index] = 0
        if live[index]:
            read.add(start)
    into1, into2, between, into3, from1, from2 = live
    if not between:
        (into1, from1), (into2, from2) = sorted([(into1, from1), (into2, from2)])
    return into1, into2, between, into3, from1, from2


def equal_archs(space: str, archs: Sequence[str]) -> list[str]:
    """Key of each architecture, the same for networks that compute the same.

    Their scores differ by the noise of training alone, so that one tells the other's.

    Raises:
        ValueError: An architecture is outside the space.
    """
    parse = PARSERS[space]
    parsed = [parse(arch) for arch in archs]
    if space == 'transnas-micro':
        parsed = [live_edges(edges) for edges in parsed]
    return [''.join(map(str, one)) for one in parsed]
