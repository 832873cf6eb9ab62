# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import argparse
from pathlib import Path

import pytest

from hpml_mm.config.arguments import add_config_options
from hpml_mm.experiments.jobs import Job
from hpml_mm.experiments.records import config_digest
from hpml_mm.experiments.sweep import (
    Variant,
    alternate,
    argv_for,
    sweep_rows,
)

A = Variant('a', 'a.py')
B = Variant('b', 'a.py', ('x.y=1',))
SPEED = 'throughput(img/s)'
ENVIRONMENT = {
    'commit': 'abc1234',
    'dirty': True,
    'device': 'a CPU',
    'torch': '2.12.1',
    'date': '2026-01-02T03:04:05+00:00',
}


def done(*speeds, seeded=False):
    """Runs of both variants in turn, with these speeds."""
    runs = alternate([A, B], range(len(speeds) // 2), seeded)
    return [
        (run, {'measurements': {SPEED: speed}, 'environment': ENVIRONMENT})
        for run, speed in zip(runs, speeds, strict=True)
    ]


@pytest.mark.parametrize('words', [['a'], ['a', 'a.py', 'x'], ['a/b', 'a.py']])
def test_a_variant_is_label_config_and_options(words):
    assert Variant.parse(['b', 'a.py', 'x.y=1']) == B
    with pytest.raises(ValueError, match='--variant'):
        Variant.parse(words)


def test_overrides_of_all_variants_come_before_its_own():
    shared = {'a.b': [1, 2], 'c': None}
    found = Variant.parse(['b', 'a.py', 'x.y=1'], shared)
    assert found.options == ('a.b=[1, 2]', 'c=None', 'x.y=1')
    parser = argparse.ArgumentParser()
    add_config_options(parser)
    read = parser.parse_args(['--cfg-options', *found.options]).cfg_options
    assert read == {**shared, 'x.y': 1}


def test_runs_alternate():
    names = [run.name for run in alternate([A, B], range(2), seeded=False)]
    assert names == ['a/run0', 'b/run0', 'b/run1', 'a/run1']
    names = [run.name for run in alternate([A, B], [7], seeded=True)]
    assert names == ['a/seed7', 'b/seed7']


def test_arguments_of_a_seeded_run_and_of_one_of_fixed_length():
    words = ('a.py', '--cfg-options', 'x.y=1')
    run = next(alternate([B], [7], seeded=True))
    assert run.job(Path('w')) == Job(Path('w/b/seed7'), (*words, '--seed', '7'))
    run = next(alternate([B], [0], seeded=False))
    job = run.job(Path('w'), iters=60)
    assert (job.directory, job.resumes) == (Path('w/b/run0'), False)
    assert job.arguments == (
        *words[:1],
        '--cut-short',
        *words[1:],
        'train_dataloader.batch_sampler.type=hpml_mm.LimitedBatchSampler',
        'train_dataloader.batch_sampler.num_batches=60',
        'train_cfg.max_epochs=1',
        *('val_cfg=None', 'val_dataloader=None', 'val_evaluator=None'),
        'default_hooks.checkpoint=None',
    )


def test_rows_compare_with_the_baseline():
    argv = [
        *('hpml', 'sweep', '--against', 'a', '--variant', 'a', 'a.py'),
        *('--variant', 'b', 'a.py', 'x.y=1'),
    ]
    # Run as a, b, b, a, a, b.
    runs = done(10, 30, 30, 30, 20, 36)
    rows = sweep_rows('amp', runs, [SPEED], baseline='a', argv=argv)
    assert [(r.experiment, r.value, r.spread, r.n, r.ratio) for r in rows] == [
        ('amp/a', 20, 10, 3, 1.0),
        ('amp/b', 30, 3, 3, 1.5),
    ]
    assert (rows[0].unit, rows[0].commit, rows[0].date) == (
        'img/s',
        'abc1234+dirty',
        '2026-01-02',
    )
    assert rows[0].command == 'hpml sweep --against a --variant a a.py'
    assert rows[1].command == ' '.join(argv)


def test_seeds_have_mean_and_standard_deviation():
    runs = done(1, 6, 7, 2, 3, 8, seeded=True)
    rows = sweep_rows('x', runs, [SPEED], baseline=None, argv=['sweep.py'])
    assert [(row.value, row.spread, row.baseline) for row in rows] == [
        (2, 1, None),
        (7, 1, None),
    ]
    (row, _) = sweep_rows('x', runs[:2], [SPEED], baseline=None, argv=['sweep.py'])
    assert (row.value, row.spread, row.n) == (1, None, 1)


def test_runs_of_another_environment_are_not_compared():
    runs = done(1, 2, 3, 4)
    runs[1][1]['environment'] = {**ENVIRONMENT, 'torch': '2.11.0'}
    with pytest.raises(ValueError, match='differs in torch from b/run0 2.11.0: .*--na'):
        sweep_rows('x', runs, [SPEED], baseline=None, argv=['sweep.py'])


def test_a_command_keeps_the_variants_of_its_row():
    argv = [
        *('sweep.py', '--metric', 'mfu(%)', 'n', '--variant', 'a', 'a.py', '--variant'),
        *('ab', 'a.py', 'x=1', 'y=2', '--variant', 'c', 'c.py', '--out', 'x.csv'),
    ]
    assert argv_for(argv, ['a', 'c']) == [*argv[:7], *argv[12:]]
    assert argv_for(argv, ['ab']) == [*argv[:4], *argv[7:12], *argv[15:]]


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
