# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Plots of a study: Optuna's own, with short names, and what they leave out."""

import copy
import math
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

from hpml_mm.compat import require
from hpml_mm.utils.files import write_atomic
from hpml_mm.utils.studies import load_optuna

#: At least so many of the best trials are told from all for the importances. Optuna's
#: tenth of them would be two of twenty.
BEST = 5
_SCRIPT = 'plotly.min.js'
# Name of a figure, a reason why there is none yet, and what draws it.
_Plan = tuple[str, str | None, Callable[[], Any]]


def load_plotly() -> Any:
    """Import Plotly's figures.

    Raises:
        ImportError: It is not installed; the message names the extra.
    """
    return require('plotly.graph_objects', 'search')


def study_figures(study: Any) -> dict[str, Any]:
    """Draw all that a study can give.

    Args:
        study: Study of Optuna, also one that is running.

    Returns:
        Plotly figures by their names: ``history``, ``slices``, ``importances``,
        ``contour``, ``parallel`` and ``learning-curves``. With two metrics the first
        four are drawn for each, and end in its name, and ``pareto`` is the last.
    """
    return {name: draw() for name, lack, draw in _plans(study) if lack is None}


def missing_figures(study: Any) -> dict[str, str]:
    """Tell for each figure that a study cannot give yet what it lacks."""
    return {name: lack for name, lack, _ in _plans(study) if lack is not None}


def write_plots(study: Any, folder: Path) -> None:
    """Write each figure of a study as a page, and the script of all beside them."""
    load_plotly()
    script = require('plotly.offline', 'search').get_plotlyjs().encode()
    place = folder / _SCRIPT
    if not place.is_file() or place.stat().st_size != len(script):
        write_atomic(place, script)
    for name, figure in study_figures(study).items():
        text = figure.to_html(include_plotlyjs='directory')
        write_atomic(folder / f'{name}.html', text)


def short_names(keys: Iterable[str]) -> dict[str, str]:
    """Shorten dotted keys to the last parts that no two of them share."""
    parts = {key: key.split('.') for key in keys}
    found = {}
    for key, own in parts.items():
        ends = (own[-count:] for count in range(1, len(own)))
        alone = (
            end
            for end in ends
            if sum(other[-len(end) :] == end for other in parts.values()) == 1
        )
        found[key] = '.'.join(next(alone, own))
    return found


def _plans(study: Any) -> Iterator[_Plan]:
    load_plotly()
    optuna = load_optuna()
    names = study.metric_names or [f'value {n}' for n in range(len(study.directions))]
    for place, metric in enumerate(names):
        end = '-' + re.sub(r'[^a-zA-Z0-9]+', '-', metric).strip('-')
        for name, lack, draw in _plans_of_metric(_short(study, place), metric):
            yield name + (end if len(names) > 1 else ''), lack, draw
    whole, show = _short(study), optuna.visualization
    lack = _too_few(_complete(whole), 2)
    yield 'parallel', lack, partial(_parallel, whole, names)
    if len(names) > 1:
        pareto = partial(show.plot_pareto_front, whole, target_names=names)
        yield 'pareto', lack, partial(_titled, 'Pareto front', pareto)
    else:  # Optuna takes no validations of two metrics
        lack = None if _validated(whole) else 'no trial has been validated yet'
        yield 'learning-curves', lack, partial(_learning_curves, whole, names[0])


def _plans_of_metric(study: Any, metric: str) -> Iterator[_Plan]:
    complete = _complete(study)
    yield 'history', _too_few(complete, 1), partial(_history, study, metric)
    show = load_optuna().visualization
    slices = partial(show.plot_slice, study, target_name=metric)
    yield 'slices', _too_few(complete, 2), partial(_titled, 'Slices', slices)
    lack = _lacks_importances(study, complete)
    held = {} if lack else _importances(study, len(complete))
    yield 'importances', lack, partial(_importances_figure, study, metric)
    pair = _first_pair(list(held), complete)
    if lack is None and pair is None:
        lack = 'no two parameters occur together with several values of each'
    contour = partial(
        show.plot_contour, study, params=list(pair or ()), target_name=metric
    )
    title = 'The two most important parameters that occur together'
    yield 'contour', lack, partial(_titled, title, contour)


def _short(study: Any, place: int | None = None) -> Any:
    """Copy a study into memory, with short names of its parameters.

    Args:
        study: Study to copy.
        place: Place of the one metric to keep: Optuna then knows its direction, which
            it does not for one of several. None to keep all.
    """
    optuna = load_optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    every = slice(None) if place is None else slice(place, place + 1)
    short = optuna.create_study(directions=study.directions[every])
    trials = study.get_trials(deepcopy=False)
    names = short_names({key: None for trial in trials for key in trial.params})
    for trial in trials:
        one = copy.copy(trial)
        one.params = {names[key]: value for key, value in trial.params.items()}
        one.distributions = {
            names[key]: value for key, value in trial.distributions.items()
        }
        one.values = None if trial.values is None else trial.values[every]
        short.add_trial(one)
    return short


