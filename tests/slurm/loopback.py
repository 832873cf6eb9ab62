# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A real SLURM on this machine alone: two nodes, accounting, no service of the system.

    python tests/slurm/loopback.py bash

runs a command with it and takes it away afterwards. It needs root and Debian's packages
``slurm-wlm``, ``munge``, ``slurmdbd`` and ``mariadb-server``. All files are in a folder
of its own, all ports are free ones.
"""

import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

PROGRAMS = {
    'slurm-wlm': ('slurmctld', 'slurmd', 'srun', 'sbatch', 'sacct', 'scontrol'),
    'munge': ('munged',),
    'slurmdbd': ('slurmdbd',),
    'mariadb-server': ('mariadbd', 'mariadb-install-db'),
}
NODES = ('node1', 'node2')
CPUS = 4
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0

# A job that is put into the queue again waits until its credential has expired: with
# munge's own lifetime two minutes. KillWait is the time between SIGTERM and SIGKILL.
_SLURM_CONF = """
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={slurmctld}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
MpiDefault=none
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/spool-%n
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_min_interval=200000
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdTimeout=6
InactiveLimit=0
KillWait=30
MinJobAge=600
CompleteWait=0
{accounting}
{nodes}
PartitionName=low Nodes=ALL Default=YES PriorityTier=1
PartitionName=grace Nodes=ALL PriorityTier=1 GraceTime=30
PartitionName=high Nodes=ALL PriorityTier=2
"""
_ACCOUNTING = """
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={slurmdbd}
AccountingStoragePass={folder}/munge.socket
"""
_SLURMDBD_CONF = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={slurmdbd}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={mariadb}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
"""
_DATABASE = """
CREATE DATABASE slurm;
CREATE USER slurm@'127.0.0.1' IDENTIFIED BY 'slurm';
GRANT ALL ON slurm.* TO slurm@'127.0.0.1';
"""


def missing_programs() -> list[str]:
    """Packages of which a program is not there."""
    path = os.pathsep.join([os.environ['PATH'], '/usr/sbin', '/sbin'])
    return [
        package
        for package, programs in PROGRAMS.items()
        if not all(shutil.which(program, path=path) for program in programs)
    ]


