# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Rounds of several occasions, kept in a file.

A machine that others use is faster at one hour than at another: rounds of one occasion
show less spread than there is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hpml_mm.utils.env import code_version
from hpml_mm.utils.files import dump_strict, locked, write_atomic
from hpml_mm.utils.messages import shown
from hpml_mm.utils.text_file import read_json

from .jobs import Side
from .process import SideResult
from .session import Lap

# Of an environment, what rounds of one measurement have in common. Not that the code
# is changed since its commit: rows of a results file are such a change, too. A pooled
# row says so where any occasion's code was.
_SAME = ('device', 'torch', 'commit', 'cpu_count', 'threads')
# A file is read and written in less than one.
_LOCK_SECONDS = 60.0


def read_occasions(path: Path) -> dict[str, Any]:
    """Read the rounds of earlier occasions by experiment; none where there is no file.

    Raises:
        ValueError: It is no such file.
    """
    if not path.exists():
        return {}
    held = read_json(path)
    try:
        for one in held.values():
            one['measured'].items()
            one['dirty']
            for laps in one['laps']:
                [Lap(**lap) for lap in laps]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f'{path} holds no rounds of hpml benchmark ({error}); give another file'
        ) from error
    return held


def check_occasion(
    path: Path, name: str, sides: Sequence[Side], settings: Mapping[str, Any]
) -> None:
    """Refuse what could not be pooled, before it is measured; for arguments see below.

    Raises:
        ValueError: It is no such file, or its rounds are of other sides or settings or
            of other code. Their machine is compared when this one's is known.
    """
    held = read_occasions(path).get(name)
    if held:
        now = {'commit': code_version()[0]} | _asked(sides, settings)
        _check_same(f'{path}: {name}', held['measured'], now)


def pool_occasions(
    path: Path, name: str, found: Sequence[SideResult], settings: Mapping[str, Any]
) -> list[SideResult]:
    """Put the rounds of earlier occasions before those of this one, and keep all.

    Args:
        path: JSON file, made where there is none.
        name: Experiment; a file may hold several.
        found: Sides of this occasion.
        settings: What was measured and how, such as mode, batch size and cores.

    Returns:
        The sides with all rounds, those of one occasion after those of another, and
        without their profiles, which are of this one.

    Raises:
        ValueError: The earlier rounds are of other sides, another machine or other
            code.
    """
    environment = {key: found[0].environment[key] for key in _SAME}
    measured = environment | _asked([one.side for one in found], settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path, _LOCK_SECONDS):
        return _pool(path, name, found, measured)


def _pool(
    path: Path, name: str, found: Sequence[SideResult], measured: Mapping[str, Any]
) -> list[SideResult]:
    occasions = read_occasions(path)
    earlier: list[list[Lap]] = [[] for _ in found]
    dirty = any(side.environment['dirty'] for side in found)
    if name in occasions:
        dirty |= occasions[name]['dirty']
        _check_same(f'{path}: {name}', occasions[name]['measured'], measured)
        earlier = [[Lap(**lap) for lap in laps] for laps in occasions[name]['laps']]
    pooled = [
        replace(
            side,
            laps=[*before, *side.laps],
            profile=None,
            environment={**side.environment, 'dirty': dirty},
        )
        for side, before in zip(found, earlier, strict=True)
    ]
    laps = [[asdict(lap) for lap in side.laps] for side in pooled]
    occasions[name] = {'measured': measured, 'dirty': dirty, 'laps': laps}
    write_atomic(path, dump_strict(occasions))
    return pooled


def _asked(sides: Sequence[Side], settings: Mapping[str, Any]) -> dict[str, str]:
    """Sides and settings as text: JSON has no tuples, which options may be."""
    return {
        'sides': repr([asdict(side) for side in sides]),
        **{key: repr(value) for key, value in settings.items()},
    }


def _check_same(place: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for key, value in now.items():
        if before.get(key) != value:
            raise ValueError(
                f'{place} was measured with {key} {shown(before.get(key))}, and is now '
                f'with {shown(value)}: give another file'
            )
