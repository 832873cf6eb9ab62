# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Send signals to trainings in all of their phases: do they end, with nothing lost?"""

import contextlib
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from harness import ROOT, ToolRun, warm_up_tools
from outcomes import Outcome, main

CONFIG = str(ROOT / 'tests' / 'data' / 'toy_phases_2e.py')
SIGNALS = ('SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2')
PHASES = ('start', 'train', 'val', 'save')
#: Seconds to end in after a signal, and after a second one.
LIMIT, AT_ONCE = 30.0, 15.0
ONE = 'a signal in start, training, validation, save: ends in 30 s, loses nothing'
TWO = 'the same of two processes, through torchrun'
SECOND = 'a second signal ends it at once, the last whole checkpoint is left'


@dataclass(frozen=True)
class Case:
    """A signal to a training.

    Attributes:
        name: The signal.
        phase: Where it comes.
        processes: How many train.
        second: Another one two seconds later.
        to: ``all``, ``rank`` (only the second of two), ``import`` (of the tool) or
            ``job`` (a script of SLURM's that starts it).
        restarts: How often torchrun would begin again after a failure.
    """

    name: str
    phase: str
    processes: int = 1
    second: str = ''
    to: str = 'all'
    restarts: int = 0

    def __str__(self) -> str:
        second = f' and {self.second}' if self.second else ''
        to = '' if self.to == 'all' else f' ({self.to})'
        return f'{self.name}{second} in {self.phase}{to}, {self.processes} processes'


def cases(quick: bool) -> Iterator[tuple[str, Case]]:
    """Yield the promise and the case."""
    if quick:
        yield ONE, Case('SIGUSR1', 'val')
        yield SECOND, Case('SIGTERM', 'save', second='SIGTERM')
        return
    for name in SIGNALS:
        yield from ((ONE, Case(name, phase)) for phase in PHASES)
        yield ONE, Case(name, 'start', to='import')
        yield TWO, Case(name, 'train', 2, restarts=3)
        yield SECOND, Case(name, 'train', second=name)
    for phase in ('start', 'val', 'save'):
        yield TWO, Case('SIGUSR2', phase, 2)
    yield TWO, Case('SIGTERM', 'train', 2, to='rank')
    yield TWO, Case('SIGTERM', 'val', 2, to='rank')
    yield TWO, Case('SIGUSR1', 'train', 2, to='job')
    yield TWO, Case('SIGTERM', 'val', 2, to='job')
    yield SECOND, Case('SIGUSR1', 'val', second='SIGTERM')
    yield SECOND, Case('SIGINT', 'save', second='SIGINT')
    yield SECOND, Case('SIGTERM', 'train', 2, second='SIGTERM')


def train(folder: Path, processes: int, *options: str, **env: str) -> list[ToolRun]:
    """Start a training: forks of this process, which need no launcher."""
    words = ['train.py', CONFIG, '--work-dir', 'run', *options]
    if processes == 1:
        return [ToolRun(words, folder, **env)]
    port, runs = str(free_port()), []
    for rank in range(processes):
        place = {'RANK': str(rank), 'LOCAL_RANK': str(rank), 'MASTER_PORT': port}
        group = {'WORLD_SIZE': str(processes), 'MASTER_ADDR': '127.0.0.1'}
        more = [*words, '--launcher', 'pytorch']
        runs.append(ToolRun(more, folder, **place, **group, **env))
    return runs


def free_port() -> int:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def launch(case: Case, folder: Path) -> ToolRun:
    """Start the training that is to get the signal."""
    long = str(AT_ONCE + 20 if case.second or case.phase == 'start' else 1)
    env = {
        'TOY_PHASE': case.phase,
        'TOY_SECONDS': long,
        'TOY_REACHED': str(folder / 'reached'),
    }
    words = [CONFIG, '--work-dir', 'run']
    if case.processes == 1:
        cold = case.to == 'import'
        return ToolRun(['train.py', *words], folder, cold=cold, **env)
    env |= {'PORT': str(free_port()), 'MAX_RESTARTS': str(case.restarts)}
    words.insert(1, str(case.processes))
    if case.to != 'job':
        return ToolRun(['dist_train.sh', *words], folder, **env)
    requeue = folder / 'scontrol'
    requeue.write_text('#!/bin/sh\necho "$@" > requeued\n')
    requeue.chmod(0o755)
    env |= {'SLURM_SUBMIT_DIR': str(ROOT), 'SLURM_JOB_ID': '7'}
    env['PATH'] = f'{folder}:{os.environ["PATH"]}'
    return ToolRun(['sbatch_train.sh', *words], folder, **env)


