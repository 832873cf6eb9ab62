# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json
from pathlib import Path

import pytest

from hpml_mm.experiments.sweep import (
    Variant,
    alternate,
    config_digest,
    finished_summary,
)
from hpml_mm.experiments.sweep_rows import (
    centre_and_spread,
    check_same_ground,
    command_for,
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
        *('a.py', '--work-dir', 'w', '--cut-short', '--cfg-options', 'x.y=1'),
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
    speeds = (10, 30, 20, 30, 30, 36)
    order = alternate([A, B], range(3), seeded=False)
    runs = [(r, summary(**{speed: v})) for r, v in zip(order, speeds, strict=True)]
    argv = [
        *('sweep.py', '--baseline', 'a', '--variant', 'a', 'a.py'),
        *('--variant', 'b', 'a.py', 'x.y=1'),
    ]
    rows = result_rows('amp', runs, [speed], baseline='a', argv=argv)
    assert [(r.experiment, r.value, r.spread, r.n, r.ratio) for r in rows] == [
        ('amp/a', 20, 10, 3, 1.0),
        ('amp/b', 30, 3, 3, 1.5),
    ]
    assert (rows[0].unit, rows[0].commit, rows[0].date) == (
        'img/s',
        'abc1234+dirty',
        '2026-01-02',
    )
    assert rows[0].command == 'python sweep.py --baseline a --variant a a.py'
    assert rows[1].command == f'python {" ".join(argv)}'


def test_a_command_keeps_the_variants_of_its_row():
    argv = [
        *('sweep.py', '--metric', 'mfu(%)', 'n', '--variant', 'a', 'a.py', '--variant'),
        *('ab', 'a.py', 'x=1', 'y=2', '--variant', 'c', 'c.py', '--out', 'x.csv'),
    ]
    assert command_for(argv, ['a', 'c']) == (
        "python sweep.py --metric 'mfu(%)' n --variant a a.py --variant c c.py "
        '--out x.csv'
    )
    assert command_for(argv, ['ab']) == (
        "python sweep.py --metric 'mfu(%)' n --variant ab a.py x=1 y=2 --out x.csv"
    )


@pytest.mark.parametrize(
    ('key', 'other'),
    [('commit', 'def5678'), ('dirty', False), ('device', 'a GPU'), ('torch', '2.11.0')],
)
def test_runs_on_different_ground_are_not_compared(key, other):
    runs = [(run, summary()) for run in alternate([A, B], [3, 4], seeded=True)]
    check_same_ground(runs)
    moved = {**summary(), 'environment': {**ENVIRONMENT, key: other}}
    runs[1] = (runs[1][0], moved)
    message = f'differ in {key}: a/seed3 {ENVIRONMENT[key]}, but b/seed3 {other};'
    with pytest.raises(ValueError, match=message):
        check_same_ground(runs)
    with pytest.raises(ValueError, match=message):
        result_rows('x', runs, ['accuracy/top1'], baseline=None, argv=['sweep.py'])


def test_a_digest_stands_for_the_content_of_a_config(tmp_path):
    base, leaf = tmp_path / 'base.py', tmp_path / 'leaf.py'
    base.write_text("optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))\n")
    leaf.write_text("_base_ = './base.py'\n")
    before = config_digest([str(leaf), '--work-dir', 'a', '--seed', '1'])
    assert config_digest([str(leaf), '--work-dir', 'b']) == before
    options = ['--cfg-options', 'optim_wrapper.optimizer.lr=0.2', '--seed', '1']
    assert config_digest([str(leaf), *options]) != before
    base.write_text(base.read_text().replace('0.1', '0.2'))
    assert config_digest([str(leaf)]) == config_digest([str(leaf), *options]) != before


def test_only_a_finished_run_counts(tmp_path):
    path = tmp_path / 'summary.json'
    assert finished_summary(path) is None
    path.write_text(json.dumps({'status': 'interrupted'}))
    assert finished_summary(path) is None
    path.write_text(json.dumps({'status': 'finished'}))
    assert finished_summary(path) == {'status': 'finished'}
