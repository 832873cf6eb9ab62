# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
from fake_training import calls, fake_python
from toy_tools import TOY, call_tool, run_tool

from hpml_mm.experiments.rows import read_results

SPEED = 'throughput(img/s)'


@pytest.fixture
def trainings(tmp_path, monkeypatch):
    """Trainings that end at once; a function that lists the arguments of each."""
    fake_python(tmp_path, monkeypatch)
    return lambda: calls(tmp_path)


def run(tmp_path, *options, metric=SPEED, variants=(('toy', TOY),)):
    words = [word for variant in variants for word in ('--variant', *variant)]
    return call_tool(
        'sweep',
        *('--name', 'x', '--metric', metric, '--rows', 'results/x.csv'),
        *(*options, *words),
        cwd=tmp_path,
    )


@pytest.mark.slow
def test_real_trainings_become_rows(tmp_path):
    done = run_tool(
        'sweep',
        *('--name', 'batch', '--metric', SPEED, '--iters', 3, '--against', 'b4'),
        *('--rows', 'results/batch.csv', '--rounds', 1, '--variant', 'b4', TOY),
        *('--variant', 'b2', TOY, 'train_dataloader.batch_size=2'),
        cwd=tmp_path,
        # A sweep refuses runs of two commits; nobody's commit is to end a test.
        GIT_DIR=str(tmp_path / 'no_git'),
    )
    assert done.returncode == 0, done.stderr
    rows = read_results(tmp_path / 'results' / 'batch.csv')
    assert [(r.experiment, r.metric, r.n) for r in rows] == [
        ('batch/b4', SPEED, 1),
        ('batch/b2', SPEED, 1),
    ]
    assert rows[0].ratio == 1
    assert rows[1].baseline == pytest.approx(rows[0].value, rel=1e-5)
    assert rows[0].command.startswith('hpml sweep ')
    assert not list((tmp_path / 'work_dirs/sweep/batch').rglob('*.pth'))


def test_a_sweep_goes_on_where_it_was(tmp_path, trainings):
    variants = (('a', TOY), ('b', TOY, 'train_dataloader.batch_size=2'))
    assert run(tmp_path, '--rounds', 1, variants=variants).returncode == 0
    done = run(tmp_path, '--rounds', 2, variants=variants)
    assert done.returncode == 0, done.stderr
    order = [line.split()[1] for line in done.stdout.splitlines()[:4]]
    assert order == ['a/run0', 'b/run0', 'b/run1', 'a/run1']
    assert len(trainings()) == 4
    rows = read_results(tmp_path / 'results' / 'x.csv')
    assert [(r.experiment, r.n, r.spread) for r in rows] == [
        ('x/a', 2, 0),
        ('x/b', 2, 0),
    ]
    other = (variants[0], (*variants[1][:2], 'train_dataloader.batch_size=1'))
    done = run(tmp_path, '--rounds', 1, variants=other)
    assert done.returncode == 2
    assert 'other arguments: choose another place' in done.stderr


def test_a_config_that_was_edited_meanwhile_is_refused(tmp_path, trainings):
    leaf = tmp_path / 'leaf.py'
    leaf.write_text(f"_base_ = '{TOY}'\n")
    variants = [('a', leaf)]
    assert run(tmp_path, '--rounds', 1, variants=variants).returncode == 0
    leaf.write_text(leaf.read_text() + 'optim_wrapper = dict(optimizer=dict(lr=0.5))\n')
    done = run(tmp_path, '--rounds', 1, variants=variants)
    assert done.returncode == 2
    assert 'another content of its config: choose another place' in done.stderr
    assert len(trainings()) == 1


def test_seeds_are_resumed_and_have_a_mean(tmp_path, trainings):
    done = run(tmp_path, '--seeds', 3, 5, metric='accuracy/top1')
    assert done.returncode == 0, done.stderr
    place = 'work_dirs/sweep/x/toy/seed'
    assert [words[-5:] for words in trainings()] == [
        ['--seed', seed, '--work-dir', f'{place}{seed}', '--resume'] for seed in '35'
    ]
    (row,) = read_results(tmp_path / 'results' / 'x.csv')
    assert (row.unit, row.value, row.spread, row.n) == ('%', 50, 0, 2)


def test_a_failing_run_is_one_line_that_names_its_log(tmp_path, trainings):
    done = run(tmp_path, variants=[('broken', TOY)])
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert 'boom' in line
    assert 'run0.log' in line
    assert not (tmp_path / 'results').exists()


@pytest.mark.parametrize(
    ('options', 'metric', 'message'),
    [
        ((), 'loss', "'loss'"),
        (('--against', 'y'), SPEED, '--against y'),
        (('--executor', 'local:2:shared'), SPEED, 'rounds measure speed'),
        (('--variant', 'toy', TOY), SPEED, 'two variants of one label'),
    ],
)
def test_a_wrong_command_is_refused_before_any_run(
    tmp_path, trainings, options, metric, message
):
    done = run(tmp_path, *options, metric=metric)
    assert done.returncode != 0
    assert message in done.stderr
    assert trainings() == []
