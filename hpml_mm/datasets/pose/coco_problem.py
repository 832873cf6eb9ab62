# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Entries of an annotation file: their names, their numbers, their problems."""

from collections.abc import Iterable, Mapping
from math import isfinite
from sys import float_info
from typing import Any, NamedTuple, TypeGuard

_SHOWN_ENTRIES = 5


class Problem(NamedTuple):
    """Problem of one entry of an annotation file, or what was put right in it.

    Attributes:
        kind: Name for counting.
        entry: Name of the entry, such as ``'annotation 12 of image 3'``.
        text: The end of the sentence that starts with the entry.
        error: Exception class that reports it.
    """

    kind: str
    entry: str
    text: str
    error: type[Exception] = ValueError


def describe(problems: Iterable[Problem]) -> str:
    """Count problems by kind, and name the first entries of each."""
    entries: dict[str, list[str]] = {}
    for problem in problems:
        entries.setdefault(problem.kind, []).append(problem.entry)
    return ', '.join(
        f'{len(named)} x {kind} ({"; ".join(named[:_SHOWN_ENTRIES])}'
        f'{"; ..." if len(named) > _SHOWN_ENTRIES else ""})'
        for kind, named in entries.items()
    )


def first_error(path: str, problems: list[Problem], remedy: str) -> Exception:
    """Make the error of a file: its first problem, the number of others, a remedy."""
    first, *others = problems
    more = f' (and {len(others):,} more problems)' if others else ''
    return first.error(f'{path}: {first.entry} {first.text}{more}; {remedy}')


def image_name(image: Mapping, place: int) -> str:
    """Name an image of a file by its id, or by its place in the list of images."""
    number = image.get('id')
    return f'images[{place}]' if number is None else f'image {number}'


def annotation_name(annotation: Mapping, place: int) -> str:
    """Name an annotation by its id, or by its place, and the image it is of."""
    number, image_id = annotation.get('id'), annotation.get('image_id')
    name = f'annotations[{place}]' if number is None else f'annotation {number}'
    return name if image_id is None else f'{name} of image {image_id}'


def key_problem(entry: Mapping, keys: Iterable[str]) -> tuple[str, str] | None:
    """Kind and text of the first key that is missing, or is an id and no integer."""
    for key in keys:
        if entry.get(key) is None:
            return 'missing key', f'has no {key!r}'
        # MMPose and xtcocotools compute with ids.
        if key.endswith('id') and not isinstance(entry[key], int):
            return 'id', f'has the {key} {entry[key]!r}, not an integer'
    return None


def first_not_finite(values: list) -> int | None:
    """Place of the first value that is no finite number; None if all are."""
    try:
        all_finite = all(map(isfinite, values))  # faster than one by one
    except (TypeError, OverflowError):  # a text or null, an integer beyond any float
        all_finite = False
    if all_finite:
        return None
    return next(i for i, value in enumerate(values) if not is_finite(value))


def is_finite(value: Any) -> TypeGuard[float]:
    """True for a number that a float can hold, but not for infinity and NaN."""
    return isinstance(value, (int, float)) and abs(value) <= float_info.max