def _complete(study: Any) -> list[Any]:
    """Trials that Optuna draws: complete, with finite values."""
    states = (load_optuna().trial.TrialState.COMPLETE,)
    trials = study.get_trials(deepcopy=False, states=states)
    return [trial for trial in trials if all(map(math.isfinite, trial.values))]


def _validated(study: Any) -> bool:
    return any(trial.intermediate_values for trial in study.get_trials(deepcopy=False))


def _too_few(complete: Sequence[Any], wanted: int) -> str | None:
    """Reason not to draw; None if there are enough, and something to draw them over."""
    if len(complete) < wanted:
        return f'{len(complete)} of at least {wanted} trials are complete'
    if not any(trial.params for trial in complete):
        return 'no trial has a parameter'
    return None


def _lacks_importances(study: Any, complete: Sequence[Any]) -> str | None:
    # With fewer the best would be more than half.
    lack = _too_few(complete, 2 * BEST)
    if lack:
        return lack
    if len({key for trial in complete for key in trial.params}) < 2:
        return 'there is one parameter alone'
    values = sorted(trial.value for trial in complete)
    if study.direction.name == 'MAXIMIZE':
        values.reverse()
    if values[_best(len(values)) - 1] == values[-1]:
        return f'fewer than {_best(len(values))} trials are better than the worst'
    return None


def _best(count: int) -> int:
    """Count the best of some trials: a tenth, or a few where that is little."""
    return max(BEST, math.ceil(count / 10))


def _evaluator(count: int) -> Any:
    """Evaluator of importances, which tells the best of some trials from all."""
    evaluator = load_optuna().importance.PedAnovaImportanceEvaluator
    return evaluator(target_quantile=(_best(count) - 0.5) / count)


def _importances(study: Any, count: int) -> dict[str, float]:
    with _quiet():
        return load_optuna().importance.get_param_importances(
            study, evaluator=_evaluator(count)
        )


def _first_pair(names: Sequence[str], complete: Sequence[Any]) -> Any:
    """Find the first two of some parameters that span an area."""
    for pair in combinations(names, 2):
        both = [t.params for t in complete if all(key in t.params for key in pair)]
        if all(len({params[key] for params in both}) > 1 for key in pair):
            return pair
    return None


def _history(study: Any, metric: str) -> Any:
    """Optuna's history, with the pruned trials and those that gave one class alone."""
    show, states = load_optuna().visualization, load_optuna().trial.TrialState
    trials = study.get_trials(deepcopy=False)
    counts = Counter(trial.state.name.lower() for trial in trials)
    told = ', '.join(f'{count} {state}' for state, count in counts.items())
    draw = partial(show.plot_optimization_history, study, target_name=metric)
    figure = _titled(f'History: {told}', draw)
    ends = {trial.number: trial.value for trial in trials if trial.value is not None}
    pruned = {
        trial.number: trial.intermediate_values[max(trial.intermediate_values)]
        for trial in trials
        if trial.state == states.PRUNED and trial.intermediate_values
    }
    collapsed = {
        trial.number: value
        for trial in trials
        if trial.user_attrs.get('collapsed')
        and (value := (ends | pruned).get(trial.number)) is not None
    }
    for name, symbol, points in (
        ('pruned, last validation', 'circle-open', pruned),
        ('predicts one class alone', 'x-thin-open', collapsed),
    ):
        if points:
            figure.add_scatter(
                x=list(points),
                y=list(points.values()),
                name=name,
                mode='markers',
                marker={'symbol': symbol, 'size': 10, 'color': '#444444'},
            )
    return figure


def _importances_figure(study: Any, metric: str) -> Any:
    show, count = load_optuna().visualization, len(_complete(study))
    with _quiet():
        figure = show.plot_param_importances(
            study, evaluator=_evaluator(count), target_name=metric
        )
    title = f'Importances for {metric}: the best {_best(count)} of {count} trials'
    return figure.update_layout(title=title)


def _parallel(study: Any, metrics: Sequence[str]) -> Any:
    show = load_optuna().visualization
    if len(metrics) > 1:
        with _quiet():
            study.set_metric_names(list(metrics))
    figure = show.plot_parallel_coordinate(study, target_name=metrics[0])
    # Optuna has the title above the figure's edge.
    return figure.update_layout(title={'text': 'Parallel coordinates'})


def _learning_curves(study: Any, metric: str) -> Any:
    draw = partial(load_optuna().visualization.plot_intermediate_values, study)
    figure = _titled('Learning curves of the trials', draw)
    figure.update_yaxes(title=metric.removeprefix('best/'))
    return figure.update_xaxes(title='epoch or iteration')


@contextmanager
def _quiet() -> Iterator[None]:
    """Context without warnings of Optuna that no user can heed.

    They are that a condition has held in one trial alone, whose importance then is that
    of the others, and that names of metrics are an experiment.
    """
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)
        warnings.simplefilter('ignore', load_optuna().exceptions.ExperimentalWarning)
        yield


def _titled(title: str, draw: Callable[[], Any]) -> Any:
    return draw().update_layout(title=title)
