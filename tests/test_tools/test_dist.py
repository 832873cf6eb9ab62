# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Two processes on the CPU by the shell scripts."""

import json
import socket

import pytest
import torch
from toy_tools import TOY, run_tool

pytestmark = pytest.mark.slow


@pytest.fixture
def port() -> str:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


def summary(place) -> dict:
    return json.loads((place / 'summary.json').read_text())


@pytest.mark.system
def test_two_processes_train_and_test(tmp_path, port):
    config = tmp_path / 'toy.py'
    # Else each process validates with BatchNorm statistics of its own.
    sync = "dict(type='SyncBuffersHook')"
    config.write_text(
        f"_base_ = '{TOY}'\ncustom_hooks = [{sync}] + _base_.custom_hooks\n"
    )
    options = ['--tag', 'a-b', '--cfg-options', 'model.width=6']
    done = run_tool('dist_train.sh', config, 2, *options, cwd=tmp_path, PORT=port)
    assert done.returncode == 0, done.stderr
    place = tmp_path / 'work_dirs' / 'toy--a-b'
    found = summary(place)
    assert found['status'] == 'finished'
    # 24 points in batches of 4 for each of 2 processes: 3 iterations an epoch.
    assert found['train']['iters'] == 6
    assert done.stdout.count('See it in TensorBoard') == 1

    width = ['--cfg-options', 'model.width=6', '--work-dir', 'tested']
    checkpoint = place / 'epoch_2.pth'
    done = run_tool(
        'dist_test.sh', config, checkpoint, 2, *width, cwd=tmp_path, PORT=port
    )
    assert done.returncode == 0, done.stderr
    tested = summary(tmp_path / 'tested')['metrics']
    assert tested == found['metrics']


@pytest.mark.system
def test_one_process_that_is_asked_stops_all(tmp_path, port):
    config = tmp_path / 'toy_stop.py'
    stop = "dict(type='SignalAtHook', iteration=2, rank=1)"
    config.write_text(
        f"_base_ = '{TOY}'\n"
        f'custom_hooks = [{stop}] + _base_.custom_hooks\n'
        'custom_hooks[4].agree_interval = 2\n'
    )
    stopped = run_tool('dist_train.sh', config, 2, cwd=tmp_path, PORT=port)
    assert stopped.returncode != 0
    place = tmp_path / 'work_dirs' / 'toy_stop--processes=2'
    meta = torch.load(place / 'interrupted.pth', weights_only=False)['meta']
    assert (meta['epoch'], meta['iter']) == (0, 2)
    assert summary(place)['status'] == 'interrupted'
    assert f'dist_train.sh {config} 2 --resume' in stopped.stdout

    resumed = run_tool('dist_train.sh', config, 2, '--resume', cwd=tmp_path, PORT=port)
    assert resumed.returncode == 0, resumed.stderr
    assert summary(place)['train']['iters'] == 6


@pytest.mark.parametrize(
    ('script', 'arguments'),
    [
        ('dist_train.sh', []),
        ('dist_train.sh', ['a.py']),
        ('dist_train.sh', ['a.py', 'two']),
        ('dist_train.sh', ['a.py', '0']),
        ('dist_test.sh', ['a.py', 'b.pth']),
    ],
)
def test_wrong_arguments_show_the_usage(tmp_path, script, arguments):
    done = run_tool(script, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f'usage: tools/{script} CONFIG')


def test_arguments_and_environment_reach_torchrun_as_they_are(tmp_path):
    """A stand-in for Python prints what it was called with, one word a line."""
    fake = tmp_path / 'my python'
    fake.write_text(
        '#!/usr/bin/env bash\nprintf "%s\\n" "$@" "$TORCH_ELASTIC_SHUTDOWN_TIMEOUT"\n'
    )
    fake.chmod(0o755)
    nodes = {'NNODES': '2', 'NODE_RANK': '1', 'MASTER_ADDR': '10.0.0.1', 'PORT': '7'}
    nodes['MAX_RESTARTS'] = '3'
    options = ['--cfg-options', 'a=[1, 2]', 'b=*']
    done = run_tool(
        'dist_train.sh',
        'my config.py',
        4,
        *options,
        cwd=tmp_path,
        PYTHON=str(fake),
        **nodes,
    )
    words = done.stdout.splitlines()
    assert words[:2] == ['-m', 'hpml_mm.cli.torchrun']
    assert words[2:8] == [
        *('--nnodes=2', '--node_rank=1', '--nproc_per_node=4'),
        *('--master_addr=10.0.0.1', '--master_port=7', '--max_restarts=3'),
    ]
    assert words[8].endswith('/tools/train.py')
    assert words[9:-1] == ['my config.py', '--launcher', 'pytorch', *options]
    # torchrun's own 30 s may end before a checkpoint is written.
    assert words[-1] == '120'
