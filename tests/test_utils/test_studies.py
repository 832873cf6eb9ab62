# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import multiprocessing
import os
import signal

import optuna
import pytest

from hpml_mm.utils.studies import open_storage


def add_trials(place, count, gone=None):
    """Add trials to a study, and die amid the work if told to."""
    study = optuna.load_study(study_name='a', storage=open_storage(place))
    for number in range(count):
        trial = study.ask()
        study.tell(trial, trial.suggest_float('x', 0, 1))
        if number == gone:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def place(tmp_path):
    return str(tmp_path / 'folder' / 'journal.log')


def values(place):
    study = optuna.load_study(study_name='a', storage=open_storage(place))
    return [trial.value for trial in study.trials]


def test_a_line_cut_off_is_taken_away_and_the_rest_stays(place):
    optuna.create_study(storage=open_storage(place), study_name='a')
    add_trials(place, 2)
    before = values(place)
    with open(place, 'a') as file:
        file.write('{"op_code":5,"trial_id"')
    assert values(place) == before
    add_trials(place, 1)
    assert values(place)[:2] == before
    assert len(values(place)) == 3


@pytest.mark.slow
def test_processes_write_side_by_side_and_one_may_be_killed(place):
    optuna.create_study(storage=open_storage(place), study_name='a')
    context = multiprocessing.get_context('fork')
    processes = [
        context.Process(target=add_trials, args=(place, 5, gone))
        for gone in (None, 2, None)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, -signal.SIGKILL, 0]
    found = values(place)
    assert len(found) == 13
    assert None not in found


def test_a_writer_that_is_gone_keeps_nobody_waiting(place):
    """Its lock is one of the system, which ends with it."""
    optuna.create_study(storage=open_storage(place), study_name='a')
    context = multiprocessing.get_context('fork')

    def hold():
        storage = open_storage(place)
        storage._backend._lock.acquire()
        os.kill(os.getpid(), signal.SIGKILL)

    process = context.Process(target=hold)
    process.start()
    process.join()
    add_trials(place, 1)
    assert len(values(place)) == 1


@pytest.mark.slow
def test_a_database_is_named_by_its_url(tmp_path):
    place = f'sqlite:///{tmp_path}/folder/study.db'
    optuna.create_study(storage=open_storage(place), study_name='a')
    add_trials(place, 1)
    assert len(values(place)) == 1


@pytest.mark.parametrize('place', ['toy://me:secret@host/a', 'sqlite:///{}/folder'])
def test_a_database_that_cannot_be_opened_is_told_without_its_password(tmp_path, place):
    (tmp_path / 'folder').mkdir()
    with pytest.raises(ValueError, match=place.partition(':')[0]) as caught:
        open_storage(place.format(tmp_path))
    assert 'secret' not in str(caught.value)
