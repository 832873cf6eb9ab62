# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Finished runs, and whether they may be compared."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .sweep import finished_summary

# What a number depends on besides the config.
GROUND = ('commit', 'dirty', 'device', 'torch')

Summary = Mapping[str, Any]


def read_runs(places: Iterable[Path]) -> dict[str, Summary]:
    """Summaries of finished trainings, by the place they were given as.

    Args:
        places: Work directories, or their ``summary.json``.

    Raises:
        FileNotFoundError: If a place holds no summary.
        ValueError: If it is given twice, or its training has not finished.
    """
    runs = {}
    for place in places:
        path = place / 'summary.json' if place.is_dir() else place
        if path.name != 'summary.json' or not path.is_file():
            raise FileNotFoundError(f'{place} is no work directory with a summary.json')
        summary = finished_summary(path)
        if summary is None or summary.get('mode') == 'test':
            raise ValueError(f'{path} tells of no finished training')
        name = str(path.parent)
        if name in runs:
            raise ValueError(f'{name} is given twice: each run counts once')
        runs[name] = summary
    return runs


def setting_of(summary: Summary, key: str) -> Any:
    """A value of a summary by its dotted key; None where there is none."""
    value: Any = summary
    for part in key.split('.'):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def refuse_mixed(runs: Mapping[str, Any], what: str) -> None:
    """Refuse runs that differ in something that must be the same.

    Args:
        runs: The value of each, by its name.
        what: What the values are.

    Raises:
        ValueError: With both values where they are short, and the runs that differ.
    """
    if not runs:
        return
    (first, reference), *others = runs.items()
    others = [(name, value) for name, value in others if value != reference]
    if others:
        named = [f'{n}{_shown(v)}' for n, v in others]
        raise ValueError(
            f'the runs differ in {what}: {first}{_shown(reference)}, but '
            f'{", ".join(named)}; compare those that are alike'
        )


def _shown(value: Any) -> str:
    return '' if isinstance(value, Mapping | list) else f' {value}'
