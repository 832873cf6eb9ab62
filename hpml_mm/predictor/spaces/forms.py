# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Reading the pieces that written architectures consist of."""

import json
from collections.abc import Mapping
from typing import Any


def from_json(space: str, text: str) -> Any:
    """Read an architecture that is written as JSON.

    Raises:
        ValueError: It is no JSON.
    """
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f'{space}: {text!r} is not valid JSON: {error}') from error


def to_int(space: str, where: str, text: str) -> int:
    """Read a number.

    Raises:
        ValueError: It is none; the message names space and place.
    """
    try:
        return int(text)
    except ValueError as error:
        raise ValueError(
            f'{space}: {where} is {text!r}; a whole number is needed'
        ) from error


def to_lists(space: str, form: Mapping, lengths: dict[str, int]) -> list[list]:
    """The lists of a dictionary form, in the order of ``lengths``.

    Args:
        space: Named in errors.
        form: A list for each key, or one value that stands for all of its slots.
        lengths: The keys, and how many values each must have.

    Raises:
        ValueError: A key is missing or unknown, or a list is too short or too long.
    """
    if set(form) != set(lengths):
        raise ValueError(
            f'{space}: the dictionary has the keys {sorted(map(str, form))}; '
            f'{sorted(lengths)} are needed'
        )
    lists = []
    for key, length in lengths.items():
        value = form[key]
        values = list(value) if isinstance(value, list | tuple) else [value] * length
        if len(values) != length:
            raise ValueError(
                f'{space}: {key!r} has {len(values)} values; {length} are needed'
            )
        lists.append(values)
    return lists
