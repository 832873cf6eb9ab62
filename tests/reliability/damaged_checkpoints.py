# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Damage checkpoints and their pointer: from where does the run go on?"""

import random
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from harness import fork, toy_runner, wait, warm_up
from mmengine.hooks import Hook
from outcomes import Outcome, main

PROMISE = (
    'newest checkpoint or pointer damaged: the run goes on from the newest whole one, '
    'says so, and never starts anew over a used folder'
)
SAVES = (2, 4, 6)
NEWEST, POINTER = 'iter_6.pth', 'last_checkpoint'
Damage = Callable[[Path], object]


class NoteStart(Hook):
    """Writes the iteration at which a training begins."""

    def before_train(self, runner) -> None:
        Path(runner.work_dir, 'start').write_text(str(runner.iter))


def cut(name: str, part: float) -> Damage:
    """Keep the first part of a file."""

    def damage(folder: Path) -> None:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: int(len(whole) * part)])

    return damage


def flip(seed: int) -> Damage:
    """Flip a bit in one of the parts of the newest checkpoint."""

    def damage(folder: Path) -> None:
        chance, path = random.Random(seed), folder / NEWEST
        whole = bytearray(path.read_bytes())
        with zipfile.ZipFile(path) as parts:
            name = chance.choice([i.filename for i in parts.infolist() if i.file_size])
            at = whole.find(parts.read(name)) + chance.randrange(
                parts.getinfo(name).file_size
            )
        whole[at] ^= 1 << chance.randrange(8)
        path.write_bytes(whole)

    return damage


def write(content: bytes, *names: str) -> Damage:
    """Put something else in the place of files."""
    return lambda folder: ([(folder / name).write_bytes(content) for name in names])


def delete(*names: str) -> Damage:
    """Delete files."""
    return lambda folder: [(folder / name).unlink() for name in names]


def both(*damages: Damage) -> Damage:
    """Do several kinds of damage."""
    return lambda folder: [damage(folder) for damage in damages]


def folder_for(name: str) -> Damage:
    """Put an empty folder in the place of a file."""
    return lambda folder: [(folder / name).unlink(), (folder / name).mkdir()]


ALL = [f'iter_{number}.pth' for number in SAVES]
#: Case, damage, and the iteration from which it must go on; None for a refusal.
CASES = [
    ('newest cut to nothing', cut(NEWEST, 0), 4),
    ('newest cut to a half', cut(NEWEST, 0.5), 4),
    ('newest without its last bytes', cut(NEWEST, 0.999), 4),
    *[(f'newest with a flipped bit, {seed}', flip(seed), 4) for seed in range(40)],
    ('newest is another file', write(b'<html></html>', NEWEST), 4),
    ('newest is missing', delete(NEWEST), 4),
    ('newest is an empty folder', folder_for(NEWEST), 4),
    ('two newest are empty', write(b'', *ALL[1:]), 2),
    ('pointer empty', write(b'', POINTER), 6),
    ('pointer of blanks', write(b' \n', POINTER), 6),
    ('pointer wrong', write(b'/nowhere/iter_9.pth', POINTER), 6),
    ('pointer to a folder', write(b'/tmp', POINTER), 6),
    ('pointer of no UTF-8', write(b'\xff\xfe/iter_6.pth', POINTER), 6),
    ('pointer with a null byte', write(b'iter_6\0.pth', POINTER), 6),
    ('pointer absent', delete(POINTER), 6),
    ('pointer is a folder', folder_for(POINTER), 6),
    ('pointer absent and newest cut', both(delete(POINTER), cut(NEWEST, 0.9)), 4),
    ('all empty', write(b'', *ALL), None),
    ('all missing', delete(*ALL), None),
    ('all empty and pointer absent', both(delete(POINTER), write(b'', *ALL)), None),
]


def train(work_dir: Path, hook: dict, iters: int, **changes) -> None:
    """Train with a save after each second iteration."""
    toy_runner(
        work_dir,
        {**hook, 'interval': 2, 'max_keep_ckpts': 3},
        train_cfg=dict(by_epoch=False, max_iters=iters),
        custom_hooks=[NoteStart()],
        log_level='WARNING',
        **changes,
    ).train()


def judge(folder: Path, failed: bool, expected: int | None) -> str | None:
    """Tell what a resumed run did wrong."""
    start = folder / 'start'
    began = int(start.read_text()) if start.exists() else None
    if began != expected:
        return f'began at {began} instead of {expected}'
    if failed != (expected is None):
        return 'failed' if failed else 'did not fail'
    logs = [path.read_text() for path in folder.rglob('*.log')]
    if expected is not None and not any('resuming from' in log for log in logs):
        return 'said nothing'
    return None


def run(quick: bool) -> list[Outcome]:
    """Resume behind every kind of damage; in full with MMEngine's own hook, too."""
    warm_up()
    cases = CASES[:6] + CASES[45:] if quick else CASES
    arms = {'hpml_mm': 'hpml_mm.CheckpointHook', 'stock': 'mmengine.CheckpointHook'}
    if quick:
        del arms['stock']
    outcomes = []
    with tempfile.TemporaryDirectory(prefix='damaged-') as root:
        for arm, kind in arms.items():
            whole, outcome = Path(root, arm), Outcome(PROMISE, arm)
            hook = {'type': kind}
            assert wait(fork(partial(train, whole, hook, 6))) == 0
            (whole / 'start').unlink()
            for number, (name, damage, expected) in enumerate(cases):
                folder = Path(root, f'{arm}-{number}')
                shutil.copytree(whole, folder, ignore=shutil.ignore_patterns('20*'))
                (folder / POINTER).write_text(str(folder / NEWEST))
                damage(folder)
                failed = wait(fork(partial(train, folder, hook, 8, resume=True)))
                outcome.add(name, judge(folder, bool(failed), expected))
            outcomes.append(outcome)
    return outcomes


if __name__ == '__main__':
    main(run)
