# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Processes that srun and mpirun start; a stand-in for SLURM, the real Open MPI."""

import json
import os
import shutil
import socket
import subprocess
import sys

import pytest
import torch.distributed as dist
from toy_tools import ROOT, TOY, environment, run_tool

from hpml_mm.cli.launchers import is_one_of_many, process_variables
from hpml_mm.runner import meeting_place_of_restart

MPI = {
    'OMPI_COMM_WORLD_RANK': '3',
    'OMPI_COMM_WORLD_SIZE': '4',
    'OMPI_COMM_WORLD_LOCAL_RANK': '1',
    'OMPI_COMM_WORLD_LOCAL_SIZE': '2',
}
SLURM = {
    'SLURM_PROCID': '6',
    'SLURM_NTASKS': '7',
    'SLURM_LOCALID': '0',
    'SLURM_NODEID': '3',
    'SLURM_STEP_TASKS_PER_NODE': '2(x3),1',
    'SLURM_NODELIST': 'localhost',
    'SLURM_JOB_ID': '41007',
}


def put(folder, name, text):
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def free_port() -> str:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


def summary(place) -> dict:
    return json.loads((place / 'summary.json').read_text())


def test_one_process_needs_no_variables():
    assert process_variables('none', {}) == {}


def test_variables_of_open_mpi():
    found = process_variables('mpi', {**MPI, 'MASTER_ADDR': 'a', 'MASTER_PORT': '5'})
    assert found == {
        'RANK': '3',
        'WORLD_SIZE': '4',
        'LOCAL_RANK': '1',
        'LOCAL_WORLD_SIZE': '2',
        'MASTER_ADDR': 'a',
        'MASTER_PORT': '5',
    }
    here = process_variables('mpi', {**MPI, 'OMPI_COMM_WORLD_LOCAL_SIZE': '4'})
    assert here['MASTER_ADDR'] == '127.0.0.1'


def test_variables_of_slurm():
    assert process_variables('slurm', SLURM) == {
        'RANK': '6',
        'WORLD_SIZE': '7',
        'LOCAL_RANK': '0',
        'LOCAL_WORLD_SIZE': '1',
        'MASTER_ADDR': 'localhost',
        'MASTER_PORT': '29507',
    }
    second = process_variables('slurm', {**SLURM, 'SLURM_NODEID': '1'})
    assert second['LOCAL_WORLD_SIZE'] == '2'


# Knows n1 and n2, which have no names outside of SLURM.
SCONTROL = """#!/bin/sh
case "$2 $3" in
  "hostnames n[1-2]") printf "n1\\nn2\\n";;
  "node n1") printf "NodeName=n1 Arch=x86\\n   NodeAddr=10.0.0.1 NodeHostName=n\\n";;
  *) exit 1;;
esac
"""


def test_the_first_of_several_nodes_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / 'bin').mkdir()
    put(tmp_path / 'bin', 'scontrol', SCONTROL)
    nodes = {**SLURM, 'SLURM_NODELIST': 'n[1-2]'}
    monkeypatch.setenv('PATH', f'{tmp_path}/bin:{os.environ["PATH"]}')
    assert process_variables('slurm', nodes)['MASTER_ADDR'] == '10.0.0.1'
    monkeypatch.setenv('PATH', str(tmp_path / 'empty'))
    with pytest.raises(ValueError, match='set MASTER_ADDR'):
        process_variables('slurm', nodes)


@pytest.mark.parametrize(
    ('launcher', 'environ', 'message'),
    [
        ('pytorch', {}, 'torchrun starts it'),
        ('slurm', {}, 'srun starts it'),
        ('mpi', {}, 'mpirun -np N'),
        ('mpi', MPI, '-x MASTER_ADDR'),
    ],
)
def test_a_launcher_that_did_not_start_the_process_is_refused(
    launcher, environ, message
):
    with pytest.raises(ValueError, match=message):
        process_variables(launcher, environ)


def test_one_of_many_is_known_before_the_arguments_are_read():
    assert not is_one_of_many({'SLURM_PROCID': '0', 'SLURM_NTASKS': '4'})  # a batch job
    assert is_one_of_many({'SLURM_STEP_NUM_TASKS': '4'})
    assert is_one_of_many(MPI)
    assert is_one_of_many({'TORCHELASTIC_RUN_ID': 'a'})


