# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Studies of a report, while their searches run and after."""

import json
import os

import optuna
import pytest

from hpml_mm.experiments.owner import Owner
from hpml_mm.report.reading.studies import read_studies
from hpml_mm.utils.studies import open_storage

STATES = optuna.trial.TrialState


@pytest.fixture
def search(tmp_path):
    """A search with a trial of each state; the search of trial 3 is gone."""
    place = str(tmp_path / 'journal.log')
    study = optuna.create_study(
        storage=open_storage(place), study_name='search', direction='maximize'
    )
    study.set_metric_names(['accuracy/top1'])
    study.set_user_attr(
        'hpml_mm', {'sampler': 'tpe', 'space': 'long', 'at_most': {'params(M)': 2}}
    )
    for number in range(5):
        trial = study.ask()
        trial.suggest_float('lr', 0.001, 0.1, log=True)
        trial.report(10.0 * number, 2)
        if number in (3, 4):
            trial.set_user_attr('search', f'{number}.owner')
    study.tell(0, 50.0)
    study.tell(1, state=STATES.PRUNED)
    study._storage.set_trial_user_attr(
        study.trials[2]._trial_id, 'reason', 'loss is NaN'
    )
    study.tell(2, state=STATES.FAIL)
    (tmp_path / 'searches').mkdir()
    Owner.of(os.getpid()).write(tmp_path / 'searches' / '4.owner')
    return tmp_path


def read(folder, runs=None):
    problems = []
    found = read_studies(str(folder / 'journal.log'), runs or {}, problems)
    return found, problems


def test_the_state_of_each_trial(search):
    (study,), problems = read(search, {str(search / 'trials' / '0000'): 7})
    assert problems == []
    assert [trial.state for trial in study.trials] == [
        *('complete', 'pruned', 'failed', 'interrupted', 'running'),
    ]
    first, _, failed, gone, _ = study.trials
    assert (first.values, first.run, first.last) == ((50.0,), 7, (2, 0.0))
    assert (failed.reason, study.best) == ('loss is NaN', (0,))
    assert 'its process is gone' in gone.reason
    assert study.metrics == ('accuracy/top1',)
    assert study.directions == ('maximize',)
    assert study.settings == {'sampler': 'tpe', 'at most params(M)': '2'}
    assert study.repetitions == ()


def test_figures_are_json_and_missing_ones_have_a_reason(search):
    (study,), _ = read(search)
    assert 'history' in study.figures
    json.dumps(study.figures, allow_nan=False)
    assert 'importances' in study.missing_figures


def test_a_line_that_is_being_written_is_left_for_later(search):
    """Neither is it a problem, nor is the file of a search changed."""
    path = search / 'journal.log'
    with path.open('a') as file:
        file.write('{"op_code": 4, "wor')
    before = path.read_bytes()
    (study,), problems = read(search)
    assert (len(study.trials), problems) == (5, [])
    assert path.read_bytes() == before


def test_the_repetition_of_the_best(search):
    test = {'mean': 1.0, 'low': -1.0, 'high': 3.0, 'p': 0.2, 'n': 2}
    settings = [
        {
            'label': 'base',
            'trial': None,
            'searched': None,
            'values': [1, 3],
            'test': None,
            'p': None,
        },
        {
            'label': 'best1',
            'trial': 0,
            'searched': 50.0,
            'values': [2, 4],
            'test': test,
            'p': 0.4,
        },
    ]
    about = {'metric': 'accuracy/top1', 'verdict': 'told', 'command': 'hpml train x'}
    (search / 'search.json').write_text(json.dumps({**about, 'settings': settings}))
    (study,), problems = read(search)
    assert problems == []
    base, best = study.repetitions
    assert (base.mean, base.std, base.n, base.few) == (
        2,
        pytest.approx(2**0.5),
        2,
        True,
    )
    assert (best.difference, best.p, best.searched) == ((1, -1, 3), 0.4, 50)
    assert (study.verdict, study.command) == ('told', 'hpml train x')


@pytest.mark.parametrize('text', ['{"settings": [{}]}', '{"set', '[]'])
def test_a_damaged_repetition_is_a_problem(search, text):
    (search / 'search.json').write_text(text)
    (study,), (problem,) = read(search)
    assert study.repetitions == ()
    assert problem.place == str(search / 'search.json')


@pytest.mark.parametrize('name', ['journal.log', 'study.db'])
def test_what_is_no_storage_is_a_problem(tmp_path, name):
    path = tmp_path / name
    path.write_text('no\nstudy\nat all\n')
    place = f'sqlite:///{path}' if name.endswith('.db') else str(path)
    problems = []
    assert read_studies(place, {}, problems) == []
    (problem,) = problems
    assert problem.place == place


def test_a_study_in_sqlite(tmp_path):
    place = f'sqlite:///{tmp_path}/study.db'
    study = optuna.create_study(
        storage=place, study_name='two', directions=['maximize', 'minimize']
    )
    for values in ((1.0, 2.0), (2.0, 3.0), (0.5, 4.0)):
        study.tell(study.ask(), values)
    problems = []
    (found,) = read_studies(place, {}, problems)
    assert (problems, found.best, found.name) == ([], (0, 1), tmp_path.name)
    assert found.metrics == ('value 0', 'value 1')
