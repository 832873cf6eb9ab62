# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Fill, lock and close the disk amid a training: what is left, and what is told?"""

import encodings.latin_1  # noqa: F401  # another user may not read Python's files
import errno
import os
import pwd
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unittest import mock

from harness import fork, toy_runner, wait, warm_up
from kill_while_saving import BEST, OURS, STOCK, scored
from mmengine.hooks import Hook
from outcomes import Outcome, main

from hpml_mm.config.command.errors import clear_errors
from hpml_mm.config.work_dir.last_checkpoint import damage
from hpml_mm.engine.hooks import CheckpointHook

PROMISE = (
    'full, locked or forbidden disk: the last checkpoint and the best survive, one '
    'line tells place and remedy, and the run can be resumed'
)
#: Numbers of four bytes: a checkpoint of 400 kB.
BALLAST = 100_000
DISK = '2m'
FAULT = 4


class Fault(Hook):
    """Lets something happen to the disk before an iteration."""

    priority = 'VERY_HIGH'

    def __init__(self, happen: Callable[[], None]) -> None:
        self.happen = happen

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if runner.iter + 1 == FAULT:
            for hook in runner.hooks:
                if isinstance(hook, CheckpointHook):  # a thread may still delete one
                    hook.finish(runner)
            self.happen()


@dataclass(frozen=True)
class Case:
    """A fault, where it strikes, and words of what must be told of it."""

    name: str
    happen: Callable[[Path], None]
    mend: Callable[[Path], None]
    told: str
    hook: dict = field(default_factory=dict)
    user: str | None = None
    elsewhere: bool = False


def fill(leave: int) -> Callable[[Path], None]:
    """Fill the disk, but for a number of bytes."""

    def happen(disk: Path) -> None:
        free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        (disk / 'filler').write_bytes(bytes(max(0, free - leave)))

    return happen


def empty(disk: Path) -> None:
    """Delete what filled the disk."""
    (disk / 'filler').unlink()


def mount(mode: str, disk: Path) -> None:
    """Mount a disk again, to be read only or written as well."""
    subprocess.run(['mount', '-o', f'remount,{mode}', str(disk)], check=True)


def over_quota(disk: Path) -> None:
    """Let the disk refuse what is written from now on, as network disks do."""
    error = OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
    mock.patch('os.fsync', side_effect=error).start()
    # MMEngine does not synchronise.
    mock.patch('mmengine.fileio.LocalBackend.put', side_effect=error).start()


def nothing(disk: Path) -> None:
    """Leave the disk as it is."""


def lock(disk: Path) -> None:
    """Take from its owner the right to write into a folder."""
    for folder in (disk, disk / 'run'):
        folder.chmod(0o555)


def unlock(disk: Path) -> None:
    """Give the right back."""
    for folder in (disk, disk / 'run'):
        folder.chmod(0o755)


def cases() -> Iterator[Case]:
    """Every fault, in the foreground and in a thread, with and without a best one."""
    settings = {
        '': {},
        ', best': BEST,
        ', in a thread': {'in_background': True},
        ', best in a thread': {**BEST, 'in_background': True},
    }
    for words, hook in settings.items():
        yield Case(f'quota{words}', over_quota, nothing, 'your quota', hook)
        if os.geteuid():  # the others mount and change the user
            continue
        for leave in (300_000, 8192):
            full = fill(leave)
            yield Case(f'{leave} bytes left{words}', full, empty, 'disk is full', hook)
        yield Case(f'no byte left{words}', fill(0), empty, 'disk is full', hook)
        locked, free = partial(mount, 'ro'), partial(mount, 'rw')
        told = 'can only be read from'
        yield Case(f'read-only{words}', locked, free, told, hook, elsewhere=True)
        told = 'lacks the right'
        yield Case(f'no right{words}', lock, unlock, told, hook, user='nobody')


