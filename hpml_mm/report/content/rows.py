# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Result rows of a report, and the charts and tables that are made of them."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

from hpml_mm.experiments.rows import ResultRow


@dataclass(frozen=True)
class RowData(ResultRow):
    """One result row with its place.

    Attributes:
        id: Number of the row in the report, from 0.
        file: Path of the results file.
        line: Its line there.
    """

    id: int
    file: str
    line: int


@dataclass(frozen=True)
class PanelPoint:
    """Point or bar of a panel.

    Attributes:
        x: Place on the axis: a number, or a name.
        value: Height.
        low: Lower end of the interval; None where one value has none.
        high: Upper end of it.
        n: Number of values behind it.
        source: Sentence with command, commit, machine and day.
        rows: Ids of the rows that it comes from.
        runs: Ids of the runs that it comes from.
    """

    x: float | str
    value: float
    low: float | None
    high: float | None
    n: int
    source: str
    rows: tuple[int, ...] = ()
    runs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Series:
    """Points of one line of a panel, or of bars of one colour.

    Attributes:
        name: Name in the legend.
        points: Points, in the order of ``x`` where these are numbers.
    """

    name: str
    points: tuple[PanelPoint, ...]


@dataclass(frozen=True)
class Panel:
    """Chart of where the time goes.

    Attributes:
        kind: Subject of it: ``workers`` (throughput over loader workers), ``wait``
            (share of waiting for data over workers), ``throughput``, ``epoch_time``,
            ``speed_up``, ``efficiency`` (over processes, a line for each batch size),
            ``batch`` (throughput over batch sizes), ``precision`` (throughput by
            precision), ``time_to_score``.
        title: Title.
        x_label: Name and unit of the axis.
        y_label: Name and unit of the other axis.
        series: Lines or bars.
        style: ``'line'`` over numbers, ``'bar'`` over names.
        ideal: Points of the dashed line of perfect scaling, (x, y).
        finding: Sentence: the optimum with its interval, or why there is none.
        marks: Warnings, a sentence each, such as values of several machines.
    """

    kind: str
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    style: Literal['line', 'bar'] = 'line'
    ideal: tuple[tuple[float, float], ...] = ()
    finding: str | None = None
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Int8Data:
    """INT8 model beside FP32; None is what was not measured.

    Attributes:
        model: Name of the config.
        engine: Method and engine, such as ``ptq-onnxruntime``.
        metric: Score that is compared; None where the rows hold speeds alone.
        unit: Unit of the score.
        before: Score in FP32.
        after: Score in INT8.
        drop: Loss, in points.
        low: Lower end of its interval of 95 %.
        high: Upper end of it.
        samples: Samples that the score is of.
        size: Size of the model in MiB.
        size_before: That of FP32 in the same engine.
        latency: Name such as ``batch 1`` to INT8's median in ms.
        latency_before: The same of FP32 in the same engine.
        speedup: Name such as ``batch 1, eager`` to the factor.
        rows: Ids of the rows.
        source: Sentence with command, commit, machine and day.
    """

    model: str
    engine: str
    metric: str | None
    unit: str | None
    before: float | None
    after: float | None
    drop: float | None
    low: float | None
    high: float | None
    samples: int | None
    size: float | None
    size_before: float | None
    latency: dict[str, float]
    latency_before: dict[str, float]
    speedup: dict[str, float]
    rows: tuple[int, ...]
    source: str


class Prediction(NamedTuple):
    """Predicted and measured score of a network.

    Attributes:
        name: Name of the network.
        predicted: Predicted score.
        std: Its standard deviation.
        measured: Measured score.
    """

    name: str
    predicted: float
    std: float | None
    measured: float


@dataclass(frozen=True)
class PredictionsData:
    """Predicted against measured scores.

    Attributes:
        title: Name of the task.
        place: File that holds them.
        unit: Unit of the scores.
        points: Networks, thinned to a few thousand.
        n: Networks in all.
        srcc: Spearman's rank correlation over all of them; None for fewer than three.
        mae: Mean absolute error over all of them.
    """

    title: str
    place: str
    unit: str
    points: list[Prediction]
    n: int
    srcc: float | None
    mae: float


@dataclass(frozen=True)
class TableData:
    """Table of texts, such as the cat grid beside its source.

    Attributes:
        title: Title.
        header: Names of the columns.
        lines: Cells of each line.
        note: Sentence below it.
    """

    title: str
    header: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    note: str = ''
