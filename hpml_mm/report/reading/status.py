# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Status of a run, which may go on while it is read."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from hpml_mm.experiments.overview import Status, state_of


class Told(NamedTuple):
    """Status with its reason."""

    status: Status
    reason: str | None = None


def status_of(run: Path, summary: Mapping[str, Any], ended: bool) -> Told:
    """Tell the status of a run, as ``hpml runs`` does.

    Where only the age of a log tells it, the log is asked, too: it may hold all of a
    training, and one that does not may have ended in any way.

    Args:
        run: Work directory.
        summary: Summary of the run, empty where there is none.
        ended: True if the log reaches the end of the config, last validation and all.
    """
    found = state_of(run, summary or None)
    if found.grown is None:
        return Told(found.state, found.detail or None)
    if ended and not summary:
        return Told('finished', 'no summary: its log reaches the end of its config')
    if found.state == 'running':
        return Told('running', found.detail)
    end = datetime.fromtimestamp(found.grown).astimezone().isoformat(' ', 'minutes')
    if summary:
        return Told('unknown', f'its log went on after its summary, to {end}')
    return Told('unknown', f'no summary; its log ends on {end}')
