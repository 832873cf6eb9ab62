# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import io
import json

import pytest
from rich.console import Console

from hpml_mm.experiments.runs import (
    check_same_environment,
    finished_summary,
    metric_of,
    print_table,
    read_runs,
    refuse_mixed,
    short_rows,
    summary_rows,
    summary_value,
)

SUMMARY = {
    'status': 'finished',
    'mode': 'train',
    'train': {'wall_time(s)': 9.5},
    'metrics': {'accuracy/top1': 61.2345},
    'best': {'accuracy/top1': 62.0},
    'measurements': {
        'throughput(img/s)': 1234.5,
        'data_wait(%)': 3.21,
        'memory/peak(GiB)': None,
        'verdict': 'compute-bound',
    },
}
ENVIRONMENT = {'commit': 'c', 'dirty': False, 'device': 'a CPU', 'torch': '2'}


def written(folder, **content):
    folder.mkdir()
    (folder / 'summary.json').write_text(json.dumps({**SUMMARY, **content}))
    return folder


def test_a_run_is_a_directory_or_its_summary(tmp_path):
    one = written(tmp_path / 'a', seed=1)
    two = written(tmp_path / 'b', seed=2)
    runs = read_runs([one, two / 'summary.json'])
    assert {n: r['seed'] for n, r in runs.items()} == {str(one): 1, str(two): 2}
    with pytest.raises(ValueError, match='a is given twice'):
        read_runs([one, one / 'summary.json'])


def test_a_place_without_a_summary_is_named(tmp_path):
    (tmp_path / 'seed0.json').write_text('{}')
    for place in (tmp_path, tmp_path / 'seed0.json', tmp_path / 'gone'):
        with pytest.raises(FileNotFoundError, match=f'{place} is no work directory'):
            read_runs([place])
    assert finished_summary(tmp_path / 'summary.json') is None


@pytest.mark.parametrize('state', [{'status': 'interrupted'}, {'mode': 'test'}])
def test_only_finished_trainings_count(tmp_path, state):
    folder = written(tmp_path / 'a', **state)
    with pytest.raises(ValueError, match=r'a/summary\.json'):
        read_runs([folder])


def test_settings_are_found_by_their_dotted_key():
    summary = {'train': {'epochs': 3}, 'seed': None}
    assert summary_value(summary, 'train.epochs') == 3
    assert summary_value(summary, 'train.epochs.deeper') is None
    assert summary_value(summary, 'seed.deeper') is None


def test_those_that_differ_from_the_first_are_named():
    refuse_mixed({}, 'torch')
    refuse_mixed({'a': 1, 'b': 1}, 'torch')
    with pytest.raises(ValueError, match='a 1 differs in x from c 2, d 3: mend it'):
        refuse_mixed({'a': 1, 'b': 1, 'c': 2, 'd': 3}, 'x', 'mend it')
    with pytest.raises(ValueError, match='a differs in model from b: '):
        refuse_mixed({'a': {'x': 1}, 'b': {'x': 2}}, 'model')


@pytest.mark.parametrize('key', ENVIRONMENT)
def test_other_code_pytorch_or_devices_are_another_environment(key):
    check_same_environment({'a': {**ENVIRONMENT, 'date': 1}, 'b': ENVIRONMENT})
    other = {**ENVIRONMENT, key: 'other'}
    with pytest.raises(ValueError, match=f'a .* differs in {key} from b other: '):
        check_same_environment({'a': ENVIRONMENT, 'b': other})


@pytest.mark.parametrize(
    ('metric', 'value'),
    [
        ('data_wait(%)', 3.21),
        ('accuracy/top1', 61.2345),
        ('best/accuracy/top1', 62.0),
        ('wall_time(s)', 9.5),
    ],
)
def test_metrics_come_from_all_parts_of_a_summary(metric, value):
    assert metric_of(SUMMARY, metric) == value


@pytest.mark.parametrize('metric', ['memory/peak(GiB)', 'unheard', 'best/loss'])
def test_a_metric_without_a_number_is_an_error_that_lists_the_others(metric):
    with pytest.raises(ValueError, match='best/accuracy/top1'):
        metric_of(SUMMARY, metric)


def test_a_training_shows_accuracy_speed_wait_and_memory():
    rows = summary_rows(SUMMARY)
    assert rows == [
        ('status', 'finished'),
        ('accuracy/top1', '61.23'),
        ('best accuracy/top1', '62.00'),
        ('images/s', '1,234'),
        ('data wait', '3.2 %'),
        ('peak memory', 'unknown'),
        ('verdict', 'compute-bound'),
    ]
    assert summary_rows({**SUMMARY, 'mode': 'test', 'best': {}}) == rows[:2]
    out = io.StringIO()
    print_table('toy', rows, Console(file=out, width=60))
    assert all(name in out.getvalue() for name, _ in [('toy', ''), *rows])


@pytest.mark.parametrize(
    ('metric', 'value', 'shown'),
    [
        ('coco/AP', 0.69347, '0.6935'),
        ('best/coco/AP', 0.7, '0.7000'),
        ('PCK@0.05/L_Eye', 0.98765, '0.9877'),
        ('AUC', 0.5, '0.5000'),
        ('PublicTest/accuracy/top1', 61.2345, '61.23'),
        ('bbox_mAP', 0.38125, '0.3812'),  # no unit is known
        ('PCK', 88.12345, '88.12'),
        ('loss', 1.0, '1'),
    ],
)
def test_scores_have_the_digits_of_their_scale(metric, value, shown):
    rows = dict(summary_rows({'mode': 'test', 'metrics': {metric: value}}))
    assert rows[metric] == shown


def test_what_never_ran_is_unknown():
    rows = summary_rows({'status': 'failed'})
    names = ('images/s', 'data wait', 'peak memory')
    assert rows == [('status', 'failed'), *((name, 'unknown') for name in names)]


def test_a_short_training_says_why_it_has_no_rate():
    measured = {'throughput(img/s)': None, 'throughput/reason': 'all of it is warm-up'}
    summary = {'status': 'finished', 'measurements': measured}
    with pytest.raises(ValueError, match='all of it is warm-up'):
        metric_of(summary, 'throughput(img/s)')
    rows = summary_rows(summary)
    assert rows[1:3] == [
        ('images/s', 'unknown: all of it is warm-up'),
        ('data wait', 'unknown'),
    ]


def test_short_rows_fold_what_there_is_for_each_class():
    recalls = {'recall/a': 50.0, 'recall/b': 75.5, 'recall/c': 60.0, 'recall/d': 70.0}
    same = {f'PCK@0.2/{name}': 0.5 for name in 'abcd'}
    aps = {f'coco/AP{end}': 0.3 for end in ('', ' .5', ' .75', ' (M)')}
    few = {'f1-score/macro': 61.0, 'f1-score/micro': 62.0, 'PCK@0.2': 0.5}
    summary = {
        'status': 'finished',
        'metrics': {**recalls, **same, **aps, **few},
        'best': {'coco/AP': 0.3},
        'measurements': {'verdict': 'compute-bound'},
    }
    rows = dict(short_rows(summary))
    assert rows['recall/*'] == '50.00 (a) to 75.50 (b)'
    assert rows['PCK@0.2/*'] == '0.5000 each of 4'
    assert 'verdict' not in rows
    assert {*aps, *few} < {*rows}
    assert not {*recalls, *same} & {*rows}
