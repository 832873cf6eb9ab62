# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Plots of studies that are made in memory, without a training."""

import numpy as np
import pytest

from hpml_mm.experiments.search.plots import (
    missing_figures,
    short_names,
    study_figures,
    write_plots,
)

optuna = pytest.importorskip('optuna')
pytest.importorskip('plotly')

pytestmark = pytest.mark.filterwarnings('ignore:.*set_metric_names')

UNIT = optuna.distributions.FloatDistribution(0, 1)
TYPE = optuna.distributions.CategoricalDistribution(['SGD', 'Adam'])
STATE = optuna.trial.TrialState
SIMPLE = 'history slices parallel'
ALL = f'{SIMPLE} importances contour'
LR, WD = 'optim_wrapper.optimizer.lr', 'optim_wrapper.optimizer.weight_decay'
KIND = 'optim_wrapper.optimizer.type'


def make_study(*metrics, directions=('maximize',)):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=directions)
    if metrics:
        study.set_metric_names(list(metrics))
    return study


def add(study, params, values=None, state=STATE.COMPLETE, **given):
    """Add a trial as ``hpml search`` would have left it."""
    trial = optuna.trial.create_trial(
        state=state,
        values=values,
        params=params,
        distributions={key: TYPE if key == KIND else UNIT for key in params},
        **given,
    )
    study.add_trial(trial)


def conditional_study():
    """A study where the weight decay of SGD alone decides."""
    study, rng = make_study('accuracy/top1'), np.random.default_rng(0)
    for number in range(40):
        lr, wd = rng.random(2)
        params = {KIND: 'SGD', LR: lr, WD: wd} if number % 2 else {KIND: 'Adam', LR: lr}
        add(study, params, [1 - wd if number % 2 else 0.3])
    return study


def bars(figure):
    return dict(zip(figure.data[0].y, figure.data[0].x, strict=True))


def test_names_are_as_short_as_they_tell_apart():
    keys = ['a.b.lr', 'lr', 'p.0.begin', 'p.1.begin', 'q.end']
    assert short_names(keys) == {
        'a.b.lr': 'b.lr',
        'lr': 'lr',
        'p.0.begin': '0.begin',
        'p.1.begin': '1.begin',
        'q.end': 'end',
    }


@pytest.mark.slow
def test_importances_count_a_parameter_with_a_condition():
    study = conditional_study()
    left_out = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.FanovaImportanceEvaluator(n_trees=4)
    )
    assert WD not in left_out
    found = bars(study_figures(study)['importances'])
    assert found.keys() == {'lr', 'type', 'weight_decay'}
    assert max(found, key=found.get) == 'weight_decay'
    assert sum(found.values()) == pytest.approx(1)


def test_importances_of_two_metrics_are_for_the_good_end_of_each():
    study = make_study(
        'accuracy/top1', 'params(M)', directions=('maximize', 'minimize')
    )
    rng = np.random.default_rng(0)
    for _ in range(60):
        top, bottom = rng.random(2)
        # `top` decides who is best, `bottom` who is worst, and for costs who is least.
        accuracy = 1 + top if top > 0.85 else -float(bottom < 0.15) * bottom
        add(study, {'top': top, 'bottom': bottom}, [accuracy, bottom])
    figures = study_figures(study)
    accuracy = bars(figures['importances-accuracy-top1'])
    cost = bars(figures['importances-params-M'])
    assert accuracy['top'] > 0.8
    assert cost['bottom'] > 0.8


def test_contour_is_of_parameters_that_occur_together():
    study, rng = make_study('accuracy/top1'), np.random.default_rng(0)
    for number in range(40):
        lr, own = rng.random(2)
        kind, key = ('SGD', 'only.sgd') if number % 2 else ('Adam', 'only.adam')
        add(study, {KIND: kind, LR: lr, key: own}, [own])
    figures = study_figures(study)
    two_best = sorted(bars(figures['importances']).items(), key=lambda one: -one[1])[:2]
    assert {name for name, _ in two_best} == {'sgd', 'adam'}
    layout = figures['contour'].layout
    assert {layout.xaxis.title.text, layout.yaxis.title.text} != {'sgd', 'adam'}
    assert len(figures['contour'].data[1].x) > 0


