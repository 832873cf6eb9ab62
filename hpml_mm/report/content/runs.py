# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Runs of a report and their groups."""

from dataclasses import dataclass, field
from typing import NamedTuple

from hpml_mm.experiments.overview import Status


class Point(NamedTuple):
    """Value of a metric at one moment of a training; None is what its log lacks.

    Attributes:
        step: Iterations so far.
        epoch: Epochs so far.
        samples: Samples seen so far, of all processes.
        seconds: Time of training so far.
        value: Value of the metric.
    """

    step: int
    epoch: float | None
    samples: int | None
    seconds: float | None
    value: float


class BandPoint(NamedTuple):
    """Values of several runs at one step.

    Attributes:
        step: Iterations so far.
        epoch: Epochs so far.
        samples: Samples seen so far.
        seconds: Time of training so far, the mean of the runs.
        mean: Mean of the values.
        std: Sample standard deviation; None of one run.
        n: Number of runs that have a value here.
    """

    step: int
    epoch: float | None
    samples: int | None
    seconds: float | None
    mean: float
    std: float | None
    n: int


@dataclass(frozen=True)
class Environment:
    """Code and machine of a number; None is what is not known.

    Attributes:
        commit: Commit of hpml_mm.
        dirty: True where tracked files of it were changed.
        device: Name of the GPU or CPU.
        torch: Version of PyTorch.
        processes: Number of processes of the training.
        date: Time, as ISO 8601.
        project_commit: Commit of the repository that the config is in, if that is not
            hpml_mm's.
        project_dirty: True where tracked files of that one were changed, or the config
            is none of them.
        more: All else that the run tells, by name.
    """

    commit: str | None = None
    dirty: bool | None = None
    device: str | None = None
    torch: str | None = None
    processes: int | None = None
    date: str | None = None
    project_commit: str | None = None
    project_dirty: bool | None = None
    more: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """Length of a training; None is what is not known.

    Attributes:
        epochs: Epochs done.
        iters: Iterations done.
        dataset_size: Samples of the training set.
        samples: Samples seen, of all processes.
        seconds: Time that it took, with validation.
        planned_epochs: Epochs of the config.
        planned_iters: Iterations of the config.
    """

    epochs: int | None = None
    iters: int | None = None
    dataset_size: int | None = None
    samples: int | None = None
    seconds: float | None = None
    planned_epochs: int | None = None
    planned_iters: int | None = None


@dataclass(frozen=True)
class Confusion:
    """Confusion matrix of a split.

    Attributes:
        split: Name of the split.
        labels: Names of the classes.
        counts: Samples of each true class (row) that were taken for each class.
    """

    split: str
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Picture:
    """Picture that a hook of a run has drawn.

    Attributes:
        title: Name of it, such as ``pose_worst`` or ``confusion/PublicTest``.
        text: Caption: the step, and the file.
        uri: ``data:image/...`` with the whole, made small.
    """

    title: str
    text: str
    uri: str


@dataclass(frozen=True)
class RunData:
    """One run of training or testing.

    Attributes:
        id: Number of the run in the report, from 0.
        name: Short name, unique in the report; any text.
        place: Path of the work directory.
        group: Index of its group in ``ReportData.groups``.
        status: One of :data:`~hpml_mm.experiments.overview.STATES`.
        reason: First line of the error of a failed run; else why it has this status.
        mode: ``'train'`` or ``'test'``.
        seed: Seed of the run.
        config: Dotted key of the config to the text of its value.
        config_file: File of the config.
        metrics: Metrics of the last evaluation; None is a number that is not finite.
        best: Best value of each metric that the run watched.
        measurements: Numbers and words that hooks have measured, by name.
        train: Length of the training.
        environment: Code and machine.
        command: Command that was recorded.
        likely_command: Command that trains the config which the run has left; its
            options are not known.
        curves: Name of a metric to its points, in the order of steps.
        confusion: Confusion matrices.
        keypoints: Name such as ``PCK@0.2`` to the share of each keypoint.
        pictures: Worst cases and other pictures.
        source: Kinds of files that it was read from: ``summary``, ``scalars``,
            ``events``, ``log``.
    """

    id: int
    name: str
    place: str
    group: int
    status: Status
    reason: str | None = None
    mode: str = 'train'
    seed: int | None = None
    config: dict[str, str] = field(default_factory=dict)
    config_file: str | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    best: dict[str, float | None] = field(default_factory=dict)
    measurements: dict[str, float | str | None] = field(default_factory=dict)
    train: Training = field(default_factory=Training)
    environment: Environment = field(default_factory=Environment)
    command: str | None = None
    likely_command: str | None = None
    curves: dict[str, list[Point]] = field(default_factory=dict)
    confusion: tuple[Confusion, ...] = ()
    keypoints: dict[str, dict[str, float]] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()
    source: tuple[str, ...] = ()


@dataclass(frozen=True)
class Score:
    """Mean over the finished runs of a group.

    Attributes:
        mean: Mean.
        std: Sample standard deviation; None of one run.
        n: Number of runs.
        few: True for fewer than :data:`~hpml_mm.utils.stats.FEW_SEEDS`.
    """

    mean: float
    std: float | None
    n: int
    few: bool


@dataclass(frozen=True)
class GroupData:
    """Runs of one config that differ in their seed alone.

    Attributes:
        name: Name of the config or what its runs' names share.
        runs: Ids of the runs.
        scores: Metric to its mean over finished runs; ``best/`` before the best ones.
        bands: Metric to mean and spread over the runs, at the steps of the points.
        marks: Warnings, a sentence each: runs of several machines, commits, versions,
            a seed that is there twice, few seeds.
    """

    name: str
    runs: tuple[int, ...]
    scores: dict[str, Score]
    bands: dict[str, list[BandPoint]]
    marks: tuple[str, ...] = ()
