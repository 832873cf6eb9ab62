# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json

import optuna
import pytest
from toy_tools import toy_runner

from hpml_mm.engine.hooks import PruningHook, SummaryHook
from hpml_mm.utils.studies import open_storage

METRIC = 'accuracy/top1'


class Threshold(optuna.pruners.BasePruner):
    """Prunes what has been reported twice and is below a limit."""

    def prune(self, study, trial):
        values = trial.intermediate_values
        return len(values) >= 2 and values[max(values)] < 101


@pytest.fixture
def study(tmp_path, monkeypatch):
    place = str(tmp_path / 'journal.log')
    made = optuna.create_study(
        storage=open_storage(place), study_name='search', direction='maximize'
    )
    monkeypatch.setattr(
        'hpml_mm.engine.hooks.pruning_hook.make_pruner', lambda name, steps: Threshold()
    )
    made.ask()
    return made


def train(tmp_path, study, epochs, **settings):
    place = str(tmp_path / 'journal.log')
    values = {'storage': place, 'study': 'search', 'trial': 0, 'metric': METRIC}
    runner = toy_runner(
        tmp_path / 'run',
        train_cfg={'by_epoch': True, 'max_epochs': epochs, 'val_interval': 1},
        param_scheduler=None,
        custom_hooks=[],
    )
    hook = PruningHook(**{**values, **settings})
    runner.register_hook(hook)
    runner.register_hook(SummaryHook())
    runner.train()
    return runner, hook


def test_each_validation_is_reported_and_a_poor_training_ends(tmp_path, study):
    runner, hook = train(tmp_path, study, epochs=4)
    assert (runner.epoch, hook.pruned_at) == (2, 2)
    summary = json.loads((tmp_path / 'run/summary.json').read_text())
    assert summary['status'] == 'pruned'
    (trial,) = study.trials
    assert sorted(trial.intermediate_values) == [1, 2]
    assert trial.intermediate_values[2] == pytest.approx(summary['metrics'][METRIC])


def test_without_a_pruner_it_reports_alone(tmp_path, study, monkeypatch):
    monkeypatch.undo()
    runner, hook = train(tmp_path, study, epochs=3)
    assert (runner.epoch, hook.pruned_at) == (3, None)
    summary = json.loads((tmp_path / 'run/summary.json').read_text())
    assert summary['status'] == 'finished'
    assert sorted(study.trials[0].intermediate_values) == [1, 2, 3]


def test_the_pruner_is_the_one_that_was_asked_for(tmp_path, study, monkeypatch):
    monkeypatch.undo()
    _, hook = train(tmp_path, study, epochs=4, pruner='hyperband')
    pruner = hook._trial.study.pruner
    assert isinstance(pruner, optuna.pruners.HyperbandPruner)
    assert pruner._max_resource == 4


def test_what_was_reported_before_a_resume_stays(tmp_path, study):
    trial = optuna.trial.Trial(study, study.trials[0]._trial_id)
    trial.report(5.0, 1)
    train(tmp_path, study, epochs=1)
    assert study.trials[0].intermediate_values == {1: 5.0}


def test_a_metric_that_no_validation_gives_is_told(tmp_path, study):
    with pytest.raises(ValueError, match="'accuracy/top5'.*accuracy/top1"):
        train(tmp_path, study, epochs=1, metric='accuracy/top5')
