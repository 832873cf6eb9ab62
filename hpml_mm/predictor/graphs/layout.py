# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Channels, height and width of tensors of any shape.

A graph says of each node (Hin, Hout, Win, Wout, Cin, Cout), also for the tokens of a
transformer: one of L tokens with C channels is L high and 1 wide.
"""

import math
from collections.abc import Sequence


def default_axis(shape: Sequence[int]) -> int:
    """Find the channels of an image (N, C, H, W), or of tokens (N, L, C)."""
    return 1 if len(shape) == 4 else max(len(shape) - 1, 0)


def extent(shape: Sequence[int], axis: int) -> tuple[int, int, int]:
    """Height, width and channels of one image's tensor with channels in ``axis``.

    The batch of 1 in front is left out. If more than two other dimensions remain (the
    windows of a Swin transformer, the heads of an attention), height is the product of
    all but the last. Empty dimensions count as 1.
    """
    if not shape:
        return 1, 1, 1
    axis = min(axis, len(shape) - 1)
    others = [
        size
        for index, size in enumerate(shape)
        if index != axis and not (index == 0 and size == 1)
    ]
    width = others[-1] if len(others) > 1 else 1
    height = math.prod(others[:-1] if len(others) > 1 else others)
    return max(height, 1), max(width, 1), max(shape[axis], 1)


def resolution(
    source: Sequence[int], before: int, output: Sequence[int], after: int
) -> tuple[int, int, int, int, int, int]:
    """Make a node's (Hin, Hout, Win, Wout, Cin, Cout).

    What goes in has its channels in dimension ``before``, what comes out in ``after``.
    """
    hin, win, cin = extent(source, before)
    hout, wout, cout = extent(output, after)
    return hin, hout, win, wout, cin, cout


def axis_after(
    op: str, args: Sequence, before: Sequence[int], axis: int, after: Sequence[int]
) -> int:
    """Dimension of the channels after a PyTorch operator, ``axis`` before it.

    ``op`` is its plain name, without underscores; ``before`` and ``after`` are the
    shapes of the tensor that it works on and of its result.
    """
    if op == 'permute':
        return [index % len(args[1]) for index in args[1]].index(axis)
    if op in ('transpose', 't'):
        pair = args[1:3] if op == 'transpose' else (0, -1)
        first, second = (index % max(len(before), 1) for index in pair)
        return {first: second, second: first}.get(axis, axis)
    if tuple(before) == tuple(after):
        return axis
    if not after or not before:
        return 0
    # In another shape they stay in front or at the end, if their number is still there.
    channels = before[axis]
    last = len(after) - 1
    if axis == len(before) - 1 and after[last] == channels:
        return last
    if axis == 1 and last >= 1 and after[1] == channels:
        return 1
    return default_axis(after)
