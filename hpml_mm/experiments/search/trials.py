# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Trials of a search: each a training of its own, which may outlive the search."""

import math
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.config import Config

from hpml_mm.config.overrides import apply_options
from hpml_mm.experiments.executors import Ended, Executor
from hpml_mm.experiments.jobs import Job, ended_summary, is_running
from hpml_mm.experiments.owner import Owner, beat
from hpml_mm.experiments.records import prepare
from hpml_mm.experiments.runs import Summary, metric_of
from hpml_mm.utils.files import locked
from hpml_mm.utils.studies import load_optuna

from .hold_out import hold_out
from .leaf import write_leaf
from .space import Space, apply_space
from .study import NAME, Settings, grid_of, make_sampler

_POLL_SECONDS = 0.5
# Between two looks at the trials of other searches.
_WAIT_SECONDS = 5.0
_LOCK_SECONDS = 300.0
#: Starts of a trial whose process goes each time.
STARTS = 3
_SEARCH = 'search'
# A score whose classes are told one by one.
_RECALL = 'recall/'


@dataclass(frozen=True)
class TrialEnd:
    """End of a trial, to be told to the user.

    Attributes:
        number: Number in the study.
        state: ``'complete'``, ``'pruned'`` or ``'failed'``.
        values: Values of the metrics; empty unless it is complete.
        reason: Cause of a failure.
    """

    number: int
    state: str
    values: tuple[float, ...] = ()
    reason: str = ''


