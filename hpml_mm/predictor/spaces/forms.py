# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Parsing of what written forms of architectures are made of."""

from collections.abc import Mapping

from hpml_mm.utils.messages import shown


def whole(space: str, where: str, text: str) -> int:
    """Read a whole number.

    Args:
        space: Name of the search space, for an error.
        where: Place of the number in the form, for an error.
        text: The number.

    Raises:
        ValueError: It is none.
    """
    try:
        return int(text)
    except ValueError as error:
        raise ValueError(
            f'{space}: {where} is {shown(text)}; a whole number is needed'
        ) from error


def lists(space: str, form: Mapping, lengths: Mapping[str, int]) -> list[list]:
    """Read the lists of a dictionary form, in the order of ``lengths``.

    One value in place of a list stands for all of its slots.

    Args:
        space: Name of the search space, for an error.
        form: The dictionary.
        lengths: Length of the list under each key.

    Raises:
        ValueError: It has other keys, or a list of another length.
    """
    if set(form) != set(lengths):
        raise ValueError(
            f'{space}: the dictionary has the keys {sorted(map(str, form))}; '
            f'{sorted(lengths)} are needed'
        )
    found = []
    for key, length in lengths.items():
        value = form[key]
        own = isinstance(value, list | tuple)
        found.append(list(value) if own else [value] * length)
        if len(found[-1]) != length:
            raise ValueError(
                f'{space}: {key!r} has {len(value)} values; {length} are needed'
            )
    return found
