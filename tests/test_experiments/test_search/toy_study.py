# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Trials whose trainings end at once, or when a test says so."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from toy_tools import TOY

from hpml_mm.experiments.executors import Ended
from hpml_mm.experiments.jobs import Job
from hpml_mm.experiments.search.space import Parameter, Space
from hpml_mm.experiments.search.study import Settings, open_study
from hpml_mm.experiments.search.trials import Trials

LR = 'optim_wrapper.optimizer.lr'
SPACE = Space((Parameter(LR, 'float', low=0.001, high=0.1, log=True),))
ACCURACY = 'accuracy/top1'


def summary(score=50.0, status='finished', **changes):
    return {
        'status': status,
        'metrics': {ACCURACY: score},
        'measurements': {'params(M)': 2.0},
        **changes,
    }


@dataclass
class ToyExecutor:
    """Executor of one job at a time; ``outcomes`` are those of its starts, in turn.

    An outcome is a summary, or the exit code of a process that leaves none. The last
    one stays.
    """

    outcomes: list = field(default_factory=lambda: [summary()])
    started: list[Job] = field(default_factory=list)
    held: list[Job] = field(default_factory=list)

    def free(self):
        return 1 - len(self.held)

    def start(self, job):
        self.started.append(job)
        self.held.append(job)
        return True

    def ended(self):
        return [self._end(self.held.pop())] if self.held else []

    def running(self):
        return self.held

    def close(self):
        pass

    def _end(self, job):
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, int):
            job.log.write_text('a note\nValueError: what went wrong\n')
            return Ended.of(job, outcome)
        job.directory.mkdir(parents=True, exist_ok=True)
        (job.directory / 'summary.json').write_text(json.dumps(outcome))
        return Ended.of(job, 0)


def toy_trials(
    out: Path, executor=None, storage=None, space=SPACE, **settings
) -> Trials:
    """Trials of the toy config, whose learning rate is searched."""
    place = storage or str(out / 'journal.log')
    values = {'metrics': (ACCURACY,), 'pruner': 'none', **settings}
    settings = Settings(config=str(TOY), space='', **values)
    study = open_study(place, settings)
    return Trials(study, place, settings, space, out, executor or ToyExecutor())