class Trials:
    """Trials of one study, run by an executor; other searches may run more of them.

    Args:
        study: Study of Optuna.
        place: Its storage, see :func:`~.study.study_url`.
        settings: Settings of the search.
        space: What is searched.
        out: Folder of the search, where trials are ``trials/0000`` and so on.
        executor: Runs the trainings.
    """

    def __init__(
        self,
        study: Any,
        place: str,
        settings: Settings,
        space: Space,
        out: Path,
        executor: Executor,
    ) -> None:
        self.study, self.place, self.settings = study, place, settings
        self.space, self.out, self.executor = space, out, executor
        self._numbers: dict[Job, int] = {}
        # Trials whose processes were killed, with the reason.
        self._lost: dict[int, str] = {}
        name = f'{socket.gethostname()}-{os.getpid()}.owner'
        self._own = out / 'searches' / name
        self._states = load_optuna().trial.TrialState
        #: Trials that the space has, of a grid.
        self.most: int | None = None
        if settings.sampler == 'grid':
            self.most = math.prod(map(len, grid_of(space).values()))

    def run(self, count: int) -> Iterator[TrialEnd]:
        """Run trials until the study has so many, those of other searches included.

        It waits for these, and goes on with them if their search is gone.

        Yields:
            The end of each trial that this search has seen to its end.
        """
        count = count if self.most is None else min(count, self.most)
        Owner.of(os.getpid()).write(self._own)
        try:
            while True:
                beat(self._own)
                ends = [self._tell(end) for end in self.executor.ended()]
                if self.executor.free():
                    # Nobody else may take a trial between its choice and its start.
                    with locked(self.out / 'trials', _LOCK_SECONDS):
                        ends += self._go_on()
                        self._start(count)
                yield from (end for end in ends if end is not None)
                if len(self._all()) >= count and not self._any_running():
                    return
                if not ends:
                    own = self.executor.running()
                    time.sleep(_POLL_SECONDS if own else _WAIT_SECONDS)
        finally:
            self._own.unlink(missing_ok=True)

    def job(self, number: int) -> Job:
        """Training of a trial."""
        place = self.out / 'trials' / f'{number:04}'
        words = (str(place.with_suffix('.py')), '--seed', str(self.settings.seed))
        return Job(place, words)

    def _start(self, count: int) -> None:
        while self.executor.free() and (number := len(self._all())) < count:
            trial = self._ask(number)
            trial.set_user_attr(_SEARCH, self._own.name)
            job = self.job(trial.number)
            change = partial(self._change, number=trial.number, chosen=trial.params)
            write_leaf(job.directory.with_suffix('.py'), self.settings.config, change)
            prepare(job)
            self._run(job, trial.number)

    def _ask(self, number: int) -> Any:
        """Make a trial, whose choices a sampler of its own makes."""
        ending = self.study.sampler
        self.study.sampler = make_sampler(self.settings, self.space, number)
        try:
            trial = self.study.ask()
            self.space.suggest(trial)
            return trial
        finally:
            # That of a grid would stop an optimization of Optuna's own, at its end.
            self.study.sampler = ending

    def _any_running(self) -> bool:
        return any(trial.state == self._states.RUNNING for trial in self._all())

    def _change(self, cfg: Config, number: int, chosen: Mapping[str, Any]) -> None:
        """Change the config into that of a trial."""
        apply_options(cfg, dict(self.settings.options))
        apply_space(cfg, self.space.options(chosen))
        hold_out(cfg, self.settings.share, self.settings.seed)
        if len(self.settings.metrics) > 1:  # Optuna takes reports of one alone
            return
        hooks = cfg.setdefault('default_hooks', {})
        hooks['pruning'] = dict(
            type='hpml_mm.PruningHook',
            storage=self.place,
            study=NAME,
            trial=number,
            metric=self.settings.metrics[0].removeprefix('best/'),
            pruner=self.settings.pruner,
        )

    def _run(self, job: Job, number: int) -> None:
        self._numbers[job] = number
        if not self.executor.start(job):
            raise RuntimeError(f'{job.directory} is run by another process')

    def _go_on(self) -> list[TrialEnd | None]:
        """Go on with trials whose processes are gone, and with those of lost searches.

        Returns:
            The ends of trials that had ended, or that are given up.
        """
        ends: list[TrialEnd | None] = []
        for trial in self._all():
            if trial.state != self._states.RUNNING:
                continue
            number, job = trial.number, self.job(trial.number)
            if number not in self._lost and (self._kept(trial) or is_running(job)):
                continue
            if not job.record.is_file():
                ends.append(self._fail(number, 'its search was gone before it began'))
            elif ended_summary(job) is not None:
                ends.append(self._tell(Ended.of(job), number))
            elif self.executor.free():
                reason = self._lost.pop(number, None) or self._gone(job)
                if self._mark(trial, reason) < STARTS:
                    self._note(number, _SEARCH, self._own.name)
                    self._run(job, number)
                else:
                    ends.append(self._fail(number, f'{STARTS} times: {reason}'))
        return ends

    def _kept(self, trial: Any) -> bool:
        """Return whether a search that lives looks after a trial."""
        path = self._own.with_name(trial.user_attrs.get(_SEARCH, 'none'))
        owner = Owner.read(path)
        return owner is not None and owner.lives(path)

    def _gone(self, job: Job) -> str:
        owner = Owner.read(job.owner)
        if owner is None:
            return 'its process is gone'
        return f'{owner} is gone'

    def _mark(self, trial: Any, reason: str) -> int:
        """Note at a trial that its process is gone; returns how often that was."""
        losses = [*trial.user_attrs.get('losses', ()), reason]
        self._note(trial.number, 'losses', losses)
        return len(losses)

    def _tell(self, end: Ended, number: int | None = None) -> TrialEnd | None:
        """Tell the study of the end of a training; None if that is to go on."""
        number = self._numbers.get(end.job) if number is None else number
        assert number is not None
        if end.summary is None:
            if end.killed:
                self._lost[number] = end.reason
                return None
            return self._fail(number, end.reason)
        self._note(number, 'collapsed', collapsed(end.summary))
        if end.summary['status'] == 'pruned':
            self.study.tell(number, state=self._states.PRUNED, skip_if_finished=True)
            return TrialEnd(number, 'pruned')
        try:
            values = [metric_of(end.summary, one) for one in self.settings.metrics]
            self._constrain(number, end.summary)
        except ValueError as error:
            return self._fail(number, str(error))
        self.study.tell(number, values, skip_if_finished=True)
        return TrialEnd(number, 'complete', tuple(values))

    def _constrain(self, number: int, summary: Summary) -> None:
        """Note by how much a trial exceeds its limits."""
        trial = self._open(number)
        for metric, most in self.settings.at_most.items():
            trial.set_constraint(metric, metric_of(summary, metric) - most)

    def _fail(self, number: int, reason: str) -> TrialEnd:
        self._note(number, 'reason', reason)
        self.study.tell(number, state=self._states.FAIL, skip_if_finished=True)
        return TrialEnd(number, 'failed', reason=reason)

    def _note(self, number: int, key: str, value: Any) -> None:
        self._open(number).set_user_attr(key, value)

    def _open(self, number: int) -> Any:
        return load_optuna().trial.Trial(self.study, self._all()[number]._trial_id)

    def _all(self) -> list[Any]:
        return self.study.get_trials(deepcopy=False)


def collapsed(summary: Summary) -> bool | None:
    """True for a classifier that predicts one class alone.

    All recalls but one are then 0. None where the summary does not tell them.
    """
    metrics = summary.get('metrics') or {}
    recalls = [value for key, value in metrics.items() if _RECALL in key]
    if len(recalls) < 2 or any(value is None for value in recalls):
        return None
    return sum(value > 0 for value in recalls) == 1
