# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Names that every experiment tracker accepts."""

import re
import unicodedata
from collections.abc import Iterable
from itertools import chain, count

# MLflow takes 250 characters, a file system 255 bytes; an ending needs some of them.
_MOST_BYTES = 240
_BRACKETS = re.compile(r'\([^()]*\)')
_REFUSED = re.compile(r'[\s_]*[^\w .-]+[\s_]*')


def tracker_name(name: str) -> str:
    """Rewrite a name in letters, digits, spaces, ``_``, ``-``, ``.`` and ``/``.

    MLflow refuses any other, and with it all that is logged in the same call. A unit
    stays readable: ``throughput(img/s)`` becomes ``throughput_img_per_s``, and
    ``data_wait(%)`` ``data_wait_percent``. Letters of any script are kept. A part
    between slashes is never empty, ``.`` or ``..``, which a path would lose.

    Args:
        name: Any text, of a user's class for example.

    Returns:
        At most 240 bytes of UTF-8. A name that is fine already is returned as it is.
    """
    # macOS writes é as two characters, of which the second is no letter.
    name = unicodedata.normalize('NFC', name)
    name = _BRACKETS.sub(lambda unit: unit[0].replace('/', '_per_'), name)
    name = '/'.join(_part(part) for part in name.replace('%', '_percent').split('/'))
    if len(name.encode()) > _MOST_BYTES:
        name = name.encode()[:_MOST_BYTES].decode(errors='ignore').rstrip('/. ')
    return name


def _part(part: str) -> str:
    cleaned = _REFUSED.sub('_', part)
    if cleaned != part:
        cleaned = cleaned.strip('_')
    cleaned = cleaned.strip(' ')
    return cleaned if cleaned.strip('.') else '_'


class TrackerNames:
    """Names of one run, no two of which are the same for a tracker.

    Where :func:`tracker_name` makes one of two names, the second gets a number. A
    name that is the folder of another, as ``PCK@0.2`` of ``PCK@0.2/L_Eye``, becomes
    ``PCK_0.2/all``: MLflow's folders cannot hold a file and a folder of one name.
    """

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._taken: set[str] = set()
        self._folders: set[str] = set()

    def translate(self, names: Iterable[str]) -> dict[str, str]:
        """Give each name its own for trackers, the same at each call.

        Args:
            names: The names of one call, so that folders among them are known.

        Returns:
            The tracker's name by the given one, in the order of ``names``.
        """
        names = tuple(names)
        wanted = {name: tracker_name(name) for name in names if name not in self._given}
        # Names in folders before the folders' own, and what need not change first.
        order = {name: (-new.count('/'), new != name) for name, new in wanted.items()}
        for name in sorted(wanted, key=order.__getitem__):
            self._given[name] = self._take(wanted[name])
        return {name: self._given[name] for name in names}

    def _take(self, name: str) -> str:
        if name in self._folders:
            name = f'{name}/all'
        if not self._taken.isdisjoint(_parents(name)):
            name = name.replace('/', '_')
        used = self._taken | self._folders
        numbered = (f'{name}_{number}' for number in count(2))
        name = next(new for new in chain([name], numbered) if new not in used)
        self._taken.add(name)
        self._folders.update(_parents(name))
        return name


def _parents(name: str) -> list[str]:
    parts = name.split('/')
    return ['/'.join(parts[:end]) for end in range(1, len(parts))]