class Slurm:
    """A cluster of two nodes; a context that starts and ends it.

    Args:
        accounting: False for a cluster that keeps no record of its jobs.
    """

    def __init__(self, accounting: bool = True) -> None:
        self.accounting = accounting
        self._daemons: dict[str, subprocess.Popen] = {}
        self._stack = ExitStack()

    def __enter__(self) -> 'Slurm':
        # A socket's path has at most 107 characters: not a test's own folder.
        folder = tempfile.mkdtemp(prefix='loopback-slurm-')
        self.folder = Path(folder)
        self._stack.callback(shutil.rmtree, folder)
        self._stack.callback(self._stop)
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables by which SLURM's commands find this cluster."""
        held = {k: v for k, v in os.environ.items() if not k.startswith('SLURM')}
        path = os.pathsep.join([held['PATH'], '/usr/sbin', '/sbin'])
        return held | {'PATH': path, 'SLURM_CONF': str(self.folder / 'slurm.conf')}

    def run(self, *words: str, check: bool = True) -> str:
        """Run one of SLURM's commands, and return what it prints."""
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=60
        )
        if check and done.returncode:
            raise RuntimeError(f'{" ".join(words)}: {done.stdout}{done.stderr}')
        return done.stdout

    def start_node(self, name: str) -> None:
        """Start the daemon of a node."""
        words = ('slurmd', '-D', '-f', str(self.folder / 'slurm.conf'), '-N', name)
        self._daemon(f'slurmd-{name}', *words, LOOPBACK_NODE=name)

    def lose_node(self, name: str) -> None:
        """Kill all processes of a node at once, as a power cut does."""
        of_daemon, of_jobs = {'LOOPBACK_NODE': name}, {'SLURMD_NODENAME': name}
        # None of them may tell the controller that another one is gone.
        for signum in (signal.SIGSTOP, signal.SIGKILL):
            for pid in [*self._processes(of_daemon), *self._processes(of_jobs)]:
                kill(pid, signum)
        self._daemons.pop(f'slurmd-{name}').wait()

    def _start(self) -> None:
        folder, ports = self.folder, free_ports(3 + len(NODES))
        folder.chmod(0o755)  # munge and its clients refuse a folder of others
        (folder / 'state').mkdir()
        names = {
            'folder': folder,
            'host': socket.gethostname(),
            'slurmctld': ports[0],
            'slurmdbd': ports[1],
            'mariadb': ports[2],
        }
        nodes = '\n'.join(
            f'NodeName={name} NodeHostname={names["host"]} NodeAddr=127.0.0.1 '
            f'Port={port} CPUs={CPUS} RealMemory=4000 State=UNKNOWN'
            for name, port in zip(NODES, ports[3:], strict=True)
        )
        off = 'AccountingStorageType=accounting_storage/none'
        accounting = _ACCOUNTING.format(**names) if self.accounting else off
        text = _SLURM_CONF.format(**names, accounting=accounting, nodes=nodes)
        (folder / 'slurm.conf').write_text(text)
        self._start_munge()
        if self.accounting:
            self._start_accounting(names)
        self._daemon('slurmctld', 'slurmctld', '-D', '-f', str(folder / 'slurm.conf'))
        for name in NODES:
            self.start_node(name)
        self._wait(self._idle, 'the nodes')

    def _start_munge(self) -> None:
        key = self.folder / 'munge.key'
        key.touch(mode=0o400)
        key.write_bytes(secrets.token_bytes(128))
        files = {'socket': 'socket', 'pid-file': 'pid', 'log-file': 'log'}
        files |= {'seed-file': 'seed', 'key-file': 'key'}
        words = [f'--{k}={self.folder}/munge.{v}' for k, v in files.items()]
        self._daemon('munged', 'munged', '--foreground', *words)
        self._wait((self.folder / 'munge.socket').exists, 'munge')

    def _start_accounting(self, names: Mapping[str, object]) -> None:
        data = self.folder / 'mariadb'
        small = ('--innodb-log-file-size=8M', '--innodb-flush-log-at-trx-commit=0')
        # SLURM asks for a patience of more than the default of 50 s.
        common = ('--no-defaults', f'--datadir={data}', '--user=root', *small)
        common += ('--innodb-lock-wait-timeout=900', '--innodb-buffer-pool-size=64M')
        install = ['mariadb-install-db', *common, '--skip-test-db']
        install += ['--auth-root-authentication-method=normal', '--skip-name-resolve']
        with (self.folder / 'mariadb-install.log').open('w') as log:
            subprocess.run(install, check=True, stdout=log, stderr=log)
        (self.folder / 'database.sql').write_text(_DATABASE)
        self._daemon(
            *('mariadb', 'mariadbd', *common, '--bind-address=127.0.0.1'),
            *(f'--port={names["mariadb"]}', f'--socket={self.folder}/mariadb.socket'),
            *(f'--init-file={self.folder}/database.sql', '--skip-log-bin'),
            f'--pid-file={self.folder}/mariadb.pid',
        )
        self._wait(lambda: listens(names['mariadb']), 'mariadb')
        conf = self.folder / 'slurmdbd.conf'
        conf.touch(mode=0o600)  # it holds a password
        conf.write_text(_SLURMDBD_CONF.format(**names))
        self._daemon('slurmdbd', 'slurmdbd', '-D', SLURM_CONF=str(conf))
        self._wait(lambda: listens(names['slurmdbd']), 'slurmdbd')
        self.run('sacctmgr', '--immediate', 'add', 'cluster', 'loopback')

    def _daemon(self, name: str, *words: str, **variables: str) -> None:
        log = self.folder / f'{name}.out'
        with log.open('ab') as out:
            self._daemons[name] = subprocess.Popen(
                words,
                env={**self.environment, **variables},
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )

    def _idle(self) -> bool:
        states = self.run('sinfo', '-h', '-N', '-p', 'low', '-o', '%T', check=False)
        return states.split() == ['idle'] * len(NODES)

    def _wait(self, ready: Callable[[], bool], part: str) -> None:
        until = time.monotonic() + _START_SECONDS
        while not ready():
            ended = [k for k, v in self._daemons.items() if v.poll() is not None]
            if ended or time.monotonic() > until:
                raise RuntimeError(f'{part} did not start: {ended} {self._logs()}')
            time.sleep(0.1)

    def _logs(self) -> str:
        logs = [*self.folder.glob('*.out'), *self.folder.glob('*.log')]
        return '\n'.join(f'{log.name}: {log.read_text()[-1500:]}' for log in logs)

    def _stop(self) -> None:
        """End daemons, the last one first, and then all that jobs have left."""
        for _, daemon in reversed(self._daemons.items()):
            daemon.terminate()
            try:
                daemon.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for pid in self._processes({}):
            kill(pid, signal.SIGKILL)

    def _processes(self, variables: Mapping[str, str]) -> list[int]:
        """Processes of this cluster that have these variables too."""
        wanted = {'SLURM_CONF': str(self.folder / 'slurm.conf'), **variables}
        lines = {f'{name}={value}'.encode() for name, value in wanted.items()}
        found = []
        for place in Path('/proc').glob('[0-9]*'):
            with suppress(OSError):  # it has ended
                if lines <= set((place / 'environ').read_bytes().split(b'\0')):
                    found.append(int(place.name))
        return [pid for pid in found if pid != os.getpid()]


def _end_with_parent() -> None:
    """Have this process killed when its parent is, which cannot end it then."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def kill(pid: int, signum: int) -> None:
    """Send a signal to a process that may have ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, signum)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody has."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(('127.0.0.1', 0))
        return [one.getsockname()[1] for one in sockets]


def listens(port: object) -> bool:
    """Return whether a server listens at a port of 127.0.0.1."""
    with socket.socket() as one:
        return one.connect_ex(('127.0.0.1', int(str(port)))) == 0


def main(words: Sequence[str]) -> int:
    """Run a command with the cluster; its exit code is this one's."""
    if missing := missing_programs():
        sys.exit(f'error: apt install {" ".join(missing)}')
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with Slurm() as slurm:
        return subprocess.run(words, env=slurm.environment).returncode


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:] or ['bash']))
