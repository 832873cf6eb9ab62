# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import csv

import pytest
from toy_tools import TOY, run_tool

pytestmark = pytest.mark.slow
SPEED = 'throughput(img/s)'


@pytest.fixture(autouse=True)
def no_commit(tmp_path, monkeypatch):
    """A sweep refuses runs of two commits; nobody's commit is to end a test."""
    monkeypatch.setenv('GIT_DIR', str(tmp_path / 'no_git'))


def rows(path):
    with path.open(newline='') as file:
        return list(csv.DictReader(file))


def test_runs_alternate_and_go_on_where_they_were(tmp_path):
    common = [
        *('--name', 'batch', '--metric', SPEED, '--iters', 3, '--baseline', 'b4'),
        *('--out', 'results/batch.csv', '--variant', 'b4', TOY),
        *('--variant', 'b2', TOY, 'train_dataloader.batch_size=2'),
    ]
    once = run_tool('sweep.py', *common, '--repeat', 1, cwd=tmp_path)
    assert once.returncode == 0, once.stderr
    first = tmp_path / 'work_dirs' / 'sweep' / 'batch' / 'b4' / 'run0'
    before = (first / 'summary.json').stat().st_mtime_ns
    assert not list(first.glob('*.pth'))

    twice = run_tool('sweep.py', *common, '--repeat', 2, cwd=tmp_path)
    assert twice.returncode == 0, twice.stderr
    assert (first / 'summary.json').stat().st_mtime_ns == before
    order = [line.split()[1] for line in twice.stdout.splitlines()[:4]]
    assert order == ['b4/run0', 'b2/run0', 'b4/run1', 'b2/run1']
    found = rows(tmp_path / 'results' / 'batch.csv')
    assert [(r['experiment'], r['metric'], r['unit'], r['n']) for r in found] == [
        ('batch/b4', SPEED, 'img/s', '2'),
        ('batch/b2', SPEED, 'img/s', '2'),
    ]
    assert float(found[0]['ratio']) == 1
    assert found[1]['baseline'] == found[0]['value']
    assert all(r['spread'] and r['torch'] and r['device'] for r in found)
    assert found[0]['command'].startswith('python ')

    changed = [*common[:-1], 'train_dataloader.batch_size=1']
    other = run_tool('sweep.py', *changed, '--repeat', 1, cwd=tmp_path)
    assert other.returncode == 2
    assert 'holds a run with other arguments' in other.stderr


def test_a_config_that_was_edited_meanwhile_is_refused(tmp_path):
    leaf = tmp_path / 'leaf.py'
    leaf.write_text(f"_base_ = '{TOY}'\n")
    command = [
        *('--name', 'lr', '--metric', SPEED, '--iters', 3, '--repeat', 1),
        *('--out', 'results/lr.csv', '--variant', 'a', leaf),
    ]
    first = run_tool('sweep.py', *command, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    leaf.write_text(leaf.read_text() + 'optim_wrapper = dict(optimizer=dict(lr=0.5))\n')
    again = run_tool('sweep.py', *command, cwd=tmp_path)
    assert again.returncode == 2
    assert 'another content of its config: choose another --name' in again.stderr


def test_a_metric_without_a_unit_is_refused_before_any_run(tmp_path):
    done = run_tool(
        'sweep.py',
        *('--name', 'x', '--metric', 'loss', '--out', 'x.csv', '--variant', 'toy', TOY),
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert "unit of 'loss' is not known" in done.stderr
    assert not (tmp_path / 'work_dirs').exists()


def test_seeds_give_mean_and_deviation_of_an_accuracy(tmp_path):
    done = run_tool(
        'sweep.py',
        *('--name', 'seeds', '--metric', 'accuracy/top1', '--seeds', 0, 1),
        *('--out', 'results/seeds.csv', '--variant', 'toy', TOY),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    (row,) = rows(tmp_path / 'results' / 'seeds.csv')
    assert (row['unit'], row['n'], row['baseline'], row['ratio']) == ('%', '2', '', '')


def test_a_failing_run_is_one_line_that_names_its_log(tmp_path):
    done = run_tool(
        'sweep.py',
        *('--name', 'bad', '--metric', 'accuracy/top1', '--out', 'results/x.csv'),
        *('--variant', 'toy', TOY, 'model.widths=3'),
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert "did you mean 'width'" in done.stderr
    assert 'run0.log' in done.stderr
    assert not (tmp_path / 'results').exists()


def test_a_baseline_that_is_no_variant_is_refused(tmp_path):
    done = run_tool(
        'sweep.py',
        *('--name', 'x', '--metric', 'm', '--out', 'x.csv', '--baseline', 'y'),
        *('--variant', 'toy', TOY),
        cwd=tmp_path,
    )
    assert done.returncode != 0
    assert '--baseline y is no variant' in done.stderr
