# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Searches of a report."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class TrialData:
    """Trial of a study.

    Attributes:
        number: Its number.
        state: ``complete``, ``pruned``, ``failed``, ``running``, ``waiting``, or
            ``interrupted`` where its process is gone.
        values: One of each metric; empty without a result.
        params: Parameter to the text of its value.
        collapsed: True if it predicts one class alone; None if that is not known.
        reason: Error of a failed one.
        seconds: Time from its start to its end.
        last: Step and value of the last report to the pruner.
        run: Id of the run of this trial, if the report holds it.
    """

    number: int
    state: str
    values: tuple[float, ...] = ()
    params: dict[str, str] = field(default_factory=dict)
    collapsed: bool | None = None
    reason: str | None = None
    seconds: float | None = None
    last: tuple[int, float] | None = None
    run: int | None = None


@dataclass(frozen=True)
class Repetition:
    """Setting that was trained again with fresh seeds.

    Attributes:
        label: ``base`` for the config itself.
        trial: Number of the trial; None for the config.
        searched: Its score in the search, on the held-out part.
        values: Scores, one a seed.
        mean: Mean of them.
        std: Sample standard deviation.
        n: Number of them.
        few: True for fewer than :data:`~hpml_mm.utils.stats.FEW_SEEDS`.
        difference: Mean difference to the config, with the ends of its interval.
        p: Its p, corrected for the number of settings.
    """

    label: str
    trial: int | None
    searched: float | None
    values: tuple[float, ...]
    mean: float
    std: float | None
    n: int
    few: bool
    difference: tuple[float, float, float] | None
    p: float | None


@dataclass(frozen=True)
class StudyData:
    """Search, as it stands now.

    Attributes:
        name: Short name, unique in the report.
        place: Path of its storage.
        metrics: Names of what is searched for.
        directions: ``maximize`` or ``minimize`` for each.
        settings: Name of a setting of the search to its text.
        trials: Trials in the order of numbers.
        best: Numbers of the best trial, or of the Pareto front.
        repetitions: Best settings trained again, the config first; empty before.
        repeated_metric: Metric of the repetition.
        verdict: Sentence on the best setting.
        command: Command that trains it.
        figures: Title to a figure of Plotly, as its JSON.
        missing_figures: Title to the reason why there is none.
    """

    name: str
    place: str
    metrics: tuple[str, ...]
    directions: tuple[str, ...]
    settings: dict[str, str] = field(default_factory=dict)
    trials: tuple[TrialData, ...] = ()
    best: tuple[int, ...] = ()
    repetitions: tuple[Repetition, ...] = ()
    repeated_metric: str | None = None
    verdict: str | None = None
    command: str | None = None
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    missing_figures: dict[str, str] = field(default_factory=dict)
