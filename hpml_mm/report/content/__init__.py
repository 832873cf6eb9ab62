# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Content of a report, ready to be shown: all of it can become JSON."""

from .rows import (
    Int8Data,
    Panel,
    PanelPoint,
    Prediction,
    PredictionsData,
    RowData,
    Series,
    TableData,
)
from .runs import (
    BandPoint,
    Confusion,
    Environment,
    GroupData,
    Picture,
    Point,
    RunData,
    Score,
    Training,
)
from .studies import Repetition, StudyData, TrialData
from .whole import Problem, ReportData

__all__ = [
    'BandPoint',
    'Confusion',
    'Environment',
    'GroupData',
    'Int8Data',
    'Panel',
    'PanelPoint',
    'Picture',
    'Point',
    'Prediction',
    'PredictionsData',
    'Problem',
    'Repetition',
    'ReportData',
    'RowData',
    'RunData',
    'Score',
    'Series',
    'StudyData',
    'TableData',
    'Training',
    'TrialData',
]
