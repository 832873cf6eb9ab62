# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The training tool as a user runs it, on the toy config."""

import json
import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from python_process import run_python
from toy_tools import ROOT, TOY, environment, run_tool

pytestmark = pytest.mark.slow


def summary(work_dir: Path) -> dict:
    return json.loads((work_dir / 'summary.json').read_text())


def log(work_dir: Path) -> str:
    """The only log file of a run."""
    (path,) = work_dir.glob('*/*.log')
    return path.read_text()


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=False)['state_dict']


def test_train_then_refuse_then_resume(tmp_path):
    done = run_tool('train.py', TOY, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    place = tmp_path / 'work_dirs' / 'toy_2e'
    assert summary(place)['status'] == 'finished'
    for word in ('accuracy/top1', 'images/s', 'data wait', 'peak memory'):
        assert word in done.stdout
    assert log(place).count('hpml_mm.CheckpointHook saves') == 1
    # The screen has lines for people, plain ones in a pipe.
    assert done.stderr == ''
    for start in ('config  ', 'model  ', 'epoch 1/2  accuracy/top1 ', 'verdict  '):
        assert sum(line.startswith(start) for line in done.stdout.splitlines()) == 1
        assert start in log(place)
    assert len(done.stdout.splitlines()) <= 40
    assert not {'\r', '\x1b'} & {*done.stdout}
    assert 'mmengine - ' not in done.stdout
    assert 'OneDL' not in done.stdout
    assert 'tensorboard --logdir work_dirs\n' in done.stdout

    again = run_tool('train.py', TOY, cwd=tmp_path)
    assert again.returncode == 2
    assert again.stderr.strip().count('\n') == 0
    assert '--resume' in again.stderr

    longer = ['--cfg-options', 'train_cfg.max_epochs=3', '--tag', 'longer']
    first = place / 'epoch_2.pth'
    on = run_tool(
        'train.py', TOY, '--resume', first, *longer, '--verbose', cwd=tmp_path
    )
    assert on.returncode == 0, on.stderr
    for part in ('Runtime environment:', 'Config:', 'Epoch(train) [3][6/6]'):
        assert part in on.stdout
        assert part not in done.stdout
    place_of_start = 'work_dirs/toy_2e/epoch_2.pth in epoch 3, iteration 13'
    assert f'start       resumed from {place_of_start}' in on.stdout
    assert 'resumed key' not in on.stdout
    other = tmp_path / 'work_dirs' / 'toy_2e--longer'
    assert (other / 'epoch_3.pth').is_file()
    assert not (place / 'epoch_3.pth').exists()


def test_a_metric_that_does_not_come_costs_no_epoch(tmp_path):
    options = ['--cfg-options', 'default_hooks.checkpoint.save_best=accuracy/top2']
    done = run_tool('train.py', TOY, *options, '--tag', 'best', cwd=tmp_path)
    assert done.returncode == 2
    place = tmp_path / 'work_dirs' / 'toy_2e--best'
    assert done.stderr.splitlines()[-1] == (
        "error: save_best is 'accuracy/top2', and the validation gave accuracy/top1; "
        f'{place / "interrupted.pth"} keeps the training: correct the name and add '
        '--resume'
    )
    assert 'Traceback' not in done.stderr + done.stdout
    options[1] = 'default_hooks.checkpoint.save_best=accuracy/top1'
    done = run_tool(
        'train.py', TOY, *options, '--tag', 'best', '--resume', cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert summary(place)['train']['iters'] == 12


def test_a_traceback_is_shown_on_request(tmp_path):
    done = run_tool('train.py', 'gone.py', cwd=tmp_path, HPML_MM_DEBUG='1')
    assert 'Traceback' in done.stderr


def test_a_bug_keeps_its_traceback_and_leaves_a_summary(tmp_path):
    options = ['--cfg-options', 'custom_hooks.2.type=FailAtHook', '--tag', 'bug']
    done = run_tool('train.py', TOY, *options, cwd=tmp_path)
    assert done.returncode == 1
    assert 'ValueError: toy bug' in done.stderr
    assert 'Traceback' in done.stderr
    assert summary(tmp_path / 'work_dirs' / 'toy_2e--bug')['status'] == 'failed'


@pytest.fixture(scope='module')
def unbroken(tmp_path_factory):
    """Weights of a run that was never stopped."""
    place = tmp_path_factory.mktemp('unbroken')
    assert run_tool('train.py', TOY, cwd=place).returncode == 0
    return weights(place / 'work_dirs' / 'toy_2e' / 'epoch_2.pth')


@pytest.mark.parametrize(('name', 'code'), [('SIGTERM', 143), ('SIGINT', 130)])
def test_a_stopped_run_is_resumed_by_the_command_it_says(
    tmp_path, unbroken, name, code
):
    config = tmp_path / 'toy_stop.py'
    stop = f"dict(type='SignalAtHook', iteration=8, name='{name}')"
    hooks = '_base_.custom_hooks'
    if name == 'SIGINT':  # as in a stock config: the command adds what keeps a run
        kept = "hook.type != 'hpml_mm.GracefulStopHook'"
        hooks = f'[hook for hook in {hooks} if {kept}]'
    config.write_text(f"_base_ = '{TOY}'\ncustom_hooks = [{stop}] + {hooks}\n")
    stopped = run_tool('train.py', config, cwd=tmp_path)
    assert stopped.returncode == code, stopped.stderr
    place = tmp_path / 'work_dirs' / 'toy_stop'
    assert summary(place)['status'] == 'interrupted'
    assert 'Traceback' not in stopped.stderr
    command = next(
        line for line in stopped.stdout.splitlines() if line.endswith('--resume')
    )

    resumed = run_python(shlex.split(command)[1:], tmp_path, environment())
    assert resumed.returncode == 0
    assert summary(place)['status'] == 'finished'
    assert summary(place)['train']['iters'] == 12

    for key, tensor in weights(place / 'epoch_2.pth').items():
        assert torch.equal(tensor, unbroken[key]), key


def test_a_signal_that_kills_the_workers_too_loses_nothing(tmp_path):
    """``timeout`` and schedulers signal the whole process group."""
    config = tmp_path / 'toy_group.py'
    stop = "dict(type='SignalAtHook', iteration=8, group=True)"
    config.write_text(
        f"_base_ = '{TOY}'\ncustom_hooks = [{stop}] + _base_.custom_hooks\n"
        'train_dataloader = dict(num_workers=2)\n'
    )
    command = [sys.executable, ROOT / 'tools' / 'train.py', config]
    stopped = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(),
        timeout=900,
        start_new_session=True,
        capture_output=True,
        text=True,
    )
    assert stopped.returncode == 143, stopped.stderr
    place = tmp_path / 'work_dirs' / 'toy_group'
    assert summary(place)['status'] == 'interrupted'
    assert summary(place)['train']['iters'] >= 7
    assert (place / 'interrupted.pth').is_file()


def test_a_summary_that_cannot_be_written_costs_only_the_table(tmp_path):
    stale = tmp_path / 'work_dirs' / 'toy_2e' / 'summary.json'
    stale.mkdir(parents=True)  # as good as a full disk: it cannot be replaced
    done = run_tool('train.py', TOY, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'No table: the summary could not be written' in done.stdout
    assert 'tensorboard --logdir work_dirs\n' in done.stdout


def test_a_terminal_has_a_bar_and_the_log_file_none(tmp_path):
    screen, terminal = pty.openpty()
    command = [sys.executable, str(ROOT / 'tools' / 'train.py'), str(TOY)]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(TERM='xterm', COLUMNS='120'),
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b''
    while True:
        try:
            part = os.read(screen, 65536)
        except OSError:  # the other side is closed
            break
        if not part:
            break
        shown += part
    os.close(screen)
    assert process.wait(timeout=60) == 0
    assert b'epoch 1/2' in shown
    assert b'12/12' in shown
    assert b'verdict     ' in shown
    assert b'Epoch(train)' not in shown
    written = log(tmp_path / 'work_dirs' / 'toy_2e')
    assert 'Epoch(train) [2][6/6]' in written
    assert '\x1b' not in written
