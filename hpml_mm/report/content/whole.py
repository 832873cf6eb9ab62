# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""All of a report."""

from dataclasses import dataclass

from .rows import Int8Data, Panel, PredictionsData, RowData, TableData
from .runs import GroupData, RunData
from .studies import StudyData


@dataclass(frozen=True)
class Problem:
    """Something that could not be read.

    Attributes:
        place: File, with the line where it has lines.
        what: Reason, one sentence.
    """

    place: str
    what: str


@dataclass(frozen=True)
class ReportData:
    """All that a report shows.

    Attributes:
        title: Title.
        made: Time when it was read, as ISO 8601.
        command: Command that makes it again.
        runs: Runs; ``runs[i].id == i``.
        groups: Groups of runs.
        rows: Result rows; ``rows[i].id == i``.
        panels: Charts of where the time goes.
        int8: Quantized models.
        predictions: Predicted against measured scores.
        tables: Other tables.
        studies: Searches.
        problems: All that could not be read.
        notes: Sentences that hold for the whole report, such as runs that go on.
    """

    title: str
    made: str
    command: str
    runs: tuple[RunData, ...] = ()
    groups: tuple[GroupData, ...] = ()
    rows: tuple[RowData, ...] = ()
    panels: tuple[Panel, ...] = ()
    int8: tuple[Int8Data, ...] = ()
    predictions: tuple[PredictionsData, ...] = ()
    tables: tuple[TableData, ...] = ()
    studies: tuple[StudyData, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
