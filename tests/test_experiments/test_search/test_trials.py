# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json

import optuna
import pytest
from toy_study import ACCURACY, LR, ToyExecutor, summary, toy_trials
from toy_tools import DATA

from hpml_mm.config.overrides import read_config
from hpml_mm.experiments.owner import Owner
from hpml_mm.experiments.records import prepare
from hpml_mm.experiments.search.space import Parameter, Space
from hpml_mm.experiments.search.trials import STARTS, collapsed


@pytest.fixture(autouse=True)
def _toy_parts(monkeypatch):
    monkeypatch.syspath_prepend(DATA)
    for name in ('_POLL_SECONDS', '_WAIT_SECONDS'):
        monkeypatch.setattr(f'hpml_mm.experiments.search.trials.{name}', 0)


def states(trials):
    return [trial.state.name for trial in trials.study.trials]


def run(trials, count):
    return [(end.number, end.state) for end in trials.run(count)]


def test_each_trial_is_a_training_of_its_own_on_a_part_of_the_data(tmp_path):
    outcomes = [summary(40.0), summary(60.0), summary(50.0)]
    executor = ToyExecutor(outcomes)
    trials = toy_trials(tmp_path, executor, seed=7)
    assert run(trials, 3) == [(0, 'complete'), (1, 'complete'), (2, 'complete')]
    assert [trial.value for trial in trials.study.trials] == [40, 60, 50]
    assert trials.study.best_trial.number == 1
    job = executor.started[1]
    assert job.command == [
        *('train', f'{job.directory}.py', '--seed', '7'),
        *('--work-dir', str(tmp_path / 'trials/0001'), '--resume'),
    ]
    cfg = read_config(f'{job.directory}.py')
    assert cfg.optim_wrapper.optimizer.lr == trials.study.trials[1].params[LR]
    assert cfg.val_dataloader.dataset.part == 'held-out'
    assert cfg.train_dataloader.dataset.part == 'rest'
    assert cfg.default_hooks.pruning.trial == 1
    # A search that is run again has nothing to do.
    assert run(toy_trials(tmp_path, executor, seed=7), 3) == []
    assert len(executor.started) == 3


def test_a_failed_training_keeps_its_reason_and_the_others_go_on(tmp_path):
    trials = toy_trials(tmp_path, ToyExecutor([2, summary()]))
    assert run(trials, 2) == [(0, 'failed'), (1, 'complete')]
    failed = trials.study.trials[0]
    assert failed.state.name == 'FAIL'
    assert failed.user_attrs['reason'] == 'ValueError: what went wrong'


def test_a_training_without_the_metric_has_failed(tmp_path):
    outcome = summary(metrics={'loss': 1.0})
    trials = toy_trials(tmp_path, ToyExecutor([outcome]))
    assert run(trials, 1) == [(0, 'failed')]
    assert ACCURACY in trials.study.trials[0].user_attrs['reason']


def test_a_pruned_training_is_a_pruned_trial(tmp_path):
    trials = toy_trials(tmp_path, ToyExecutor([summary(status='pruned')]))
    assert run(trials, 1) == [(0, 'pruned')]
    assert states(trials) == ['PRUNED']


def test_a_training_that_is_killed_goes_on_but_not_for_ever(tmp_path):
    executor = ToyExecutor([-9, summary(), -9])
    trials = toy_trials(tmp_path, executor)
    assert run(trials, 2) == [(0, 'complete'), (1, 'failed')]
    numbers = [int(job.directory.name) for job in executor.started]
    assert numbers == [0, 0, *[1] * STARTS]
    first, second = trials.study.trials
    assert len(first.user_attrs['losses']) == 1
    assert 'killed by signal 9' in first.user_attrs['losses'][0]
    assert 'killed by signal 9' in second.user_attrs['reason']


def leave(trials, owner):
    """Leave a trial as a search does that is killed while it runs."""
    trial = trials.study.ask()
    trial.suggest_float(LR, 0.001, 0.1, log=True)
    trial.set_user_attr('search', 'lost.owner')
    job = trials.job(trial.number)
    owner.write(trials.out / 'searches/lost.owner')
    job.directory.parent.mkdir(exist_ok=True)
    job.directory.with_suffix('.py').write_text(f"_base_ = '{DATA}/toy_2e.py'\n")
    prepare(job)
    owner.write(job.owner)
    return job


def test_the_trial_of_a_search_that_is_gone_goes_on(tmp_path):
    executor = ToyExecutor()
    trials = toy_trials(tmp_path, executor)
    gone = Owner(Owner.of(1).host, 999_999_999, None)
    job = leave(trials, gone)
    assert run(trials, 2) == [(0, 'complete'), (1, 'complete')]
    assert executor.started[0] == job
    assert '999999999' in trials.study.trials[0].user_attrs['losses'][0]


def test_the_trial_of_a_search_that_ended_after_it_is_told(tmp_path):
    executor = ToyExecutor()
    trials = toy_trials(tmp_path, executor)
    job = leave(trials, Owner(Owner.of(1).host, 999_999_999, None))
    job.directory.mkdir()
    (job.directory / 'summary.json').write_text(json.dumps(summary(70.0)))
    assert run(trials, 1) == [(0, 'complete')]
    assert executor.started == []
    assert trials.study.trials[0].value == 70


