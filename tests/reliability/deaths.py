# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Kill a loader's worker or one of two processes: what is left, and does it go on?"""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from harness import ToolRun, warm_up_tools
from outcomes import Outcome, main
from signals import CONFIG, free_port, resume, scratch, unbroken

WORKER = "a loader's worker dies, or a sample cannot be read: a line and a checkpoint"
PROCESS = 'one of two processes dies: both end, with a checkpoint to go on from'
ELASTIC = "torchrun's --max-restarts goes on by itself, with the same result"
WORKERS = ('train_dataloader.num_workers=2', 'val_dataloader.num_workers=1')
PERSISTENT = (*WORKERS, 'train_dataloader.persistent_workers=True')


@dataclass(frozen=True)
class Case:
    """A death.

    Attributes:
        death: Signal that the victim sends itself, or ``raise`` for an error.
        victim: ``worker`` or ``val_worker`` (if there are workers), ``rank`` or
            ``launcher``.
        options: Overrides of the config.
        processes: How many train.
        restarts: How often torchrun may begin again.
        flags: Other arguments.
    """

    death: str
    victim: str
    options: tuple[str, ...] = WORKERS
    processes: int = 1
    restarts: int = 0
    flags: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = (self.death, 'of', self.victim, *self.options, *self.flags)
        return f'{" ".join(words)}, {self.processes} processes'


CASES = [
    (WORKER, Case('SIGKILL', 'worker')),
    (WORKER, Case('SIGBUS', 'worker')),
    (WORKER, Case('SIGSEGV', 'worker', PERSISTENT)),
    (WORKER, Case('SIGKILL', 'val_worker')),
    (WORKER, Case('raise', 'worker')),
    (WORKER, Case('raise', 'worker', ())),
    (WORKER, Case('raise', 'val_worker', ())),
    (PROCESS, Case('SIGKILL', 'rank', (), 2)),
    (PROCESS, Case('SIGSEGV', 'rank', WORKERS, 2)),
    (PROCESS, Case('SIGKILL', 'launcher', WORKERS, 2)),
    (PROCESS, Case('SIGKILL', 'worker', WORKERS, 2)),
    (PROCESS, Case('raise', 'worker', (), 2)),
    (ELASTIC, Case('SIGKILL', 'rank', (), 2, restarts=1, flags=('--resume',))),
    (ELASTIC, Case('SIGKILL', 'rank', WORKERS, 2, restarts=2, flags=('--overwrite',))),
    (ELASTIC, Case('SIGKILL', 'worker', WORKERS, 2, restarts=1)),
]
QUICK = [CASES[0]]
_LIMIT = 60


def launch(case: Case, folder: Path) -> ToolRun:
    """Start the training of which something dies."""
    env = {
        'TOY_DEATH': case.death,
        'TOY_VICTIM': case.victim,
        'TOY_REACHED': str(folder / 'reached'),
        'TOY_AFTER': str(folder / 'run' / 'epoch_1.pth'),
    }
    words = [CONFIG, '--work-dir', 'run', *overrides(case), *case.flags]
    if case.processes == 1:
        return ToolRun(['train.py', *words], folder, **env)
    env |= {'PORT': str(free_port()), 'MAX_RESTARTS': str(case.restarts)}
    words.insert(1, str(case.processes))
    return ToolRun(['dist_train.sh', *words], folder, **env)


def overrides(case: Case) -> list[str]:
    """Arguments that override the config."""
    return ['--cfg-options', *case.options] if case.options else []


def try_case(case: Case, expected: dict[str, torch.Tensor]) -> str:
    """Return why a promise is broken; empty if it holds."""
    with scratch() as folder:
        run = launch(case, folder)
        try:
            code = run.wait(_LIMIT)
            end = time.monotonic() + _LIMIT
            while run.processes() and time.monotonic() < end:
                time.sleep(0.1)  # what has no parent any more may need a moment
            return (
                faults_of_the_end(case, run, code)
                or faults_of_what_is_left(case, folder)
                or resume(case.processes, folder, expected, overrides(case))
            )
        finally:
            run.end()


def faults_of_the_end(case: Case, run: ToolRun, code: int | None) -> str:
    """Return how the end differs from the one that was promised."""
    text, broken = run.text(), ''
    if code is None:
        broken = 'does not end'
    elif not (run.folder / 'reached').exists():
        broken = 'nobody died'
    elif (code == 0) != (case.restarts > 0):
        broken = f'exit code {code}'
    elif left := run.processes():
        broken = f'{len(left)} processes are left'
    elif 'Traceback' in text and case.death != 'raise':
        broken = 'a traceback'
    elif case.restarts and 'continuing' not in text and 'resumed' not in text:
        broken = 'began anew'
    elif not case.restarts and case.victim == 'worker' and case.death != 'raise':
        line = [one for one in text.splitlines() if one.startswith('error')]
        if not line or 'process that loads data' not in line[0]:
            broken = 'no line says why'
    return f'{broken}: {text[-900:]}' if broken else ''


def faults_of_what_is_left(case: Case, folder: Path) -> str:
    """Return how the checkpoints differ from those that were promised."""
    names = sorted(path.name for path in (folder / 'run').glob('*.pth'))
    if case.restarts:
        return '' if 'epoch_2.pth' in names else f'only {names} are left'
    wanted = 'epoch_1.pth' if case.victim == 'rank' else 'interrupted.pth'
    return '' if wanted in names else f'no {wanted}, only {names}'


def run(quick: bool) -> list[Outcome]:
    """Try all deaths."""
    warm_up_tools()
    table = QUICK if quick else CASES
    outcomes = {name: Outcome(name, 'hpml_mm') for name, _ in table}
    expected = {n: unbroken(n) for n in {case.processes for _, case in table}}
    for promise, case in table:
        broken = try_case(case, expected[case.processes])
        outcomes[promise].add(str(case), broken)
    return list(outcomes.values())


if __name__ == '__main__':
    main(run)
