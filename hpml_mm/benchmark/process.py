# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Measuring processes, and alternating rounds over them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from hpml_mm.experiments.runs import check_same_environment
from hpml_mm.utils.stats import turns

from .jobs import Job, Side
from .session import Lap

_LAST_LINES = 8
_ERROR = 'error: '


class SideFailedError(RuntimeError):
    """A measuring process ended before it answered.

    Attributes:
        code: Its exit code, negative for a signal.
        killed: True if something else ended it, most likely for want of memory.
        reason: The last line it left.
    """

    def __init__(self, label: str, code: int, log: str) -> None:
        lines = [line for line in log.strip().splitlines() if line.strip()]
        self.code = code
        self.killed = code == -signal.SIGKILL
        self.reason = lines[-1].removeprefix(_ERROR) if lines else f'exit code {code}'
        if self.killed:
            self.reason = 'killed, as a system does that runs out of memory'
        shown = [self.reason]
        if not self.killed and not (lines and lines[-1].startswith(_ERROR)):
            shown = ['its last lines:', *lines[-_LAST_LINES:]]
        super().__init__(f'{label} failed ({code}): ' + '\n  '.join(shown))


@dataclass(frozen=True)
class Plan:
    """Number and length of the measured rounds.

    Attributes:
        rounds: Timings of each side.
        seconds: What a round should take, where ``batches`` is None.
        batches: Iterations of a round.
        warmup: Iterations before a side's first round.
        profile: True to ask each side, at the end, where its time goes.
    """

    rounds: int
    seconds: float
    batches: int | None = None
    warmup: int = 3
    profile: bool = False


@dataclass
class SideResult:
    """Measured rounds of one side, and the environment of its process.

    Attributes:
        side: Side that was measured.
        environment: Environment of its process.
        laps: One for each round.
        profile: Markdown table of the profile.
        note: CPU set-up of its process.
    """

    side: Side
    environment: dict[str, Any]
    laps: list[Lap] = field(default_factory=list)
    profile: str | None = None
    note: str = ''


class Worker:
    """A measuring process, whose job and log lie in a directory.

    ``threads`` are those of its OpenMP, and so of PyTorch; None leaves them open.
    """

    def __init__(self, job: Job, directory: Path, threads: int | None = None) -> None:
        self.label = job.side.label
        directory.mkdir(parents=True, exist_ok=True)
        self._log = directory / 'log'
        job.write(directory / 'job.json')
        env = dict(os.environ)
        if threads is not None:
            env |= {'OMP_NUM_THREADS': str(threads), 'MKL_NUM_THREADS': str(threads)}
        words = ['hpml_mm.benchmark.worker', str(directory / 'job.json')]
        # Packages print while they are imported: answers have a pipe of their own.
        read, write = os.pipe()
        self._answers = os.fdopen(read, encoding='utf-8')
        with self._log.open('w') as log, os.fdopen(write):
            # A group of its own: Ctrl-C is for the one that started it.
            process = subprocess.Popen(
                [sys.executable, '-m', *words, str(write)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                env=env,
                pass_fds=(write,),
                start_new_session=True,
            )
        assert process.stdin is not None
        self._process, self._requests = process, process.stdin

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer.

        Raises:
            SideFailedError: If the process ends instead.
        """
        with contextlib.suppress(BrokenPipeError):  # its log says why
            self._requests.write(json.dumps(request) + '\n')
            self._requests.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """Wait for a line.

        Raises:
            SideFailedError: If the process ends instead.
        """
        line = self._answers.readline()
        if not line:
            code = self._process.wait()
            log = self._log.read_text(encoding='utf-8', errors='replace')
            raise SideFailedError(self.label, code, log)
        return json.loads(line)

    def close(self) -> None:
        """End the process and its loader's workers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._requests, self._answers):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def measure(
    jobs: Sequence[Job],
    plan: Plan,
    directory: Path,
    threads: int | None = None,
    log: Callable[[str], None] = print,
) -> list[SideResult]:
    """Time all jobs in alternating rounds, each in its own process.

    While one side is timed the others wait for a request and do nothing. Every other
    round goes the other way round, so that drift favours nobody. ``log`` gets a line
    for each step.

    Raises:
        SideFailedError: If one fails; all are ended.
        ValueError: If the code or the device is not the same on all sides.
    """
    with ExitStack() as stack:
        workers = []
        for index, job in enumerate(jobs):
            workers.append(Worker(job, directory / str(index), threads))
            stack.callback(workers[-1].close)
        log(f'starting {", ".join(worker.label for worker in workers)}')
        found = [
            SideResult(job.side, **worker.answer())
            for job, worker in zip(jobs, workers, strict=True)
        ]
        check_same_environment(
            {result.side.label: result.environment for result in found},
            'something changed while they were started; run it again',
        )
        iterations = [_prepare(worker, plan, log) for worker in workers]
        sides = list(zip(workers, found, iterations, strict=True))
        for number, order in enumerate(turns(sides, plan.rounds)):
            for worker, result, count in order:
                lap = Lap(**worker.ask(do='round', iterations=count))
                result.laps.append(lap)
            log(f'round {number + 1} of {plan.rounds}: {_round_line(found)}')
        if plan.profile:
            for worker, result in zip(workers, found, strict=True):
                result.profile = worker.ask(do='profile')['table']
        return found


def _prepare(worker: Worker, plan: Plan, log: Callable[[str], None]) -> int:
    log(f'warming up {worker.label}')
    return worker.ask(
        do='prepare', warmup=plan.warmup, seconds=plan.seconds, batches=plan.batches
    )['iterations']


def _round_line(found: Sequence[SideResult]) -> str:
    laps = [(result.side.label, result.laps[-1]) for result in found]
    return ', '.join(f'{label} {lap.seconds:.2f} s' for label, lap in laps)


def stop(signum: int, frame: FrameType | None = None) -> NoReturn:
    """Signal handler: raise ``SystemExit``, so that workers are closed."""
    sys.exit(128 + signum)