@pytest.mark.parametrize(
    ('script', 'words', 'started'),
    [
        ('train', ['c.py'], ['c.py', '--launcher', 'slurm']),
        (
            'train',
            ['c.py', 'my dir', '--amp'],
            ['c.py', '--launcher', 'slurm', '--work-dir', 'my dir', '--amp'],
        ),
        ('train', ['c.py', '--amp'], ['c.py', '--launcher', 'slurm', '--amp']),
        ('test', ['c.py', 'a.pth'], ['c.py', 'a.pth', '--launcher', 'slurm']),
    ],
)
def test_what_the_scripts_hand_to_srun(tmp_path, script, words, started):
    put(tmp_path, 'srun', '#!/bin/sh\nprintf "%s\\n" "$@"\n')
    done = run_tool(
        f'slurm_{script}.sh',
        *('part', 'my job', *words),
        cwd=tmp_path,
        PATH=f'{tmp_path}:{os.environ["PATH"]}',
        GPUS='4',
        SRUN_ARGS='-x node1 --quiet',
        PYTHON='py',
    )
    *given, tool = done.stdout.split(f'{script}.py\n')[0].splitlines()
    assert given == [
        *('--partition=part', '--job-name=my job', '--gres=gpu:4', '--ntasks=4'),
        *('--ntasks-per-node=4', '--cpus-per-task=5', '--kill-on-bad-exit=1'),
        *('-x', 'node1', '--quiet', 'py', '-u'),
    ]
    assert tool.endswith('tools/')
    assert done.stdout.split(f'tools/{script}.py\n')[1].splitlines() == started


def test_srun_is_asked_for_no_gpus_where_there_are_none(tmp_path):
    put(tmp_path, 'srun', '#!/bin/sh\nprintf "%s\\n" "$@"\n')
    path = f'{tmp_path}:{os.environ["PATH"]}'
    words = ('slurm_train.sh', 'part', 'job', 'c.py')
    done = run_tool(*words, cwd=tmp_path, PATH=path, GRES='', GPUS='2')
    assert '--ntasks=2' in done.stdout
    assert '--gres' not in done.stdout


@pytest.mark.parametrize('script', ['train', 'test'])
def test_too_few_arguments_show_the_usage(tmp_path, script):
    done = run_tool(f'slurm_{script}.sh', 'part', 'job', cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f'usage: tools/slurm_{script}.sh PARTITION JOB_NAME')


@pytest.mark.system
def test_two_processes_of_mpirun_train_and_test_on_the_cpu(tmp_path):
    if shutil.which('mpirun') is None:
        pytest.skip('no mpirun here: apt install openmpi-bin')
    port = {'MASTER_PORT': free_port()}
    root = {'OMPI_ALLOW_RUN_AS_ROOT': '1', 'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1'}

    def mpirun(tool, *words):
        start = ['mpirun', '--oversubscribe', '-np', '2', sys.executable]
        return subprocess.run(
            [*start, str(ROOT / 'tools' / tool), *map(str, words), '--launcher', 'mpi'],
            cwd=tmp_path,
            env=environment(**root, **port),
            capture_output=True,
            text=True,
        )

    done = mpirun('train.py', TOY, '--work-dir', 'run', '--no-validate')
    assert done.returncode == 0, done.stderr
    assert summary(tmp_path / 'run')['train']['iters'] == 6
    assert done.stdout.count('See it in TensorBoard') == 1
    done = mpirun('test.py', TOY, 'run/epoch_2.pth', '--out', 'metrics.json')
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    one = run_tool('test.py', TOY, 'run/epoch_2.pth', '--out', 'one.json', cwd=tmp_path)
    assert one.returncode == 0, one.stderr
    assert metrics == json.loads((tmp_path / 'one.json').read_text())


def test_a_start_after_a_failed_one_sees_no_addresses_of_it(monkeypatch):
    first = dist.TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False)
    first.set('rank 1', 'where it was before it died')
    variables = {
        'TORCHELASTIC_RESTART_COUNT': '0',
        'TORCHELASTIC_USE_AGENT_STORE': 'True',
        'MASTER_ADDR': '127.0.0.1',
        'MASTER_PORT': str(first.port),
        'WORLD_SIZE': '2',
        'RANK': '0',
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert meeting_place_of_restart() == {}
    monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', '2')
    found = meeting_place_of_restart()
    assert (found['rank'], found['world_size']) == (0, 2)
    assert first.check(['rank 1'])
    assert not found['store'].check(['rank 1'])
