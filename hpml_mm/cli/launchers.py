# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Launchers of several processes: their variables in the words of PyTorch.

MMEngine does this too, but when the model is built: by then the processes have set up
their cores and chosen a work directory.
"""

import os
import re
import socket
import subprocess
from collections.abc import Mapping

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')
_PORT = 29500  # PyTorch's own
# Variable of a launcher for RANK, WORLD_SIZE, LOCAL_RANK.
_WORDS = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': (
        'OMPI_COMM_WORLD_RANK',
        'OMPI_COMM_WORLD_SIZE',
        'OMPI_COMM_WORLD_LOCAL_RANK',
    ),
}
_STARTS = {
    'pytorch': 'torchrun starts it, as tools/dist_train.sh does',
    'slurm': 'srun starts it, as tools/slurm_train.sh does',
    'mpi': "Open MPI's mpirun starts it: mpirun -np N python tools/train.py CONFIG "
    '--launcher mpi',
}


def is_one_of_many(environ: Mapping[str, str] = os.environ) -> bool:
    """True for a process that a launcher started, which is told how the others end."""
    if 'TORCHELASTIC_RUN_ID' in environ:
        return True
    sizes = ('OMPI_COMM_WORLD_SIZE', 'SLURM_STEP_NUM_TASKS')
    return any(int(environ.get(name, 1)) > 1 for name in sizes)


def process_variables(
    launcher: str, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Variables by which PyTorch joins the processes that a launcher started.

    ``MASTER_ADDR`` and ``MASTER_PORT`` stay what they are. Else the first node is asked
    for in SLURM, and processes of Open MPI that are all on one node meet there.

    Args:
        launcher: One of ``LAUNCHERS``.
        environ: Variables of this process.

    Raises:
        ValueError: The launcher did not start this process, or the processes could not
            find each other.
    """
    if launcher == 'none':
        return {}
    rank, size, local = _WORDS[launcher]
    for name in (rank, size):
        if name not in environ:
            raise ValueError(
                f'--launcher {launcher}: no {name} in the environment; '
                f'{_STARTS[launcher]}'
            )
    found = {
        'RANK': environ[rank],
        'WORLD_SIZE': environ[size],
        'LOCAL_RANK': environ.get(local, '0'),
    }
    if launcher != 'pytorch':
        found['LOCAL_WORLD_SIZE'] = str(_on_this_node(launcher, environ))
    return found | _meeting_place(launcher, environ)


def _on_this_node(launcher: str, environ: Mapping[str, str]) -> int:
    """Number of processes on this node."""
    if launcher == 'mpi':
        return int(environ['OMPI_COMM_WORLD_LOCAL_SIZE'])
    counts = environ.get('SLURM_STEP_TASKS_PER_NODE', '')  # such as 2(x3),1
    each = [
        int(count)
        for count, times in re.findall(r'(\d+)(?:\(x(\d+)\))?', counts)
        for _ in range(int(times or 1))
    ]
    node = int(environ.get('SLURM_NODEID', 0))
    return each[node] if node < len(each) else 1


def _meeting_place(launcher: str, environ: Mapping[str, str]) -> dict[str, str]:
    """``MASTER_ADDR`` and ``MASTER_PORT``."""
    port = environ.get('MASTER_PORT')
    if port is None and launcher == 'slurm':
        # Jobs of one node must not meet at one port.
        port = str(_PORT + int(environ.get('SLURM_JOB_ID', 0)) % 1000)
    address = environ.get('MASTER_ADDR')
    if address is None and launcher == 'slurm':
        address = _first_node(environ)
    if address is None and launcher == 'mpi':
        if environ['OMPI_COMM_WORLD_LOCAL_SIZE'] != environ['OMPI_COMM_WORLD_SIZE']:
            raise ValueError(
                '--launcher mpi: the processes are on several nodes, and MASTER_ADDR '
                'does not say where they meet; add -x MASTER_ADDR=NAME-OF-THE-FIRST '
                'to mpirun'
            )
        address = '127.0.0.1'
    return {'MASTER_ADDR': address or '127.0.0.1', 'MASTER_PORT': port or str(_PORT)}


def _first_node(environ: Mapping[str, str]) -> str:
    """Name of the first node of a step, or its address where the name has none.

    Nodes may be known to SLURM alone, which then has ``NodeAddr`` for them.
    """
    nodes = environ.get('SLURM_STEP_NODELIST') or environ.get('SLURM_NODELIST', '')
    if not nodes:
        return '127.0.0.1'
    name = nodes
    if '[' in nodes or ',' in nodes:
        name = _scontrol('hostnames', nodes).split()[0]
    try:
        socket.getaddrinfo(name, None)
    except socket.gaierror:
        address = re.search(r'NodeAddr=(\S+)', _scontrol('node', name))
        return address[1] if address else name
    return name


def _scontrol(what: str, nodes: str) -> str:
    try:
        asked = subprocess.run(
            ['scontrol', 'show', what, nodes],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise ValueError(
            f'--launcher slurm: scontrol does not tell the first of {nodes}: {error}; '
            'set MASTER_ADDR to its name or address'
        ) from error
    return asked.stdout
