# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The stages of the proof on a GPU, as far as a machine without one can tell."""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from toy_tools import call_tool

from hpml_mm.cli import command_parser
from hpml_mm.config.overrides import load_config
from hpml_mm.experiments.rows import read_results
from hpml_mm.utils.env import environment
from projects.gpu.proof import METRICS, Outcome, page, read_outcomes, run_stage
from projects.gpu.stages import FACES, Plan, Stage, stages

ROOT = Path(__file__).parents[3]


@pytest.fixture
def plan(tmp_path):
    return Plan('x', tmp_path / 'out', tmp_path / 'x.csv', gpus=1)


def stage(*code, **settings):
    commands = [[sys.executable, '-c', one] for one in code]
    return Stage('s', 'something', 20, commands, **settings)


def test_all_of_one_gpu_takes_six_minutes_at_most(plan):
    runs = [one for one in stages(plan) if not one.lacks]
    assert [one.name for one in stages(plan) if one.lacks] == ['scaling']
    assert sum(one.seconds for one in runs) <= 360


@pytest.mark.parametrize('toy', [False, True])
def test_commands_can_be_given_and_their_configs_are_there(plan, toy):
    plan = replace(plan, gpus=2, toy=toy)
    for one in stages(plan):
        for command in one.commands:
            if command[:3] == [sys.executable, '-m', 'hpml_mm.cli']:
                command_parser(command[3:]).parse_all(command[3:])
            configs = [word for word in command if word.endswith('.py')]
            assert [word for word in configs if not (ROOT / word).is_file()] == []


def test_without_a_gpu_some_stages_are_left_out(plan):
    found = {one.name: one.lacks for one in stages(replace(plan, gpus=0)) if one.lacks}
    assert set(found) == {'tests', 'memory', 'scaling'}


def test_configs_of_the_proof():
    faces = load_config(str(ROOT / FACES), {})
    kinds = [hook['type'] for hook in faces.custom_hooks]
    assert {'EMAHook', 'hpml_mm.EnergyHook', 'hpml_mm.AmpHook'} <= set(kinds)
    assert faces.train_cfg.max_epochs == 60
    graphs = load_config(str(ROOT / 'projects/gpu/configs/graphs.py'), {})
    [speed] = [h for h in graphs.custom_hooks if h['type'] == 'hpml_mm.SpeedHook']
    assert speed['compile'] == {'mode': 'reduce-overhead'}


@pytest.mark.parametrize(
    ('one', 'result', 'reason'),
    [
        (stage('pass'), 'passed', ''),
        (stage('pass', 'raise ValueError("no luck")'), 'failed', 'no luck'),
        (stage('pass', lacks='it needs a GPU'), 'skipped', 'it needs a GPU'),
        (stage('pass', leaves=Path('a')), 'failed', 'should have failed'),
        (stage('exit(1)', leaves=Path('none')), 'failed', 'none is not there'),
        (stage('exit(1)', leaves=Path(__file__)), 'passed', ''),
        (
            replace(stage('import time; time.sleep(9)'), seconds=1),
            'failed',
            'after 1 s',
        ),
    ],
)
def test_results_of_stages(plan, one, result, reason):
    found = run_stage(one, plan, ['-m', 'x'])
    assert found.result == result
    assert reason in found.reason


def test_nothing_is_left_of_a_stage_that_takes_too_long(plan, tmp_path):
    # Its child takes no SIGTERM, and would outlive it.
    child = 'import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)'
    code = (
        'import subprocess, sys, time\n'
        f'one = subprocess.Popen([sys.executable, "-c", {child!r}])\n'
        f'open({str(tmp_path / "pid")!r}, "w").write(str(one.pid))\n'
        'time.sleep(60)'
    )
    found = run_stage(replace(stage(code), seconds=3), plan, ['-m', 'x'])
    assert found.result == 'failed'
    pid = int((tmp_path / 'pid').read_text())
    until = time.monotonic() + 10  # A kill takes effect a little later.
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_alive(pid)


def is_alive(pid):
    state = Path(f'/proc/{pid}/stat')
    try:
        return state.read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def trained(folder, accuracy):
    """Work directory of a training as `hpml train` leaves it."""
    folder.mkdir()
    summary = {
        'status': 'finished',
        'mode': 'train',
        'train': {'epochs': 1, 'iters': 6, 'dataset_size': 24, 'wall_time(s)': 5.0},
        'metrics': {'accuracy/top1': accuracy},
        'measurements': {'throughput(img/s)': 10.0, 'mfu(%)': None},
        'config': {},
        'environment': environment(),
    }
    (folder / 'summary.json').write_text(json.dumps(summary))


@pytest.mark.parametrize(('accuracy', 'result'), [(63.5, 'passed'), (62.9, 'failed')])
def test_a_training_leaves_rows_and_must_reach_its_target(
    plan, tmp_path, accuracy, result
):
    trained(tmp_path / 'run', accuracy)
    one = stage('pass', run=tmp_path / 'run', target=63.0)
    found = run_stage(one, plan, ['-m', 'x'])
    assert found.result == result
    rows = {row.metric: row.value for row in read_results(plan.rows)}
    assert rows == {
        'accuracy/top1': accuracy,
        'wall_time(s)': 5.0,
        'throughput(img/s)': 10.0,
    }
    if result == 'passed':
        unknown = [name for name in METRICS if name not in rows]
        assert found.reason == f'not known: {", ".join(unknown)}'


def test_the_page_says_what_did_not_pass(plan):
    outcomes = {
        'a': Outcome('a', 'one thing', 'passed', 3.0),
        'b': Outcome('b', 'another', 'failed', 4.0, 'exit code 1: no luck'),
    }
    text = page(replace(plan, gpus=0), outcomes)
    assert '| a | passed | 3 | one thing |  |' in text
    assert '| b | failed | 4 | another | exit code 1: no luck |' in text


@pytest.mark.system
def test_a_dry_run(tmp_path):
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')
    (tmp_path / 'projects').symlink_to(ROOT / 'projects')
    words = ('--dry-run', '--only', 'faces', 'hrnet-w32', 'memory')
    done = call_tool('projects.gpu', *words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    place = tmp_path / 'work_dirs' / 'gpu' / 'gpu'
    found = read_outcomes(place / 'stages.json')
    results = {name: one.result for name, one in found.items()}
    assert results['faces'] == results['hrnet-w32'] == 'passed'
    rows = {(row.experiment, row.metric) for row in read_results(place / 'gpu.csv')}
    assert ('gpu-gpu/faces', 'accuracy/top1') in rows
    assert any('hrnet-w32' in experiment for experiment, _ in rows)
    assert '**dry run**' in (place / 'gpu.md').read_text()
    assert not (tmp_path / 'results').exists()


def test_without_a_gpu_it_says_so(tmp_path):
    done = call_tool('projects.gpu', cwd=tmp_path)
    assert done.returncode == 2
    assert '--dry-run tries the stages without one' in done.stderr


def test_an_unknown_stage_is_told(tmp_path):
    done = call_tool('projects.gpu', '--dry-run', '--only', 'hrnet', cwd=tmp_path)
    assert done.returncode == 2
    assert 'the stages are tests, faces' in done.stderr
