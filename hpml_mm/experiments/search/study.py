# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Study of Optuna: its storage, sampler, pruner, and what all its searches share."""

import re
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hpml_mm.experiments.rows import unit_of
from hpml_mm.utils.files import to_strict
from hpml_mm.utils.studies import load_optuna, open_storage

from .space import Space

SAMPLERS = ('tpe', 'random', 'grid', 'qmc')
#: Name of the only study of a storage that ``hpml search`` makes for itself.
NAME = 'search'
_SETTINGS = 'hpml_mm'
# Of which less is better; all others are scores.
_COST_UNITS = {'s', 'ms', 'us', 'GiB', 'MiB', 'kB', 'MB', 'GMACs', 'M', 'J', 'W'}
_TIMES = {'img/s', 'it/s', 's', 'ms', 'us'}
_COSTS = {'loss', 'error', 'NME', 'EPE', 'MAE', 'MSE', 'wait', 'idle'}


@dataclass(frozen=True)
class Settings:
    """Settings that all searches of one study share.

    Attributes:
        config: Config that is searched around.
        space: Text of the space.
        metrics: One metric that counts, or two.
        at_most: Metric to the greatest value that it may have.
        options: Overrides of all trials.
        digest: Of what the config holds.
        share: Share of the training set that is selected on.
        seed: Of the sampler, of the held-out part and of the trials' trainings.
        sampler: One of :data:`SAMPLERS`.
        pruner: One of :data:`hpml_mm.utils.studies.PRUNERS`.
    """

    config: str
    space: str
    metrics: tuple[str, ...]
    sampler: str = 'tpe'
    pruner: str = 'median'
    digest: str = ''
    share: float = 0.1
    seed: int = 0
    at_most: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= len(self.metrics) <= 2 or len(set(self.metrics)) < len(
            self.metrics
        ):
            raise ValueError(
                f'--metric {" ".join(self.metrics)}: give one, or two that differ'
            )
        if len(self.metrics) == 2 and self.pruner != 'none':
            raise ValueError(
                f'--pruner {self.pruner} with two metrics: Optuna prunes by one alone; '
                'take --pruner none'
            )
        if not 0 < self.share < 1:
            raise ValueError(f'--held-out {self.share}: it is between 0 and 1')
        for metric in (*self.metrics, *self.at_most):
            unit_of(metric)


def direction_of(metric: str) -> str:
    """``'minimize'`` for costs, errors and losses, ``'maximize'`` for scores."""
    unit = unit_of(metric)
    words = set(re.split(r'[/_(]', metric))
    return 'minimize' if unit in _COST_UNITS or words & _COSTS else 'maximize'


def is_timed(metric: str) -> bool:
    """Return whether a metric depends on what else runs on the machine."""
    return unit_of(metric) in _TIMES


def study_url(storage: str, out: Path) -> str:
    """Place of the storage that ``--storage`` names.

    Args:
        storage: ``'journal'`` or ``'sqlite'`` in the folder, or the URL of a database.
        out: Folder of the search.

    Raises:
        ValueError: It is none of these.
    """
    if storage == 'journal':
        return str(out / 'journal.log')
    if storage == 'sqlite':
        return f'sqlite:///{(out / "study.db").resolve()}'
    if '://' not in storage:
        raise ValueError(
            f'--storage {storage}: take journal, sqlite or the URL of a database'
        )
    return storage


def open_study(place: str, settings: Settings) -> Any:
    """Make the study, or open that of an earlier or another search.

    Args:
        place: See :func:`study_url`.
        settings: Settings of the search.

    Raises:
        ValueError: The study has other settings, or is SQLite's of another machine.
    """
    optuna = load_optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=open_storage(place),
        # Trials choose by a sampler of their own; this one is told of their ends.
        sampler=optuna.samplers.RandomSampler(),
        study_name=NAME,
        directions=[direction_of(metric) for metric in settings.metrics],
        load_if_exists=True,
    )
    wanted = to_strict(asdict(settings))
    held = study.user_attrs.get(_SETTINGS)
    if held is None:
        with _without_warnings():
            study.set_metric_names(list(settings.metrics))
        study.set_user_attr(_SETTINGS, wanted)
        study.set_user_attr('host', socket.gethostname())
        return study
    # Searches of one study may sample and prune in different ways.
    free = ('sampler', 'pruner')
    differing = [k for k in wanted if k not in free and held.get(k) != wanted[k]]
    if differing:
        key = differing[0]
        raise ValueError(
            f'the study in {place} has {key}={held.get(key)!r}, and this search '
            f'{wanted[key]!r}: choose another --out'
        )
    host = study.user_attrs.get('host')
    if place.startswith('sqlite') and host != socket.gethostname():
        raise ValueError(
            f'{place} was made on {host}, and SQLite is for one machine only: take '
            '--storage journal, or a database by its URL, in another --out'
        )
    return study


def make_sampler(settings: Settings, space: Space, number: int) -> Any:
    """Make the sampler of one trial.

    Its random numbers follow from seed and number of the trial: a search that goes on,
    or another one of the same study, must not draw those of the trials before again.

    Raises:
        ValueError: A grid has conditions, or a parameter without an end of values.
    """
    samplers = load_optuna().samplers
    own = int(np.random.SeedSequence((settings.seed, number)).generate_state(1)[0])
    if settings.sampler == 'tpe':
        # Conditions make groups of parameters that occur together.
        with _without_warnings():
            return samplers.TPESampler(seed=own, multivariate=True, group=True)
    if settings.sampler == 'random':
        return samplers.RandomSampler(seed=own)
    if settings.sampler == 'qmc':
        # The study counts the points of the sequence, which has no place for parameters
        # with a condition.
        with _without_warnings():
            return samplers.QMCSampler(
                seed=settings.seed,
                scramble=True,
                independent_sampler=samplers.RandomSampler(seed=own),
                warn_independent_sampling=False,
            )
    return samplers.GridSampler(grid_of(space), seed=settings.seed)


def grid_of(space: Space) -> dict[str, list[Any]]:
    """List the values of each parameter for a grid.

    Raises:
        ValueError: It has conditions, or a parameter without an end of values.
    """
    conditional = [one.key for one in space.parameters if one.when]
    if conditional:
        raise ValueError(
            f'--sampler grid: {conditional[0]} has a condition, which a grid has not; '
            'take another sampler'
        )
    return {one.key: one.grid() for one in space.parameters}


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Context of functions that Optuna calls experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', load_optuna().exceptions.ExperimentalWarning)
        yield