def wait_for(case: Case, run: ToolRun, folder: Path) -> None:
    """Wait until the phase is reached by all processes."""
    if case.to == 'import':
        run.wait(0.7)
        return
    marks = [folder / f'reached.{rank}' for rank in range(case.processes)]
    if case.phase == 'save':  # which the first process does
        del marks[1:]
    for _ in range(3000):
        if all(mark.exists() for mark in marks) or run.wait(0.02) is not None:
            return
    raise TimeoutError(f'{case.phase} was never reached')


def receiver(case: Case, run: ToolRun) -> int:
    """Number of the process that gets the signal."""
    if case.to != 'rank':
        return run.pid
    return next(
        pid
        for pid in run.processes()
        if b'\0RANK=1\0' in Path(f'/proc/{pid}/environ').read_bytes()
    )


def send(case: Case, run: ToolRun) -> float:
    """Send one or both signals; return the seconds it has to end in."""
    os.kill(receiver(case, run), getattr(signal, case.name))
    if not case.second:
        return LIMIT
    if run.wait(2) is None:
        os.kill(run.pid, getattr(signal, case.second))
    return AT_ONCE


def try_case(case: Case, folder: Path, expected: dict[str, torch.Tensor]) -> str:
    """Return why a promise is broken; empty if it holds."""
    run = launch(case, folder)
    try:
        wait_for(case, run, folder)
        if run.code is not None:
            return f'ended too early: {run.text()[-500:]}'
        run.wait(0.2)
        code = run.wait(send(case, run))
        time.sleep(0.5)  # what has no parent any more may need a moment
        if code is None:
            return f'does not end: {run.text()[-500:]}'
        wanted = 128 + getattr(signal, case.second or case.name)
        if case.to == 'job' and case.name == 'SIGUSR1':  # there will be another one
            wanted = 0 if (folder / 'requeued').read_text() == 'requeue 7\n' else -1
        if code != wanted:
            return f'exit code {code}, not {wanted}: {run.text()[-500:]}'
        if left := run.processes():
            return f'{len(left)} processes are left'
        if 'Traceback' in run.text():
            return f'a traceback: {run.text()[-900:]}'
        if not case.second and case.phase != 'start':
            if not (folder / 'run' / 'interrupted.pth').is_file():
                return 'saved nothing'
        elif list((folder / 'run').glob('interrupted.pth')):
            return 'saved though there was nothing to save, or no time'
        return resume(case.processes, folder, expected)
    finally:
        run.end()


def resume(
    processes: int,
    folder: Path,
    expected: dict[str, torch.Tensor],
    options: Sequence[str] = (),
) -> str:
    """Go on to the end, and compare with the unbroken run."""
    runs = train(folder, processes, '--resume', *options)
    codes = [run.wait(60) for run in runs]
    text = ''.join(run.text()[-500:] for run in runs if run.code)
    for run in runs:
        run.end()
    if any(codes):
        return f'cannot be resumed: {codes} {text}'
    found = weights(folder)
    if any(not torch.equal(found[name], value) for name, value in expected.items()):
        return 'ends with other weights than the unbroken run'
    return ''


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Weights at the end of a run."""
    path = folder / 'run' / 'epoch_2.pth'
    return torch.load(path, weights_only=False)['state_dict']


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder for a while."""
    folder = Path(tempfile.mkdtemp(prefix='signals-'))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def unbroken(processes: int) -> dict[str, torch.Tensor]:
    """Weights of a run to which nothing happens."""
    with scratch() as folder:
        runs = train(folder, processes)
        codes = [run.wait(120) for run in runs]
        assert not any(codes), runs[0].text()
        return weights(folder)


def run(quick: bool) -> list[Outcome]:
    """Send all signals in all phases, to one process and to two."""
    warm_up_tools()
    table = list(cases(quick))
    outcomes = {name: Outcome(name, 'hpml_mm') for name, _ in table}
    expected = {n: unbroken(n) for n in {case.processes for _, case in table}}
    for promise, case in table:
        with scratch() as folder:
            broken = try_case(case, folder, expected[case.processes])
        outcomes[promise].add(str(case), broken)
    return list(outcomes.values())


if __name__ == '__main__':
    main(run)
