# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Programs of SLURM that answer from files; tests/slurm/ has the real ones."""

from pathlib import Path

import pytest

from hpml_mm.experiments import squeue

_PROGRAMS = {
    'sbatch': '[ -f refuses ] && { cat refuses >&2; exit 1; }\n'
    'echo x >> count; cp "$1" script.$(wc -l < count)\n'
    'echo "Submitted batch job $(wc -l < count)"',
    'srun': '',
    'squeue': 'echo x >> asked; exec cat queue',
    'sacct': 'exec cat accounting',
}


class FakeSlurm:
    """Controller that knows what a test tells it.

    Args:
        folder: Folder for the programs, which come first on the path.
        monkeypatch: Takes them off it.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        folder.mkdir()
        for name, text in _PROGRAMS.items():
            program = folder / name
            program.write_text(f'#!/bin/sh\ncd {folder}\n{text}\n')
            program.chmod(0o755)
        monkeypatch.setenv('PATH', str(folder), prepend=':')
        monkeypatch.setattr(squeue, 'ASK_SECONDS', 0.0)
        squeue.queue_of.cache_clear()
        self.queue()

    def queue(self, **states: str) -> None:
        """Have the queue list jobs; ``_1_0='RUNNING'`` is job 1_0."""
        lines = [f'{name[1:]}|{state}|None\n' for name, state in states.items()]
        (self._folder / 'queue').write_text(''.join(lines))

    def accounting(self, **states: str) -> None:
        """Have the accounting know jobs."""
        lines = [f'{name[1:]}|{state}|n1' for name, state in states.items()]
        (self._folder / 'accounting').write_text(
            '\n'.join(['JobID|State|NodeList', *lines])
        )

    def goes(self) -> None:
        """Have the controller answer no more."""
        (self._folder / 'queue').unlink()

    def refuse(self, reason: str) -> None:
        """Have sbatch refuse."""
        (self._folder / 'refuses').write_text(reason)

    def asked(self) -> int:
        """Count the questions about the queue."""
        return len((self._folder / 'asked').read_text().split())

    def scripts(self) -> list[str]:
        """Scripts that were submitted."""
        return [path.read_text() for path in sorted(self._folder.glob('script.*'))]
