# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Studies of a report, also those of searches that go on."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hpml_mm.experiments.jobs import Job, is_running
from hpml_mm.experiments.owner import Owner
from hpml_mm.report.content import Problem, Repetition, StudyData, TrialData
from hpml_mm.utils.stats import FEW_SEEDS, mean_std
from hpml_mm.utils.studies import load_optuna, open_storage
from hpml_mm.utils.text_file import read_json

_STATES = {
    'COMPLETE': 'complete',
    'PRUNED': 'pruned',
    'FAIL': 'failed',
    'RUNNING': 'running',
    'WAITING': 'waiting',
}
#: Of settings whose texts are long.
_LEFT_OUT = ('space', 'options', 'at_most', 'metrics')


def read_studies(
    place: str, runs: Mapping[str, int], problems: list[Problem]
) -> list[StudyData]:
    """Read all studies of a storage.

    Args:
        place: Path of a journal, or a URL.
        runs: Ids of runs by the absolute paths of their work directories.
        problems: Takes what cannot be read.
    """
    try:
        optuna = load_optuna()
    except ImportError as error:  # an extra, which runs and rows need not have
        problems.append(Problem(without_password(place), str(error)))
        return []
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        storage = open_storage(place)
        names = optuna.get_all_study_names(storage)
        studies = [optuna.load_study(study_name=n, storage=storage) for n in names]
        return [_read(study, place, runs, problems) for study in studies]
    except Exception as error:  # of a database, or of a line of a journal
        reason = (str(error).splitlines() or [''])[0]
        what = f'no study: {type(error).__name__}: {reason}'
        problems.append(Problem(without_password(place), without_password(what)))
        return []
    finally:
        optuna.logging.set_verbosity(level)


def without_password(text: str) -> str:
    """Hide the password of a URL, for a page that others read."""
    return re.sub(r'(://[^:/@\s]+):[^@\s]+@', r'\1:***@', text)


def folder_of(place: str) -> Path | None:
    """Find the folder of a search by its storage; None for a database elsewhere."""
    if place.startswith('sqlite:///'):
        return Path(place.removeprefix('sqlite:///')).parent
    return None if '://' in place else Path(place).parent


def _read(
    study: Any, place: str, runs: Mapping[str, int], problems: list[Problem]
) -> StudyData:
    settings = study.user_attrs.get('hpml_mm') or {}
    folder = folder_of(place)
    trials = study.get_trials(deepcopy=False)
    done = [trial for trial in trials if trial.state.name == 'COMPLETE']
    figures, missing = _figures(study)
    repeated = _search_json(folder, problems)
    metrics = settings.get('metrics') or study.metric_names
    count = len(study.directions)
    return StudyData(
        name=study.study_name if folder is None else folder.name,
        place=without_password(place),
        metrics=tuple(metrics or (f'value {i}' for i in range(count))),
        directions=tuple(one.name.lower() for one in study.directions),
        settings=_settings(settings),
        trials=tuple(_trial(trial, folder, runs) for trial in trials),
        best=tuple(trial.number for trial in study.best_trials) if done else (),
        repetitions=repetitions(repeated),
        repeated_metric=repeated.get('metric'),
        verdict=repeated.get('verdict'),
        command=repeated.get('command'),
        figures=figures,
        missing_figures=missing,
    )


def _trial(trial: Any, folder: Path | None, runs: Mapping[str, int]) -> TrialData:
    attributes = trial.user_attrs
    state, reason = _STATES[trial.state.name], attributes.get('reason')
    job = None
    if folder is not None:
        job = Job(folder / 'trials' / f'{trial.number:04}', ())
        if state == 'running' and not _goes_on(trial, folder, job):
            state = 'interrupted'
            reason = 'its process is gone: the same search again goes on with it'
    seconds = trial.duration
    reports = trial.intermediate_values
    last = max(reports) if reports else None
    return TrialData(
        number=trial.number,
        state=state,
        values=tuple(map(float, trial.values or ())),
        params={key: str(value) for key, value in trial.params.items()},
        collapsed=attributes.get('collapsed'),
        reason=None if reason is None else str(reason),
        seconds=None if seconds is None else seconds.total_seconds(),
        last=None if last is None else (last, float(reports[last])),
        run=None if job is None else runs.get(str(job.directory.resolve())),
    )


def _goes_on(trial: Any, folder: Path, job: Job) -> bool:
    """Return whether a process trains a trial, or a search looks after it."""
    search = trial.user_attrs.get('search')
    if search is None:  # of another program than `hpml search`
        return True
    path = folder / 'searches' / str(search)
    owner = Owner.read(path)
    return is_running(job) or (owner is not None and owner.lives(path))


def _search_json(folder: Path | None, problems: list[Problem]) -> dict[str, Any]:
    """Read what a search has written about its repetition, if it is so far."""
    path = None if folder is None else folder / 'search.json'
    if path is None or not path.is_file():
        return {}
    try:
        held = read_json(path)
        if not isinstance(held, dict):
            raise ValueError(f'{path} holds no search')
        repetitions(held)
    except (OSError, KeyError, TypeError, ValueError) as error:
        problems.append(Problem(str(path), f'no repetition of a search: {error}'))
        return {}
    return held


def repetitions(held: Mapping[str, Any]) -> tuple[Repetition, ...]:
    """Read the settings that a search has trained again."""
    found = []
    for one in held.get('settings', ()):
        values = tuple(map(float, one['values']))
        mean, std = mean_std(values)
        test = one.get('test')
        found.append(
            Repetition(
                label=str(one['label']),
                trial=one['trial'],
                searched=one['searched'],
                values=values,
                mean=mean,
                std=std,
                n=len(values),
                few=len(values) < FEW_SEEDS,
                difference=None if test is None else (*_interval(test),),
                p=one['p'],
            )
        )
    return tuple(found)


def _interval(test: Mapping[str, Any]) -> tuple[float, float, float]:
    return float(test['mean']), float(test['low']), float(test['high'])


def _settings(held: Mapping[str, Any]) -> dict[str, str]:
    """Settings of a search as texts, without its long ones."""
    found = {key: str(value) for key, value in held.items() if key not in _LEFT_OUT}
    limits = held.get('at_most') or {}
    return found | {f'at most {key}': str(value) for key, value in limits.items()}


def _figures(study: Any) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Draw the figures of a study as JSON, and tell why others are missing."""
    # They need Plotly, an extra.
    from hpml_mm.experiments.search.plots import missing_figures, study_figures

    try:
        figures = {name: _plain(one) for name, one in study_figures(study).items()}
    except ImportError as error:
        return {}, {'figures': str(error)}
    return figures, missing_figures(study)


def _plain(figure: Any) -> dict[str, Any]:
    return json.loads(figure.to_json())
