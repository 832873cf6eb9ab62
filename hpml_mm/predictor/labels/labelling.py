# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Trainings that label the networks of a plan, and the tables that they become."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hpml_mm.experiments.executors import Ended, Executor, run_all
from hpml_mm.experiments.jobs import Job, ended_summary
from hpml_mm.experiments.overview import state_of
from hpml_mm.experiments.runs import Summary, read_summary
from hpml_mm.experiments.sweep import Run, Variant
from hpml_mm.utils.files import locked

from .hours import Estimate
from .networks import Networks
from .scores import Row, Score, row_of, write_cache, write_seed_table, write_table


class Labelling:
    """Trainings of networks with some seeds each, and the table of all in the folder.

    Several of them, of other parts of the networks, may share the folder.

    Args:
        networks: The networks.
        scores: Metrics that count.
        seeds: Seeds of each network's trainings.
        table: Table to write.
    """

    def __init__(
        self,
        networks: Networks,
        scores: Sequence[Score],
        seeds: Sequence[int],
        table: Path,
    ) -> None:
        self.networks, self.scores, self.seeds = networks, scores, seeds
        self.table = table
        self._finished: dict[Job, Summary] = {}
        self._failed: dict[Job, str] = {}

    @property
    def cache(self) -> Path:
        """Cache of the labelled networks."""
        return self.table.with_suffix('.cache')

    @property
    def seed_table(self) -> Path:
        """Table of the score of each seed."""
        return self.table.with_suffix('.seeds.csv')

    def job(self, number: int, seed: int) -> Job:
        """Training of a network."""
        leaf = str(self.networks.leaf(number))
        run = Run(Variant(self.networks.label(number), leaf), seed, seeded=True)
        return run.job(self.networks.folder)

    def run(
        self,
        numbers: Sequence[int],
        executor: Executor,
        estimate: Estimate | None = None,
        max_hours: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Iterator[tuple[int, int, Ended]]:
        """Train what has not finished, all seeds of a network after one another.

        The table is written after each training, the cache at the end.

        Args:
            numbers: The networks, which are prepared.
            executor: Runs the trainings.
            estimate: Hours of trainings; needed with ``max_hours``.
            max_hours: Start no training that would end later; None to start all.
            clock: Tells the time in seconds.

        Yields:
            Number of the network, seed and end of each training, as they end.

        Raises:
            ValueError: A folder holds the training of another config, or trainings do
                not give a metric.
        """
        jobs = {self.job(n, seed): (n, seed) for n in numbers for seed in self.seeds}
        begin = clock()

        def wanted(job: Job) -> bool:
            if estimate is None or max_hours is None:
                return True
            spent = (clock() - begin) / 3600
            return spent + estimate.hours(self._macs(jobs[job][0])) <= max_hours

        try:
            for end in run_all(list(jobs), executor, wanted):
                number, seed = jobs[end.job]
                self._note(end)
                if estimate is not None and end.summary is not None:
                    seconds = end.summary['train']['wall_time(s)']
                    if seconds:
                        estimate.observe(self._macs(number), seconds / 3600)
                self.write()
                yield number, seed, end
        finally:
            self.write(with_cache=True)

    def write(self, with_cache: bool = False) -> list[Row]:
        """Write the tables of all that has ended in the folder.

        Args:
            with_cache: Write the cache of graphs too.

        Returns:
            The rows.
        """
        with locked(self.table):
            rows = self.rows()
            write_table(self.table, rows, self.scores)
            if len(self.seeds) > 1:
                write_seed_table(self.seed_table, rows, self.scores, self.seeds)
            if with_cache and any(row.scores for row in rows):
                write_cache(self.cache, rows, self.scores)
        return rows

    def rows(self) -> list[Row]:
        """Rows of the networks that have all scores, or of which a training failed."""
        found = (self.row(number) for number in self.networks.known())
        return [row for row in found if row is not None]

    def row(self, number: int) -> Row | None:
        """Row of a network; None while it lacks trainings."""
        summaries, failures = {}, {}
        for seed in self.seeds:
            job = self.job(number, seed)
            summary = self._summary(job)
            if summary is not None:
                summaries[seed] = summary
            elif reason := self._reason(job):
                failures[seed] = reason
        if not failures and len(summaries) < len(self.seeds):
            return None
        return row_of(self.networks.entry(number), self.scores, summaries, failures)

    def _macs(self, number: int) -> float:
        return self.networks.entry(number).metrics['macs']

    def _note(self, end: Ended) -> None:
        if end.summary is None:
            self._failed[end.job] = end.reason
            return
        for score in self.scores:
            score.check(end.summary)
        self._finished[end.job] = end.summary
        if not self.networks.plan.keep_checkpoints:
            for name in ('*.pth', 'last_checkpoint'):
                for path in end.job.directory.glob(name):
                    path.unlink(missing_ok=True)

    def _summary(self, job: Job) -> Summary | None:
        if job not in self._finished:
            summary = ended_summary(job)
            if summary is None:
                return None
            self._finished[job] = summary
        return self._finished[job]

    def _reason(self, job: Job) -> str:
        """Reason of a failure; empty for a training that waits, runs or may go on."""
        if job in self._failed:
            return self._failed[job]
        if not job.log.is_file():
            return ''
        summary = read_summary(job.directory / 'summary.json')
        state = state_of(job.directory, summary)
        return state.detail or 'it failed' if state.state == 'failed' else ''