@contextmanager
def a_disk(case: Case) -> Iterator[Path]:
    """Mount a small disk in memory; without the right to it a folder does."""
    with tempfile.TemporaryDirectory(prefix='disk-') as folder:
        Path(folder).chmod(0o755)
        disk = Path(folder, 'disk')
        disk.mkdir()
        if os.geteuid() == 0:
            options = ['-t', 'tmpfs', '-o', f'size={DISK}', 'tmpfs', str(disk)]
            subprocess.run(['mount', *options], check=True)
        try:
            if case.user:
                os.chown(disk, pwd.getpwnam(case.user).pw_uid, -1)
            yield disk
        finally:
            if os.geteuid() == 0:
                subprocess.run(['umount', str(disk)], check=True)


def train(case: Case, hook: dict, disk: Path, ours: bool, **changes) -> None:
    """Train for eight iterations; what goes wrong is told as the tools tell it."""
    if case.user:
        os.setuid(pwd.getpwnam(case.user).pw_uid)
    work_dir = disk.parent / 'run' if case.elsewhere else disk / 'run'
    if case.elsewhere:
        hook = {**hook, 'out_dir': str(disk)}
    error = os.open(disk.parent / 'stderr', os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(error, 2)
    runner = toy_runner(
        work_dir,
        hook,
        BALLAST,
        train_cfg=dict(by_epoch=False, max_iters=8, val_interval=1),
        **scored(hook),
        **changes,
    )
    try:
        with clear_errors():
            runner.train()
    except SystemExit as stop:
        os._exit(stop.code)
    assert runner.iter == 8


def judge(case: Case, disk: Path, code: int, ours: bool) -> str | None:
    """Tell what a run on a faulty disk left undone."""
    work_dir = disk.parent / 'run' if case.elsewhere else disk / 'run'
    folder = disk / 'run'
    pointer = Path((work_dir / 'last_checkpoint').read_text())
    if ours and code == 0:
        return 'ended as if nothing had been'
    if (reason := damage(pointer)) is not None:
        return f'{pointer.name} {reason}'
    best = list(folder.glob('best_*.pth'))
    if 'save_best' in case.hook and not any(damage(path) is None for path in best):
        return 'no best'
    if not ours:
        return None
    left = [path.name for path in disk.rglob('.*.tmp*')]
    if left and not case.user:  # who may not write may not delete either
        return f'left {left[0]}'
    told = (disk.parent / 'stderr').read_text().splitlines()
    lines = [line for line in told if line.startswith('error: ')]
    if len(lines) != 1 or case.told not in lines[0] or str(disk) not in lines[0]:
        return f'told {told[-1:]}'
    return f'told {len(told)} lines' if code != 2 or len(told) > 1 else None


def one_round(case: Case, arm: str) -> str | None:
    """Train on a disk that fails, mend it, and go on."""
    ours = arm == 'hpml_mm'
    settings = {key: case.hook[key] for key in case.hook if ours or key in BEST}
    hook = {**(OURS if ours else STOCK), **settings}
    with a_disk(case) as disk:
        if case.user:
            owner = pwd.getpwnam(case.user).pw_uid
            os.chown(disk.parent, owner, -1)
        fault = Fault(partial(case.happen, disk))
        work = partial(train, case, hook, disk, ours)
        code = wait(fork(partial(work, custom_hooks=[fault])))
        try:
            lost = judge(case, disk, code, ours)
        finally:
            case.mend(disk)
        if lost is None and wait(fork(partial(work, resume=True))):
            told = (disk.parent / 'stderr').read_text().splitlines()
            return f'no resume: {told[-3:]}'
        left = [path.name for path in disk.rglob('.*.tmp*')]
        return lost or (f'left {left[0]} for good' if ours and left else None)


def run(quick: bool) -> list[Outcome]:
    """Try every fault; those without a thread with MMEngine's own hook, too."""
    if os.geteuid():
        print('Only the quota is tried: mounting disks needs root', file=sys.stderr)
    warm_up()
    outcomes = []
    for arm in ('hpml_mm', 'stock'):
        outcome = Outcome(PROMISE, arm)
        for number, case in enumerate(cases()):
            if arm == 'stock' and 'in_background' in case.hook:
                continue
            if not quick or (arm == 'hpml_mm' and number < 12):
                outcome.add(case.name, one_round(case, arm))
        outcomes.append(outcome)
    return outcomes


if __name__ == '__main__':
    main(run)