def test_the_trial_of_a_search_that_lives_is_left_to_it(tmp_path):
    executor = ToyExecutor()
    trials = toy_trials(tmp_path, executor)
    leave(trials, Owner.of(1))  # a process that lives as long as the machine
    ends = trials.run(2)
    assert next(ends).number == 1
    assert states(trials) == ['RUNNING', 'COMPLETE']
    # The other search tells the end of its own trial, for which this one waits.
    trials.study.tell(0, 55.0)
    assert list(ends) == []
    assert len(executor.started) == 1


def test_a_trial_that_was_chosen_and_not_begun_has_failed(tmp_path):
    trials = toy_trials(tmp_path)
    trials.study.ask()
    assert run(trials, 2) == [(0, 'failed'), (1, 'complete')]
    assert 'before it began' in trials.study.trials[0].user_attrs['reason']


def test_limits_are_constraints_of_a_trial(tmp_path):
    trials = toy_trials(tmp_path, at_most={'params(M)': 1.5})
    run(trials, 1)
    (trial,) = trials.study.trials
    assert trial.constraints == {'params(M)': 0.5}


def test_two_metrics_make_a_front_and_are_not_reported_on_the_way(tmp_path):
    outcomes = [
        summary(score, measurements={'params(M)': size})
        for score, size in ((50, 2), (60, 3), (40, 3))
    ]
    trials = toy_trials(
        tmp_path, ToyExecutor(outcomes), metrics=(ACCURACY, 'params(M)')
    )
    run(trials, 3)
    assert {t.number for t in trials.study.best_trials} == {0, 1}
    cfg = read_config(str(tmp_path / 'trials/0000.py'))
    assert 'pruning' not in cfg.default_hooks


def test_two_metrics_cannot_be_pruned(tmp_path):
    with pytest.raises(ValueError, match='--pruner median'):
        toy_trials(tmp_path, metrics=(ACCURACY, 'params(M)'), pruner='median')


@pytest.mark.slow
@pytest.mark.parametrize(
    ('sampler', 'storage'),
    [('random', 'journal.log'), ('qmc', 'journal.log'), ('tpe', 'sqlite:///{}/s.db')],
)
def test_samplers_and_storages(tmp_path, sampler, storage):
    place = storage.format(tmp_path) if '://' in storage else str(tmp_path / storage)
    trials = toy_trials(tmp_path, storage=place, sampler=sampler)
    assert run(trials, 2) == [(0, 'complete'), (1, 'complete')]
    held = optuna.load_study(study_name='search', storage=trials.study._storage)
    assert len(held.trials) == 2


def test_searches_draw_no_point_twice(tmp_path):
    for sampler in ('random', 'tpe'):
        out = tmp_path / sampler
        run(toy_trials(out, sampler=sampler), 2)
        trials = toy_trials(out, sampler=sampler)
        run(trials, 4)
        assert len({trial.params[LR] for trial in trials.study.trials}) == 4


def test_an_even_sequence_draws_parameters_with_a_condition_anew(tmp_path):
    decay = 'optim_wrapper.optimizer.weight_decay'
    choices = {label: {'type': 'SGD', 'lr': 0.1} for label in 'ab'}
    optimizer = Parameter('optim_wrapper.optimizer', 'choice', choices=choices)
    other = Parameter(decay, 'float', 0.1, 0.9, when={optimizer.key: ('a',)})
    trials = toy_trials(tmp_path, sampler='qmc', space=Space((optimizer, other)))
    run(trials, 8)
    drawn = [t.params[decay] for t in trials.study.trials if decay in t.params]
    assert len(set(drawn)) == len(drawn) > 1


def test_a_grid_ends_when_all_its_points_are_tried(tmp_path):
    space = Space((Parameter(LR, 'choice', choices={0.1: 0.1, 0.2: 0.2}),))
    trials = toy_trials(tmp_path, sampler='grid', space=space)
    assert run(trials, 5) == [(0, 'complete'), (1, 'complete')]
    assert {trial.params[LR] for trial in trials.study.trials} == {0.1, 0.2}


def test_a_grid_refuses_what_has_no_end(tmp_path):
    with pytest.raises(ValueError, match=LR):
        toy_trials(tmp_path, sampler='grid')


def test_a_study_of_other_settings_is_refused(tmp_path):
    toy_trials(tmp_path)
    toy_trials(tmp_path, sampler='random')  # searches of one study may differ in that
    with pytest.raises(ValueError, match='seed=0.*1'):
        toy_trials(tmp_path, seed=1)


@pytest.mark.slow
def test_sqlite_is_for_one_machine(tmp_path, monkeypatch):
    place = f'sqlite:///{tmp_path}/study.db'
    toy_trials(tmp_path, storage=place)
    monkeypatch.setattr('socket.gethostname', lambda: 'other')
    with pytest.raises(ValueError, match='SQLite is for one machine'):
        toy_trials(tmp_path, storage=place)


@pytest.mark.parametrize(
    ('metrics', 'expected'),
    [
        ({'recall/a': 0.0, 'recall/b': 100.0}, True),
        ({'recall/a': 1.0, 'recall/b': 99.0}, False),
        ({'val/recall/a': 0.0, 'val/recall/b': 3.0}, True),
        ({'accuracy/top1': 10.0}, None),
        ({'recall/a': None, 'recall/b': 1.0}, None),
    ],
)
def test_a_classifier_of_one_class_has_collapsed(metrics, expected):
    assert collapsed({'metrics': metrics}) is expected
