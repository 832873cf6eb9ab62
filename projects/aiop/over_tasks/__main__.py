# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Run AIO-P's protocol over the tasks of TransNAS-Bench-101.

    python -m projects.aiop.over_tasks transnas-micro \
        --table data/nas/tnb101_micro_7tasks.csv \
        --source work_dirs/graphs/nas-bench-201.safetensors \
        --rows results/predictor-over-tasks.csv

The source is a cache as `hpml nas cache build` makes it. Finished runs and trained
parts are kept below --work-dir.
"""

import argparse
import itertools
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import track

from hpml_mm.config.arguments import clear_errors
from hpml_mm.experiments.rows import append_results
from hpml_mm.predictor.data.bench import Bench
from hpml_mm.utils.env import environment
from hpml_mm.utils.files import dump_strict, write_atomic
from projects.aiop.cases import DRAW_SEEDS

from .data import TaskDraw, draw_tasks, task_benches
from .methods import METHODS, Budget, Study
from .scores import score_rows, score_table, task_scores

COMMAND = ('python', '-m', 'projects.aiop.over_tasks')
_SAMPLE, _OTHERS = 20, 300


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=' '.join(COMMAND),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('space', choices=['transnas-macro', 'transnas-micro'])
    parser.add_argument('--table', type=Path, required=True, help='scores of all tasks')
    parser.add_argument('--source', type=Path, required=True, help='pre-training set')
    parser.add_argument('--methods', nargs='+', choices=METHODS, default=list(METHODS))
    parser.add_argument('--targets', nargs='+', help='tasks; all by default')
    parser.add_argument('--draws', type=int, nargs='+', default=DRAW_SEEDS)
    parser.add_argument('--pairs', type=int, default=15, help='of other tasks')
    parser.add_argument('--base-epochs', type=int, default=Budget.base)
    parser.add_argument('--adapter-epochs', type=int, default=Budget.adapter)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/over-tasks'))
    parser.add_argument('--rows', type=Path, help='results/NAME.csv')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    torch.set_num_threads(1)
    with clear_errors():
        study = _study(args)
        targets = args.targets or list(study.benches)
        if wrong := [name for name in targets if name not in study.benches]:
            raise ValueError(
                f'--targets {wrong[0]}: there are {", ".join(study.benches)}'
            )
        measured_on = environment()
        todo = list(itertools.product(args.methods, targets, args.draws))
        done = [
            (method, target, _run(study, method, target, seed, args, measured_on))
            for method, target, seed in track(todo, description=args.space)
        ]
        rows = score_rows(args.space, done, shlex.join([*COMMAND, *sys.argv[1:]]))
        if args.rows:
            append_results(args.rows, rows)
    print(score_table(rows))


def _study(args: argparse.Namespace) -> Study:
    benches = task_benches(args.table, args.space, args.work_dir / 'graphs')
    source = Bench.of_cache(args.source)
    budget = Budget(args.base_epochs, args.adapter_epochs)
    return Study(args.space, benches, source, args.work_dir / 'parts', budget, 12345)


def _run(
    study: Study,
    method: str,
    target: str,
    seed: int,
    args: argparse.Namespace,
    measured_on: dict[str, Any],
) -> dict[str, Any]:
    """Scores of one target and draw, the mean over pairs of other tasks; kept."""
    path = args.work_dir / study.space / method / f'{target}-draw{seed}.json'
    if not path.is_file():
        bench = study.benches[target]
        draw = draw_tasks(bench.cache.names, bench.groups, seed, _SAMPLE, _OTHERS)
        found = [
            task_scores(
                METHODS[method].predict(study, target, pair, draw),
                bench.labels[draw.test],
            )
            for pair in _pairs(study, method, target, draw, args.pairs)
        ]
        record = {'scores': found, 'environment': measured_on}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, dump_strict(record))
    return json.loads(path.read_text(encoding='utf-8'))


def _pairs(
    study: Study, method: str, target: str, draw: TaskDraw, count: int
) -> Sequence[tuple[str, ...]]:
    """Pairs of other tasks; of fewer than all, others in each draw."""
    if not METHODS[method].adapters:
        return [()]
    pairs = list(itertools.combinations([t for t in study.benches if t != target], 2))
    first = DRAW_SEEDS.index(draw.seed) if draw.seed in DRAW_SEEDS else draw.seed
    step = max(len(pairs) // count, 1)
    return (pairs * 2)[first % len(pairs) :: step][:count]


if __name__ == '__main__':
    main()
