# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Trials a minute that the storages of a search take.

    python tests/search_storage.py --rows results/search-storage.csv

A trial asks for three parameters, reports three values and tells the last, and trains
nothing. The sampler is the random one, so that the storage alone takes time.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

from hpml_mm.experiments.rows import ResultRow, append_results, result_row
from hpml_mm.experiments.search.study import study_url
from hpml_mm.utils.env import environment
from hpml_mm.utils.stats import quartiles
from hpml_mm.utils.studies import load_optuna, open_storage

REPORTS = 3
METRIC = 'trials(1/min)'


def run_trials(place: str, trials: int, seed: int, ready: Barrier) -> None:
    """Run trials of one process of a search, once all of them are ready."""
    optuna = load_optuna()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(
        study_name='s',
        storage=open_storage(place),
        sampler=optuna.samplers.RandomSampler(seed=seed),
    )
    ready.wait()
    for _ in range(trials):
        trial = study.ask()
        value = sum(trial.suggest_float(name, 0, 1) for name in 'abc')
        for step in range(REPORTS):
            trial.report(value, step)
        study.tell(trial, value)


def trials_a_minute(storage: str, processes: int, trials: int) -> float:
    """Measure a new study of so many trials in all, on a disk of this machine."""
    optuna = load_optuna()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['optuna.storages', 'hpml_mm.experiments.rows'])
    with tempfile.TemporaryDirectory() as folder:
        place = study_url(storage, Path(folder))
        optuna.create_study(study_name='s', storage=open_storage(place))
        ready = context.Barrier(processes + 1)
        workers = [
            context.Process(
                target=run_trials, args=(place, trials // processes, seed, ready)
            )
            for seed in range(processes)
        ]
        for worker in workers:
            worker.start()
        ready.wait()
        begin = time.perf_counter()
        for worker in workers:
            worker.join()
        seconds = time.perf_counter() - begin
        if any(worker.exitcode for worker in workers):
            raise RuntimeError(f'{storage} failed with {processes} processes')
        found = len(
            optuna.load_study(study_name='s', storage=open_storage(place)).trials
        )
    return 60 * found / seconds


def measure(trials: int, rounds: int) -> list[ResultRow]:
    """Rows of both storages, with 1 and 4 processes in turns."""
    cases = [(name, count) for count in (1, 4) for name in ('journal', 'sqlite')]
    found: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
    for _ in range(rounds):
        for case in cases:
            found[case].append(trials_a_minute(*case, trials))
            print(*case, f'{found[case][-1]:.0f} {METRIC}', flush=True)
    return [
        result_row(
            f'search-storage/{name}-{count}',
            METRIC,
            quartiles(values).median_iqr,
            n=rounds,
            environment=environment(),
            argv=sys.argv,
        )
        for (name, count), values in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--trials', type=int, default=200, help='of a study')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--rows', type=Path, required=True)
    args = parser.parse_args()
    append_results(args.rows, measure(args.trials, args.rounds))


if __name__ == '__main__':
    main()
