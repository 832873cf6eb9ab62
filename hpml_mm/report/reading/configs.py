# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Configs of runs, flattened to texts."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hpml_mm.compat.literal_config import literal_values
from hpml_mm.experiments.folders import starts
from hpml_mm.report.content import Problem
from hpml_mm.utils.text_file import read_text

#: Keys by which runs of one experiment differ in any case.
NAMES = ('work_dir', 'experiment_name', 'launcher', 'resume', 'custom_imports')
SEED = 'randomness.seed'


def dumped_config(run: Path) -> Path | None:
    """Find the config that MMEngine has written into a work directory."""
    for start in reversed(starts(run)):
        path = start / 'vis_data' / 'config.py'
        if path.is_file():
            return path
    return next(iter(sorted(run.glob('*.py'))), None)


def command_config(run: Path) -> Path | None:
    """Find the config by which a run can be repeated: the one in its directory."""
    return next(iter(sorted(run.glob('*.py'))), None)


def read_dumped(run: Path, problems: list[Problem]) -> dict[str, Any]:
    """Read the config that a run has written, as data: nothing in it runs."""
    path = dumped_config(run)
    if path is None:
        return {}
    try:
        return literal_values(read_text(path), str(path))
    except (OSError, ValueError) as error:
        problems.append(Problem(str(path), str(error)))
        return {}


def flatten(config: Mapping[str, Any]) -> dict[str, str]:
    """Turn a config into texts by dotted keys; names of a run are left out."""
    kept = {key: value for key, value in config.items() if key not in NAMES}
    return dict(_leaves(kept, ''))


def _leaves(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _leaves(item, f'{key}.{name}' if key else str(name))
    elif isinstance(value, list | tuple) and any(
        isinstance(item, Mapping | list | tuple) for item in value
    ):
        for number, item in enumerate(value):
            yield from _leaves(item, f'{key}.{number}')
    elif isinstance(value, list | tuple):
        # A dumped config has tuples where a summary, which is JSON, has lists.
        yield key, f'[{", ".join(map(_text, value))}]'
    else:
        yield key, _text(value)


def _text(value: Any) -> str:
    """Text of a value, the same for 1 and 1.0, as JSON does not tell them apart."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return value if isinstance(value, str) else str(value)
