# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Run a long command with one quiet line on the screen, and tell when it hangs.

Standard library only.
"""

import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

#: Seconds without a byte, a line or work of the processor that are called a hang.
HANG_SECONDS = 30
#: Seconds between two lines of progress where the output is no terminal.
LINE_SECONDS = 30
_MB = 10**6


class Screen:
    """One line for a step: written over in a terminal, else repeated now and then.

    Args:
        title: What the line begins with.
        stream: Where it is shown.
    """

    def __init__(self, title: str, stream: TextIO) -> None:
        self.title, self.stream = title, stream
        self.terminal = stream.isatty()
        self.shown_at = time.monotonic()
        self.shown = title
        self._write(title)

    def _write(self, text: str) -> None:
        start, end = ('\r\033[K', '') if self.terminal else ('', '\n')
        self.stream.write(f'{start}{text}{end}')
        self.stream.flush()

    def progress(self, size: int, unpacks: bool) -> None:
        """Show how much has been downloaded, and that it is being unpacked."""
        text = f'{self.title}: {size // _MB:,} MB' + ', unpacking' * unpacks
        now = time.monotonic()
        wait = 1 if self.terminal else LINE_SECONDS
        if size and text != self.shown and now - self.shown_at >= wait:
            self.shown_at, self.shown = now, text
            self._write(text)

    def tell(self, text: str) -> None:
        """Write a line that stays."""
        self._write(text)
        self.end()

    def end(self) -> None:
        """Leave the line."""
        if self.terminal:
            self.stream.write('\n')
            self.stream.flush()


def run_quietly(
    command: Sequence[str | Path],
    title: str,
    *,
    env: Mapping[str, str],
    cwd: Path,
    log: Path,
) -> tuple[int, list[str]]:
    """Run a command; its output goes to a file.

    Args:
        command: Program and arguments.
        title: Line on the screen while it runs.
        env: Environment; TMPDIR is added, so that downloads can be watched.
        cwd: Folder that it runs in.
        log: File that its output is added to.

    Returns:
        Exit status, and the lines that it printed.
    """
    screen = Screen(title, sys.stdout)
    with (
        tempfile.TemporaryDirectory(prefix='hpml_mm-setup-') as folder,
        log.open('a', encoding='utf-8') as file,
        subprocess.Popen(
            command,
            cwd=cwd,
            env={**env, 'TMPDIR': folder},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
        ) as process,
    ):
        file.write(f'$ {" ".join(map(str, command))}\n')
        lines = _watch(process, Path(folder), screen, file)
    screen.end()
    return process.returncode, lines


def _watch(
    process: subprocess.Popen, folder: Path, screen: Screen, file: TextIO
) -> list[str]:
    """Read the output to its end, and look in between whether anything moves."""
    arrived: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process, arrived), daemon=True)
    reader.start()
    lines: list[str] = []
    seen: tuple[int, ...] = ()
    moved_at = told_at = time.monotonic()
    while True:
        try:
            line = arrived.get(timeout=0.5)
            if line is None:
                reader.join()
                return lines
            lines.append(line.rstrip())
            file.write(line)
        except queue.Empty:
            pass
        size = folder_size(folder)
        state = (len(lines), size, processor_ticks(process.pid))
        now = time.monotonic()
        if state != seen:
            seen, moved_at, told_at = state, now, now
            unpacks = any(line.startswith('Installing collected') for line in lines)
            screen.progress(size, unpacks)
        elif now - told_at >= HANG_SECONDS:
            told_at = now
            last = lines[-1].strip()[:100] if lines else 'it began'
            screen.tell(
                f'setup: nothing has come for {now - moved_at:.0f} s, after: {last}. '
                'Waiting; Ctrl-C stops, and the same command goes on from there'
            )


def _read(process: subprocess.Popen, arrived: 'queue.Queue[str | None]') -> None:
    for line in process.stdout or ():
        arrived.put(line)
    arrived.put(None)


def folder_size(folder: Path) -> int:
    """Bytes of the files in a folder, some of which come and go."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return size


def processor_ticks(pid: int) -> int:
    """Ticks that a process has computed for, with its ended children; 0 if unknown."""
    try:
        text = Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return 0
    # After the name, which may hold anything, comes the third field.
    return sum(map(int, text.rpartition(')')[2].split()[11:15]))
