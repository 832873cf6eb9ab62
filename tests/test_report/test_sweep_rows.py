# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json
from pathlib import Path

import pytest

from hpml_mm.report.sweep import (
    Variant,
    alternate,
    centre_and_spread,
    finished_summary,
    metric_of,
    result_rows,
)

A = Variant('a', 'a.py')
B = Variant('b', 'a.py', ('x.y=1',))
ENVIRONMENT = {
    'commit': 'abc1234',
    'dirty': True,
    'device': 'a CPU',
    'torch': '2.12.1',
    'date': '2026-01-02T03:04:05+00:00',
}


def summary(**measurements):
    return {
        'metrics': {'accuracy/top1': 61.0},
        'best': {'accuracy/top1': 62.0},
        'measurements': measurements,
        'environment': ENVIRONMENT,
    }


def test_a_variant_is_label_config_and_options():
    assert Variant.parse(['b', 'a.py', 'x.y=1']) == B


@pytest.mark.parametrize('words', [['a'], ['a', 'a.py', 'x'], ['a/b', 'a.py']])
def test_a_variant_of_another_form_is_refused(words):
    with pytest.raises(ValueError, match='--variant'):
        Variant.parse(words)


def test_runs_alternate():
    names = [run.name for run in alternate([A, B], range(2), seeded=False)]
    assert names == ['a/run0', 'b/run0', 'a/run1', 'b/run1']
    names = [run.name for run in alternate([A, B], [7], seeded=True)]
    assert names == ['a/seed7', 'b/seed7']


def test_arguments_of_a_seeded_run():
    run = next(alternate([B], [7], seeded=True))
    assert run.arguments(Path('w')) == (
        ['a.py', '--work-dir', 'w', '--cfg-options', 'x.y=1', '--seed', '7']
    )


def test_arguments_of_a_run_of_fixed_length():
    run = next(alternate([B], [0], seeded=False))
    assert run.arguments(Path('w'), iters=60) == [
        *('a.py', '--work-dir', 'w', '--cfg-options', 'x.y=1'),
        'train_dataloader.batch_sampler.type=hpml_mm.LimitedBatchSampler',
        'train_dataloader.batch_sampler.num_batches=60',
        'train_cfg.max_epochs=1',
        *('val_cfg=None', 'val_dataloader=None', 'val_evaluator=None'),
        'default_hooks.checkpoint=None',
    ]


def test_repeats_have_median_and_interquartile_range():
    # Quartiles of 1..4 and 100 by linear interpolation are 2, 3 and 4.
    assert centre_and_spread([100, 1, 2, 3, 4], seeded=False) == (3, 2)


def test_seeds_have_mean_and_sample_deviation():
    assert centre_and_spread([1, 2, 3], seeded=True) == (2, 1)


@pytest.mark.parametrize('seeded', [True, False])
def test_one_run_has_no_spread(seeded):
    assert centre_and_spread([5], seeded=seeded) == (5, None)


def test_metrics_come_from_measurements_validation_or_the_best():
    run = summary(**{'data_wait(%)': 3})
    assert metric_of(run, 'data_wait(%)') == 3
    assert metric_of(run, 'accuracy/top1') == 61
    assert metric_of(run, 'best/accuracy/top1') == 62
    assert metric_of({**run, 'train': {'wall_time(s)': 9.5}}, 'wall_time(s)') == 9.5


@pytest.mark.parametrize('metric', ['mfu(%)', 'unheard', 'best/loss'])
def test_a_metric_without_a_number_is_an_error_that_lists_the_others(metric):
    with pytest.raises(ValueError, match='accuracy/top1'):
        metric_of(summary(**{'mfu(%)': None}), metric)


def test_rows_compare_with_the_baseline():
    speed = 'throughput(img/s)'
    runs = {
        'a': [summary(**{speed: v}) for v in (10, 20, 30)],
        'b': [summary(**{speed: v}) for v in (30, 30, 36)],
    }
    rows = result_rows(
        'amp', runs, [speed], seeded=False, baseline='a', command='python x'
    )
    assert [(r.experiment, r.value, r.spread, r.n, r.ratio) for r in rows] == [
        ('amp/a', 20, 10, 3, 1.0),
        ('amp/b', 30, 3, 3, 1.5),
    ]
    assert (rows[0].unit, rows[0].commit, rows[0].date) == (
        'img/s',
        'abc1234+dirty',
        '2026-01-02',
    )


def test_only_a_finished_run_counts(tmp_path):
    path = tmp_path / 'summary.json'
    assert finished_summary(path) is None
    path.write_text(json.dumps({'status': 'interrupted'}))
    assert finished_summary(path) is None
    path.write_text(json.dumps({'status': 'finished'}))
    assert finished_summary(path) == {'status': 'finished'}
