# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json

import pytest

from hpml_mm.experiments.runs import read_runs, refuse_mixed, setting_of


def finished(folder, **content):
    folder.mkdir()
    record = {'status': 'finished', 'mode': 'train', **content}
    (folder / 'summary.json').write_text(json.dumps(record))
    return folder


def test_a_run_is_a_directory_or_its_summary(tmp_path):
    one = finished(tmp_path / 'a', seed=1)
    two = finished(tmp_path / 'b', seed=2)
    runs = read_runs([one, two / 'summary.json'])
    assert {name: run['seed'] for name, run in runs.items()} == {
        str(one): 1,
        str(two): 2,
    }


def test_a_place_without_a_summary_is_named(tmp_path):
    (tmp_path / 'seed0.json').write_text('{}')
    for place in (tmp_path, tmp_path / 'seed0.json', tmp_path / 'gone'):
        with pytest.raises(FileNotFoundError, match=f'{place} is no work directory'):
            read_runs([place])


@pytest.mark.parametrize('state', [{'status': 'interrupted'}, {'mode': 'test'}])
def test_only_finished_trainings_count(tmp_path, state):
    folder = finished(tmp_path / 'a', **state)
    with pytest.raises(
        ValueError, match='a/summary.json tells of no finished training'
    ):
        read_runs([folder])


def test_a_run_counts_once(tmp_path):
    folder = finished(tmp_path / 'a')
    with pytest.raises(ValueError, match='a is given twice'):
        read_runs([folder, folder / 'summary.json'])


def test_settings_are_found_by_their_dotted_key():
    summary = {'train': {'epochs': 3}, 'seed': None}
    assert setting_of(summary, 'train.epochs') == 3
    assert setting_of(summary, 'train.epochs.deeper') is None
    assert setting_of(summary, 'seed.deeper') is None


def test_those_that_differ_from_the_first_are_named():
    refuse_mixed({}, 'torch')
    refuse_mixed({'a': 1, 'b': 1}, 'torch')
    with pytest.raises(ValueError, match='differ in torch: a 1, but c 2, d 3; compare'):
        refuse_mixed({'a': 1, 'b': 1, 'c': 2, 'd': 3}, 'torch')
    with pytest.raises(ValueError, match='differ in model: a, but b; compare'):
        refuse_mixed({'a': {'x': 1}, 'b': {'x': 2}}, 'model')
