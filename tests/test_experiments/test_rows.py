# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import dataclasses

import pytest

from hpml_mm.experiments.rows import (
    RESULT_COLUMNS,
    ResultRow,
    append_results,
    read_results,
    unit_of,
    write_results,
)
from hpml_mm.utils.files import locked

ROW = ResultRow(
    experiment='amp/bf16',
    metric='throughput(img/s)',
    unit='img/s',
    value=30.0,
    spread=1.5,
    n=5,
    baseline=20.0,
    command='hpml sweep --name "a, b"',
    commit='abc1234',
    device='some CPU, 2 cores',
    torch='2.12.1',
    date='2026-01-02',
)


def replace(**changes) -> ResultRow:
    return dataclasses.replace(ROW, **changes)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'spread': None}, 'n=5 and spread=None'),
        ({'n': 1}, 'one run has none'),
        ({'n': 0, 'spread': None}, 'counts runs, from 1'),
        ({'value': float('nan')}, 'value of amp/bf16 is nan'),
        ({'baseline': 0.0}, 'baseline of 0'),
        ({'command': ''}, 'needs command'),
    ],
)
def test_a_row_that_tells_too_little_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(**changes)


def test_rows_survive_the_file(tmp_path):
    path = tmp_path / 'deep' / 'a.csv'
    single = replace(experiment='amp/fp32', n=1, spread=None, baseline=None)
    write_results(path, [ROW, single])
    header, first, _ = path.read_text().splitlines()
    assert header == (
        'experiment,metric,unit,value,spread,n,baseline,ratio,command,commit,device,'
        'torch,date'
    )
    assert header == ','.join(RESULT_COLUMNS)
    assert first == (
        'amp/bf16,throughput(img/s),img/s,30,1.5,5,20,1.5,'
        '"hpml sweep --name ""a, b""",abc1234,"some CPU, 2 cores",2.12.1,'
        '2026-01-02'
    )
    assert read_results(path) == [ROW, single]


def test_appending_replaces_what_was_measured_again(tmp_path):
    path = tmp_path / 'a.csv'
    other = replace(metric='memory/peak(GiB)', unit='GiB')
    append_results(path, [ROW, other])
    again = replace(value=40.0, commit='def5678', date='2026-01-03')
    elsewhere = replace(device='another CPU')
    append_results(path, [again, elsewhere])
    assert read_results(path) == [other, again, elsewhere]


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('spread,n,', 'n,', 'the columns are'),
        (',30,', ',many,', "a.csv:2: .*'many'"),
        (',5,20', ',,20', 'a.csv:2: '),
        (',20,1.5,', ',20,1.6,', "a.csv:2: ratio '1.6' is not .* = 1.5"),
        (',20,1.5,', ',20,,', "a.csv:2: ratio '' is not .* = 1.5"),
    ],
)
def test_a_damaged_file_names_file_and_row(tmp_path, old, new, message):
    path = tmp_path / 'a.csv'
    write_results(path, [ROW])
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_results(path)


def test_a_full_disk_leaves_the_old_rows(tmp_path, monkeypatch):
    path = tmp_path / 'a.csv'
    append_results(path, [ROW])
    before = path.read_text()

    def full(*args, **kwargs):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('hpml_mm.utils.files.os.replace', full)
    with pytest.raises(OSError, match='the disk is full'):
        append_results(path, [replace(experiment='amp/fp16')])
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ['a.csv']


@pytest.mark.parametrize(
    ('unit', 'metrics'),
    [
        ('img/s', ['throughput(img/s)']),
        ('ms', ['step_time/median(ms)']),
        ('%', ['mfu(%)', 'accuracy/top1', 'best/accuracy/top1', 'recall/Happy']),
        ('%', ['PublicTest/f1-score/macro', 'best/PrivateTest/precision/macro']),
        ('%', ['single-label/precision', 'mIoU', 'IoU/cat', 'best/coco_panoptic/PQ']),
        ('1', ['PCK@0.2/L_Eye', 'best/PCK@0.05', 'AUC', 'iters', 'step_time/n']),
        ('1', ['coco/AP', 'coco/AP (M)', 'best/coco/AP', 'best/heatmap/PCK']),
        ('1', ['epochs', 'epochs to coco/AP .1', 'epochs to accuracy/top1 60']),
    ],
)
def test_the_unit_is_in_the_name_or_known(unit, metrics):
    assert [unit_of(metric) for metric in metrics] == [unit] * len(metrics)


@pytest.mark.parametrize('metric', ['loss', 'PCK', 'best/loss', 'step_time/m'])
def test_a_unit_is_not_guessed(metric):
    with pytest.raises(ValueError, match=f"'{metric}'"):
        unit_of(metric)


def test_a_file_that_another_process_keeps_locked_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr('hpml_mm.experiments.rows._LOCK_SECONDS', 0.1)
    with locked(tmp_path / 'a.csv'), pytest.raises(OSError, match=r'a\.csv has been'):
        append_results(tmp_path / 'a.csv', [ROW])
    append_results(tmp_path / 'a.csv', [ROW])
    assert read_results(tmp_path / 'a.csv') == [ROW]