def test_history_marks_pruned_and_collapsed_trials():
    study = make_study('accuracy/top1')
    add(study, {'lr': 0.1}, [0.5], user_attrs={'collapsed': False})
    add(study, {'lr': 0.9}, [0.2], user_attrs={'collapsed': True})
    pruned = {'state': STATE.PRUNED, 'intermediate_values': {1: 0.1, 2: 0.25}}
    add(study, {'lr': 0.8}, user_attrs={'collapsed': True}, **pruned)
    add(study, {'lr': 0.2}, user_attrs={'collapsed': None}, **pruned)
    add(study, {'lr': 0.3}, state=STATE.FAIL, user_attrs={'reason': 'exit code 1'})
    study.ask()
    figure = study_figures(study)['history']
    points = {one.name: (tuple(one.x), tuple(one.y)) for one in figure.data}
    assert points['accuracy/top1'] == ((0, 1), (0.5, 0.2))
    assert points['pruned, last validation'] == ((2, 3), (0.25, 0.25))
    assert points['predicts one class alone'] == ((1, 2), (0.2, 0.25))
    assert figure.layout.title.text == (
        'History: 2 complete, 2 pruned, 1 fail, 1 running'
    )


def test_learning_curves_are_those_of_all_trials():
    study = make_study('best/accuracy/top1')
    add(study, {'lr': 0.1}, [0.5], intermediate_values={1: 0.2, 2: 0.5})
    add(study, {'lr': 0.8}, state=STATE.PRUNED, intermediate_values={1: 0.1})
    figure = study_figures(study)['learning-curves']
    assert [tuple(one.y) for one in figure.data] == [(0.2, 0.5), (0.1,)]
    assert figure.layout.yaxis.title.text == 'accuracy/top1'


def test_pareto_front_of_two_metrics_leaves_out_what_exceeds_a_limit():
    study = make_study(
        'accuracy/top1', 'params(M)', directions=('maximize', 'minimize')
    )
    for values, excess in (
        ((0.5, 1.0), -1.0),
        ((0.4, 2.0), -1.0),
        ((0.6, 2.0), -1.0),
        ((0.9, 0.5), 0.5),
    ):
        limit = {'memory/peak(GiB)': excess}
        add(study, {'width': values[1] / 4}, list(values), constraints=limit)
    figure = study_figures(study)['pareto']
    best = [one for one in figure.data if 'Best' in one.hovertemplate]
    assert [set(zip(one.x, one.y, strict=True)) for one in best] == [
        {(0.5, 1.0), (0.6, 2.0)}
    ]
    assert 'pareto' not in study_figures(conditional_study())


@pytest.mark.parametrize(
    ('count', 'keys', 'value', 'given', 'lacking', 'reason'),
    [
        (0, 'lr', float, '', 'history', '0 of at least 1'),
        (1, 'lr', float, 'history', 'slices', '1 of at least 2'),
        (2, 'lr', lambda _: float('inf'), '', 'parallel', '0 of at least 2'),
        (9, 'lr wd', float, SIMPLE, 'importances', '9 of at least 10'),
        (20, 'lr', float, SIMPLE, 'contour', 'one parameter'),
        (20, 'lr wd', lambda n: float(n == 7), SIMPLE, 'contour', 'than the worst'),
        (10, 'lr wd', lambda n: float(n > 4), ALL, 'learning-curves', 'validated'),
        (2, '', float, '', 'slices', 'no trial has a parameter'),
    ],
)
def test_what_a_study_cannot_give_has_a_reason(
    count, keys, value, given, lacking, reason
):
    study = make_study('accuracy/top1')
    for number in range(count):
        add(study, dict.fromkeys(keys.split(), number / 20), [value(number)])
    figures, missing = study_figures(study), missing_figures(study)
    assert figures.keys() == set(given.split())
    assert missing.keys() == {*ALL.split(), 'learning-curves'} - figures.keys()
    assert reason in missing[lacking]


@pytest.mark.slow
def test_pages_stand_alone_beside_one_script(tmp_path):
    study = conditional_study()
    write_plots(study, tmp_path)
    pages = {path.stem for path in tmp_path.glob('*.html')}
    assert pages == study_figures(study).keys()
    script = tmp_path / 'plotly.min.js'
    whole = script.stat().st_size
    text = (tmp_path / 'history.html').read_text()
    assert 'src="plotly.min.js"' in text
    assert '<script src="http' not in text
    script.write_text('cut off')
    add(study, {KIND: 'Adam', LR: 0.1}, [0.3])
    write_plots(study, tmp_path)
    assert script.stat().st_size == whole
    assert '41 complete' in (tmp_path / 'history.html').read_text()
