# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from toy_tools import call_tool, toy_runner

from hpml_mm.experiments.rows import append_results, read_results
from projects.convergence.convergence import (
    Point,
    convergence_rows,
    epochs_to,
    mean_curve,
    noise,
    read_sweep,
    targets_table,
)
from projects.convergence.curves import Curve, validations

AP = 'coco/AP'
ENVIRONMENT = {
    'commit': 'abc1234',
    'dirty': False,
    'device': 'a CPU',
    'torch': '2.12.1',
    'processes': 1,
    'date': '2026-01-02T03:04:05+00:00',
}


def write_scalars(work_dir, start, values, first_epoch=None, cut=''):
    """One start of a training: two training lines an epoch, and the validations."""
    folder = work_dir / start / 'vis_data'
    folder.mkdir(parents=True)
    lines = []
    for epoch in range(first_epoch or min(values), max(values) + 1):
        lines += [{'loss': 1.0, 'epoch': epoch, 'iter': i, 'step': i} for i in (1, 2)]
        if epoch in values:
            lines.append({AP: values[epoch], 'time': 0.1, 'step': epoch})
    text = ''.join(f'{json.dumps(line)}\n' for line in lines)
    (folder / 'scalars.json').write_text(text + cut)


def write_run(work_dir, values, batch=4, processes=1, iters=None, **changes):
    """A finished training of 100 samples."""
    write_scalars(work_dir, '20260102_030405', values, first_epoch=1)
    steps = -(-100 // (batch * processes)) if iters is None else iters
    summary = {
        'status': 'finished',
        'mode': 'train',
        'train': {'epochs': 4, 'iters': 4 * steps, 'dataset_size': 100},
        'config': {'train_dataloader': {'batch_size': batch}},
        'environment': {**ENVIRONMENT, 'processes': processes},
    }
    (work_dir / 'summary.json').write_text(json.dumps({**summary, **changes}))


@pytest.fixture
def sweep(tmp_path):
    """Two batch sizes with two seeds each, validated every second of four epochs."""
    root = tmp_path / 'cats-batch'
    write_run(root / 'b8' / 'seed0', {2: 0.1, 4: 0.3}, batch=8)
    write_run(root / 'b8' / 'seed1', {2: 0.2, 4: 0.5}, batch=8)
    write_run(root / 'b4' / 'seed0', {2: 0.3, 4: 0.4})
    write_run(root / 'b4' / 'seed1', {2: 0.1, 4: 0.3})
    (root / 'b4' / 'seed0.json').write_text('{}')
    (root / 'b4' / 'seed0.log').write_text('log')
    return root


def test_mean_and_deviation_over_seeds_by_epoch_and_by_samples(sweep):
    curves = read_sweep(sweep, AP)
    assert list(curves) == ['b4', 'b8']
    root_half = pytest.approx(0.1 / 2**0.5)
    assert mean_curve(curves['b8']) == [
        Point(2, 200, pytest.approx(0.15), root_half, 2),
        Point(4, 400, pytest.approx(0.4), pytest.approx(0.2 / 2**0.5), 2),
    ]
    assert mean_curve(curves['b4'][:1])[0] == Point(2, 200, 0.3, None, 1)
    assert [epochs_to(curves['b4'][1], target) for target in (0.3, 0.31)] == [4, None]


@pytest.mark.parametrize(
    ('processes', 'iters', 'samples'), [(1, None, 100), (2, None, 100), (2, 3, 24)]
)
def test_samples_of_an_epoch(tmp_path, processes, iters, samples):
    """All 100, though the last batch is not full; fewer of an epoch cut short."""
    write_run(tmp_path / 's' / 'a' / 'seed0', {1: 0.1}, 4, processes, iters)
    (run,) = read_sweep(tmp_path / 's', AP)['a']
    assert (run.samples, run.batch) == (samples, 4 * processes)


def test_rows(sweep, tmp_path):
    argv = ['-m', 'projects.convergence', 'cats-batch']
    curves = read_sweep(sweep, AP)
    rows = convergence_rows('cats-batch', curves, AP, [0.3, 0.4], argv)
    assert [(r.experiment, r.metric, r.value, r.n) for r in rows] == [
        ('cats-batch/b4/epoch=2', AP, pytest.approx(0.2), 2),
        ('cats-batch/b4/epoch=4', AP, pytest.approx(0.35), 2),
        ('cats-batch/b4', f'epochs to {AP} 0.3', 3, 2),
        ('cats-batch/b8/epoch=2', AP, pytest.approx(0.15), 2),
        ('cats-batch/b8/epoch=4', AP, pytest.approx(0.4), 2),
        ('cats-batch/b8', f'epochs to {AP} 0.3', 4, 2),
    ]
    assert rows[2].spread == pytest.approx(2**0.5)
    assert (rows[0].command, rows[0].commit) == (f'python {" ".join(argv)}', 'abc1234')
    append_results(tmp_path / 'a.csv', rows)
    assert len(read_results(tmp_path / 'a.csv')) == 6


def made(values):
    return Curve('run', 4, 100, values, {})


def test_noise_is_what_a_line_through_the_neighbours_leaves():
    trend = {epoch: 3.0 * epoch for epoch in range(1, 13)}
    assert noise(made(trend)) == pytest.approx(0)
    # Of validations 1 2 4 the middle one lies 2/3 and 1/3 from its neighbours.
    later = {6: 0.0, 7: 3.0, 9: 0.0}
    assert noise(made({1: 90.0, 2: 5.0, **later})) == pytest.approx(
        3 / (1 + 4 / 9 + 1 / 9) ** 0.5
    )
    assert noise(made({1: 0.1, 2: 0.2, 3: 0.3})) is None


def test_noise_of_independent_values_is_their_deviation():
    drawn = np.random.default_rng(0).normal(50, 2, 4000)
    assert noise(made(dict(enumerate(drawn)))) == pytest.approx(2, rel=0.05)


def test_noise_is_a_row_with_the_unit_of_its_metric():
    runs = [
        replace(
            made({1: 0.0, 2: 0.1, 3: 0.1, 4: high, 5: 0.1}), environment=ENVIRONMENT
        )
        for high in (0.4, 0.7)
    ]
    row = convergence_rows('s', {'b4': runs}, 'accuracy/top1', [], ['a'])[-1]
    assert (row.metric, row.unit, row.n) == ('accuracy/top1/noise', '%', 2)
    expected = [(high - 0.1) / 1.5**0.5 for high in (0.4, 0.7)]
    assert row.value == pytest.approx(np.mean(expected))


def test_the_table_says_who_reaches_a_target(sweep):
    table = targets_table(read_sweep(sweep, AP), AP, [0.3, 0.4]).splitlines()
    assert table[2:] == [
        '| b4 | 4 | 2 | 0.35 ± 0.071, epoch 4 | 3 ± 1.4 | not reached by 1 of 2 |',
        '| b8 | 8 | 2 | 0.4 ± 0.14, epoch 4 | 4 ± 0 | not reached by 1 of 2 |',
    ]


def test_the_command_reads_what_a_training_left(tmp_path):
    for seed in range(2):
        toy_runner(
            tmp_path / 'toy' / 'b4' / f'seed{seed}',
            randomness=dict(seed=seed),
            visualizer=dict(
                type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]
            ),
        ).train()
    metric = ('--metric', 'accuracy/top1')
    done = call_tool(
        'projects.convergence',
        *('toy', *metric, '--targets', 0, 101),
        *('--rows', 'out/toy.csv', '--plot', 'out/toy.png'),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    rows = read_results(tmp_path / 'out' / 'toy.csv')
    assert [(r.experiment, r.n) for r in rows] == [
        ('toy/b4/epoch=1', 2),
        ('toy/b4/epoch=2', 2),
        ('toy/b4', 2),
    ]
    last = [
        json.loads(path.read_text())['metrics']['accuracy/top1']
        for path in (tmp_path / 'toy').glob('*/*/summary.json')
    ]
    assert rows[1].value == pytest.approx(sum(last) / 2, rel=1e-4)
    assert 'not reached by 2 of 2' in done.stdout
    assert cv2.imread(str(tmp_path / 'out' / 'toy.png')) is not None

    for folder, problem in (('toy', "'PCK'; it has"), ('other', 'LABEL/RUN')):
        words = (folder, '--metric', 'PCK', '--rows', 'x.csv')
        done = call_tool('projects.convergence', *words, cwd=tmp_path)
        assert (done.returncode, done.stderr.startswith('error: ')) == (2, True)
        assert problem in done.stderr


@pytest.mark.parametrize(
    ('before', 'after', 'first', 'found'),
    [
        # Epoch 3 was validated, lost in a crash, and trained again.
        ({1: 0.1, 3: 0.9}, {3: 0.3, 4: 0.4}, 3, {1: 0.1, 3: 0.3, 4: 0.4}),
        # Training started at the beginning again.
        ({2: 0.2, 4: 0.4}, {3: 0.3}, 1, {3: 0.3}),
    ],
)
def test_what_a_later_start_did_counts(tmp_path, before, after, first, found):
    write_scalars(tmp_path, '20260102_030405', before)
    write_scalars(tmp_path, '20260102_040506', after, first)
    assert {e: r[AP] for e, r in validations(tmp_path).items()} == found


def test_a_line_that_was_cut_short_is_left_out(tmp_path):
    write_scalars(tmp_path, '20260102_030405', {1: 0.1}, cut='{"coco/A')
    assert list(validations(tmp_path)) == [1]
    write_scalars(tmp_path, '20260102_040506', {2: 0.2}, cut='{"coco\n{"step": 3}\n')
    with pytest.raises(ValueError, match=r'040506.*scalars.json:4: not JSON'):
        validations(tmp_path)


def test_a_value_that_is_no_number_is_refused(tmp_path):
    write_run(tmp_path / 's' / 'a' / 'seed0', {1: float('nan')})
    with pytest.raises(ValueError, match='seed0: coco/AP after epoch 1 is nan'):
        read_sweep(tmp_path / 's', AP)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'batch': 16}, 'seed0 8 differs in batch from .*seed2 16'),
        ({'iters': 2}, 'differs in samples of an epoch from .*seed2 16'),
        ({'values': {1: 0.1}}, 'seed0 differs in validated epochs from .*seed2:'),
        ({'environment': {**ENVIRONMENT, 'torch': '2.11.0'}}, 'differs in torch'),
        ({'status': 'interrupted'}, 'seed2/summary.json tells of no finished'),
        (
            {'train': {'epochs': None, 'iters': 9}},
            'train by epochs with the SummaryHook',
        ),
    ],
)
def test_seeds_that_are_not_alike_are_refused(sweep, changes, message):
    settings = {'values': {2: 0.1, 4: 0.3}, 'batch': 8, **changes}
    write_run(sweep / 'b8' / 'seed2', **settings)
    with pytest.raises(ValueError, match=message):
        read_sweep(sweep, AP)


def test_a_folder_without_runs_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='holds no LABEL/RUN work directories'):
        read_sweep(tmp_path, AP)
    (tmp_path / 'a' / 'seed0').mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match='seed0 is no work directory'):
        read_sweep(tmp_path, AP)
