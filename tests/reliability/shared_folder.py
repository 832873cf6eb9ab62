# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Processes that write one file at the same time, in a folder that they share."""

import itertools
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from harness import fork, kill, wait
from outcomes import Outcome, main

from hpml_mm.experiments.rows import ResultRow, append_results, read_results
from hpml_mm.predictor.data import build
from hpml_mm.predictor.data.build import build_cache
from hpml_mm.utils.files import dump_strict, write_atomic

ROWS = '4 processes append result rows: all are kept, though one more is killed'
CACHE = '4 processes build one graph cache: it is that of one, though one is killed'
WHOLE = '4 processes replace one file: who reads it finds it whole'
PROCESSES, EACH = 4, 10
SPACE = 'nas-bench-macro'


def row(writer: int, number: int) -> ResultRow:
    """Make a row that nothing else writes."""
    return ResultRow(
        experiment=f'writer-{writer}/{number}',
        metric='time(s)',
        unit='s',
        value=1.0,
        spread=None,
        n=1,
        baseline=None,
        command='python -m toy',
        commit='abc1234',
        device='some CPU',
        torch='2',
        date='2026-01-02',
    )


def together(work: Callable[[int], None], folder: Path) -> list[int]:
    """Do work in several processes that begin at once, and in one that is killed."""
    go = folder / 'go'

    def child(number: int) -> None:
        while not go.exists():
            pass
        work(number)

    children = [fork(lambda n=n: child(n)) for n in range(PROCESSES + 1)]
    go.touch()
    doomed = children.pop()
    time.sleep(0.05)  # it is amid its work by now
    kill(doomed)
    codes = [wait(pid) for pid in children]
    go.unlink()
    return codes


def append_rows(folder: Path) -> str | None:
    """Append rows from several processes; tell how many are lost."""
    path = folder / 'rows.csv'

    def work(writer: int) -> None:
        for number in range(EACH):
            append_results(path, [row(writer, number)])

    codes = together(work, folder)
    names = {found.experiment for found in read_results(path)}
    wanted = {f'writer-{w}/{n}' for w in range(PROCESSES) for n in range(EACH)}
    lost = len(wanted - names)
    return (
        f'{lost} of {len(wanted)} lost, codes {codes}' if lost or any(codes) else None
    )


def build_caches(folder: Path) -> str | None:
    """Build one cache in several processes; tell if it is another than that of one."""
    build.PART = 3
    archs = itertools.islice(itertools.product('012', repeat=8), 100, 112)
    facts = {'mean_acc': 90.0, 'std': 0.1, 'params': 1000, 'flops': 5}
    table = folder / 'table.json'
    table.write_text(json.dumps({''.join(arch): facts for arch in archs}))
    alone, shared = folder / 'alone', folder / 'shared'
    build_cache(table, SPACE, alone)
    codes = together(lambda _: build_cache(table, SPACE, shared) and None, folder)
    if any(codes) or shared.read_bytes() != alone.read_bytes():
        return f'codes {codes}'
    return None


def replace_file(folder: Path) -> str | None:
    """Replace one file from several processes, and read it all the while."""
    path = folder / 'file.json'
    path.write_text('[]')

    def work(writer: int) -> None:
        for _ in range(EACH):
            write_atomic(path, dump_strict([writer] * 5000))
            if len(set(json.loads(path.read_text()))) != 1:
                raise AssertionError('two processes have mixed their writing')

    codes = together(work, folder)
    return f'codes {codes}' if any(codes) else None


def run(quick: bool) -> list[Outcome]:
    """Have several processes write, a few rounds of each kind."""
    kinds = {ROWS: append_rows, CACHE: build_caches, WHOLE: replace_file}
    outcomes = []
    for promise, one_round in kinds.items():
        outcome = Outcome(promise, 'hpml_mm')
        for number in range(1 if quick else 20):
            with tempfile.TemporaryDirectory() as folder:
                outcome.add(f'round {number}', one_round(Path(folder)))
        outcomes.append(outcome)
    return outcomes


if __name__ == '__main__':
    main(run)
