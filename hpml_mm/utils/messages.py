# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Users' values and names in error messages, of bounded length."""

import itertools
from collections.abc import Collection
from typing import Any

_NAMES = 6


def shortened(text: str, most: int = 200) -> str:
    """Cut a text after ``most`` characters, and mark that it was cut."""
    return text if len(text) <= most else f'{text[: most - 3]}...'


def shown(value: Any) -> str:
    """Represent a value in at most 60 characters."""
    # The representation of a long list would be long to make, too.
    start = value[:60] if isinstance(value, str | bytes) else value
    text = repr(start)
    return shortened(text if start == value else f'{text}...', 60)


def listed(names: Collection[object]) -> str:
    """List the first six names, and the number of the others."""
    rest = f' and {len(names) - _NAMES} more' if len(names) > _NAMES else ''
    first = [shortened(str(name), 60) for name in itertools.islice(names, _NAMES)]
    return ', '.join(first) + rest
