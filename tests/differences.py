# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Names of what differs between two nested values, to the bit."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer


def differences(one: Any, other: Any, ignored: Collection[str] = ()) -> list[str]:
    """Places at which two values differ.

    Args:
        one: Nested dicts and lists of tensors, histories and what Python has.
        other: The same of the other side.
        ignored: Keys with one of these words in them do not count.
    """
    sides = dict(_leaves(one, ignored)), dict(_leaves(other, ignored))
    places = dict.fromkeys([*sides[0], *sides[1]])
    pairs = {place: [side.get(place, 'nothing') for side in sides] for place in places}
    return [
        place if max(map(len, pair)) > 40 else f'{place} ({pair[0]}, {pair[1]})'
        for place, pair in pairs.items()
        if pair[0] != pair[1]
    ]


def _leaves(
    value: Any, ignored: Collection[str], place: str = ''
) -> Iterator[tuple[str, str]]:
    if isinstance(value, HistoryBuffer):
        value = list(value.data)
    if isinstance(value, dict):
        items = [
            (key, item)
            for key, item in value.items()
            if not any(word in str(key) for word in ignored)
        ]
    elif isinstance(value, list | tuple):
        items = list(enumerate(value))
    else:
        yield place, _text(value)
        return
    yield place, f'{len(items)} of them'
    for key, item in items:
        yield from _leaves(item, ignored, f'{place}/{key}')


def _text(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
    if isinstance(value, np.ndarray):
        return f'{value.dtype} {value.shape} {value.tobytes().hex()}'
    if isinstance(value, str) and '/' in value:  # two runs have folders of their own
        return Path(value).name
    return repr(value)
