# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import optuna
import pytest
from toy_study import ACCURACY, LR, SPACE, summary
from toy_tools import DATA, TOY

from hpml_mm.config.overrides import read_config
from hpml_mm.experiments.search.repeat import (
    base_variant,
    best_trials,
    compare,
    repeated_rows,
    verdict,
    write_leaves,
)
from hpml_mm.experiments.search.study import Settings, direction_of
from hpml_mm.experiments.sweep import Run, Variant

SETTINGS = Settings(config=str(TOY), space='', metrics=(ACCURACY,))


@pytest.fixture(autouse=True)
def _toy_parts(monkeypatch):
    monkeypatch.syspath_prepend(DATA)


def study_of(*scores, directions=('maximize',), constraints=None):
    """Study with a trial for each score, whose learning rates are .001, .002, ..."""
    study = optuna.create_study(directions=directions)
    for number, score in enumerate(scores, 1):
        trial = study.ask()
        trial.suggest_float(LR, number / 1000, number / 1000)
        if constraints:
            trial.set_constraint('memory/peak(GiB)', constraints[number - 1])
        study.tell(trial, score)
    return study


def test_the_best_trials_come_first_and_each_setting_once():
    study = study_of(50, 70, 60)
    study.enqueue_trial({LR: 0.002})
    trial = study.ask()
    trial.suggest_float(LR, 0.002, 0.002)
    study.tell(trial, 65)
    assert [trial.number for trial in best_trials(study, 3)] == [1, 2, 0]
    down = study_of(50, 70, 60, directions=('minimize',))
    assert [trial.number for trial in best_trials(down, 2)] == [0, 2]


def test_trials_beyond_a_limit_are_left_out():
    study = study_of(50, 70, 60, constraints=(0, 0.1, -1))
    assert [trial.number for trial in best_trials(study, 3)] == [2, 0]


def test_of_two_metrics_the_front_is_repeated():
    study = study_of((50, 2), (60, 3), (40, 3), directions=('maximize', 'minimize'))
    assert [trial.number for trial in best_trials(study, 3)] == [1, 0]


def test_leaves_train_on_all_of_the_training_set(tmp_path):
    settings = Settings(
        config=str(TOY),
        space='',
        metrics=(ACCURACY,),
        options={'train_dataloader.batch_size': 2},
    )
    trials = best_trials(study_of(50, 70), 2)
    (first, second) = write_leaves(trials, settings, SPACE, tmp_path)
    assert (first.label, second.label) == ('trial0001', 'trial0000')
    cfg = read_config(first.config)
    assert cfg.optim_wrapper.optimizer.lr == 0.002
    assert cfg.train_dataloader.dataset.type == 'ToyPoints'
    assert 'pruning' not in cfg.default_hooks
    base = read_config(base_variant(settings, tmp_path).config)
    assert base.train_dataloader.batch_size == 2
    assert base.optim_wrapper.optimizer.lr == 0.1
    assert base_variant(SETTINGS, tmp_path).config == str(TOY)


def trainings(**scores):
    """Trainings of some variants, with their scores for seeds 1, 2, ..."""
    return [
        (Run(Variant(label, 'a.py'), seed, seeded=True), summary(score))
        for label, values in scores.items()
        for seed, score in enumerate(values, 1)
    ]


def test_settings_are_compared_seed_by_seed():
    trials = best_trials(study_of(50, 70, 60), 2)
    done = trainings(base=(50, 52, 51), trial0001=(53, 54, 55), trial0002=(51, 51, 51))
    found = compare(done[::-1], trials, ACCURACY)
    base, first, second = found
    assert base.values == (50, 52, 51)
    assert (first.trial, first.searched, first.values) == (1, 70, (53, 54, 55))
    # Differences 3, 2, 4: t = 3 / (1 / sqrt 3); two-sided with two degrees of freedom.
    assert first.test.mean == 3
    assert first.test.p == pytest.approx(0.035098, rel=1e-3)
    assert first.test.high - first.test.mean == pytest.approx(4.3027 / 3**0.5, rel=1e-3)
    # Differences 1, -1, 0 are nothing, and two tests were made.
    assert second.test.p == 1
    assert (first.p, second.p) == (pytest.approx(2 * 0.035098, rel=1e-3), 1)
    assert verdict(found, ACCURACY).startswith('not told apart from the config: +3 ')
    assert verdict(found[:2], ACCURACY, level=0.1).startswith('better than the config')
    assert 'few seeds' in verdict(found, ACCURACY)
    assert repeated_rows(found)[1][:5] == ('trial0001', '1', '70', '54', '1')


def test_one_seed_is_too_few_for_a_verdict():
    found = compare(
        trainings(base=(50,), trial0000=(60,)), best_trials(study_of(70), 1), ACCURACY
    )
    assert found[1].p is None
    assert 'too few' in verdict(found, ACCURACY)


@pytest.mark.parametrize(
    ('metric', 'direction'),
    [
        ('accuracy/top1', 'maximize'),
        ('best/coco/AP', 'maximize'),
        ('throughput(img/s)', 'maximize'),
        ('params(M)', 'minimize'),
        ('memory/peak(GiB)', 'minimize'),
        ('step_time/median(ms)', 'minimize'),
        ('NME', 'minimize'),
        ('step(GMACs)', 'minimize'),
        ('data_wait(%)', 'minimize'),
    ],
)
def test_directions(metric, direction):
    assert direction_of(metric) == direction
