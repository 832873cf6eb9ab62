# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Repetition of a search's best trials with fresh seeds, beside its config."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hpml_mm.config.overrides import apply_options
from hpml_mm.experiments.runs import Summary, metric_of
from hpml_mm.experiments.sweep import Run, Variant
from hpml_mm.utils.files import dump_strict, write_atomic
from hpml_mm.utils.stats import FEW_SEEDS, PairedTest, holm, mean_std, paired_test
from hpml_mm.utils.studies import load_optuna

from .leaf import write_leaf
from .space import Space, apply_space
from .study import Settings, direction_of

BASE = 'base'


@dataclass(frozen=True)
class Repeated:
    """Scores of one setting, trained again on the whole training set.

    Attributes:
        label: Its name.
        trial: Number of the trial; None for the config itself.
        searched: Score of the trial, on the held-out part.
        values: Scores on the config's own validation split, one a seed.
        test: Paired test against the config; None for itself.
        p: The test's p, corrected for the number of settings by Holm's method.
    """

    label: str
    trial: int | None
    searched: float | None
    values: tuple[float, ...]
    test: PairedTest | None = None
    p: float | None = None


def best_trials(study: Any, count: int) -> list[Any]:
    """Best trials of a study within its limits, each setting once.

    With two metrics these are the first of the Pareto front.
    """
    states = load_optuna().trial.TrialState
    trials = [
        trial
        for trial in study.get_trials(deepcopy=False, states=(states.COMPLETE,))
        if all(excess <= 0 for excess in trial.constraints.values())
    ]
    if len(study.directions) > 1:
        trials = [t for t in study.best_trials if t in trials]
    down = study.directions[0].name == 'MINIMIZE'
    found: list[Any] = []
    for trial in sorted(trials, key=lambda t: t.values[0], reverse=not down):
        if all(trial.params != other.params for other in found):
            found.append(trial)
    return found[:count]


def label_of(trial: Any) -> str:
    """Name the setting of a trial, whatever place it has."""
    return f'trial{trial.number:04}'


def write_leaves(
    trials: Sequence[Any], settings: Settings, space: Space, folder: Path
) -> list[Variant]:
    """Write the leaf config of each trial, and name the variants.

    They train on the whole training set.
    """
    variants = []
    for trial in trials:
        label = label_of(trial)
        path = folder / f'{label}.py'
        chosen = space.options(trial.params)
        change = partial(_set, settings=settings, chosen=chosen)
        write_leaf(path, settings.config, change)
        variants.append(Variant(label, str(path)))
    return variants


def base_variant(settings: Settings, folder: Path) -> Variant:
    """Name the config itself; a leaf holds the overrides of all trials."""
    if not settings.options:
        return Variant(BASE, settings.config)
    path = folder / f'{BASE}.py'
    change = partial(_set, settings=settings, chosen={})
    write_leaf(path, settings.config, change)
    return Variant(BASE, str(path))


def compare(
    done: Sequence[tuple[Run, Summary]], trials: Sequence[Any], metric: str
) -> list[Repeated]:
    """Compare all settings with the config, seed by seed.

    Args:
        done: Trainings of the variants of :func:`base_variant` and
            :func:`write_leaves`.
        trials: Those that the leaves stand for.
        metric: Metric of the comparison, at the end of the trainings: the best of their
            epochs would be chosen on the split that is quoted.

    Raises:
        ValueError: A training lacks the metric.
    """
    metric = metric.removeprefix('best/')
    values: dict[str, list[float]] = {}
    for run, summary in sorted(done, key=lambda one: one[0].number):
        values.setdefault(run.variant.label, []).append(metric_of(summary, metric))
    base = values.pop(BASE)
    tests = {label: paired_test(held, base) for label, held in values.items()}
    told = [label for label, test in tests.items() if test is not None]
    corrected = holm([tests[label].p for label in told])  # type: ignore[union-attr]
    p = dict(zip(told, corrected, strict=True))
    found = [Repeated(BASE, None, None, tuple(base))]
    for trial in trials:
        label = label_of(trial)
        held = tuple(values[label])
        score = trial.values[0]
        found.append(
            Repeated(label, trial.number, score, held, tests[label], p.get(label))
        )
    return found


def verdict(found: Sequence[Repeated], metric: str, level: float = 0.05) -> str:
    """Sentence on the best setting: whether the search has found a better one."""
    base, first = found[0], found[1]
    seeds = f'{len(base.values)} seeds'
    if first.test is None or first.p is None:
        alike = 'all of one difference: no spread to judge by'
        reason = 'too few' if len(base.values) < 2 else alike
        return f'not compared with the config: {seeds} are {reason}'
    better = (
        first.test.mean < 0
        if direction_of(metric) == 'minimize'
        else (first.test.mean > 0)
    )
    interval = (
        f'{first.test.mean:+.3g} [{first.test.low:+.3g}, {first.test.high:+.3g}], '
        f'p {first.p:.2g}, {seeds}'
    )
    few = '; few seeds' if len(base.values) < FEW_SEEDS else ''
    if first.p > level:
        return f'not told apart from the config: {interval}{few}'
    word = 'better' if better else 'worse'
    return f'{word} than the config: {interval}{few}'


def repeated_rows(found: Sequence[Repeated]) -> list[tuple[str, ...]]:
    """Lines of a table: label, trial, score in the search, mean, std, difference, p."""
    lines: list[tuple[str, ...]] = []
    for one in found:
        mean, std = mean_std(one.values)
        test = one.test
        lines.append(
            (
                one.label,
                '' if one.trial is None else str(one.trial),
                '' if one.searched is None else f'{one.searched:.4g}',
                f'{mean:.4g}',
                '' if std is None else f'{std:.2g}',
                ''
                if test is None
                else f'{test.mean:+.3g} [{test.low:+.3g}, {test.high:+.3g}]',
                '' if one.p is None else f'{one.p:.2g}',
            )
        )
    return lines


REPEATED_HEADER = (
    *('setting', 'trial', 'in the search', 'repeated', 'std'),
    *('against base', 'p'),
)


def write_repeated(path: Path, found: Sequence[Repeated], **about: Any) -> None:
    """Write the comparison as JSON, for reports."""
    write_atomic(path, dump_strict({**about, 'settings': [asdict(f) for f in found]}))


def _set(cfg: Any, settings: Settings, chosen: Mapping[str, Any]) -> None:
    apply_options(cfg, dict(settings.options))
    apply_space(cfg, chosen)
