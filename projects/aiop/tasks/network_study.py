# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Run AIO-P's protocol over the tasks of TransNAS-Bench-101.

    python -m projects.aiop.tasks.network_study micro --tables data/nas \
        --source work_dirs/graphs/nas-bench-201.safetensors \
        --rows results/predictor-task-networks.csv

Splits, metrics and names of rows are those of `python -m projects.aiop.tasks`. The
source is a cache as `hpml nas cache build` makes it. Finished runs and trained parts
are kept below --work-dir.
"""

import argparse
import itertools
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.progress import track

from hpml_mm.config.command.errors import clear_errors
from hpml_mm.experiments.rows import append_results
from hpml_mm.predictor.data.bench import Bench
from hpml_mm.utils.env import environment
from hpml_mm.utils.files import dump_strict, write_atomic
from projects.aiop.cases import DRAW_SEEDS

from .graphs import task_benches
from .methods import Target
from .networks import NETWORKS, Budget, Study
from .protocol import Published, Split, pairs
from .rows import Score, measure, summary, task_rows

COMMAND = ('python', '-m', 'projects.aiop.tasks.network_study')
LABELLED = 20


def parse_args() -> argparse.Namespace:
    """Arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=' '.join(COMMAND),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('name', choices=('macro', 'micro'))
    parser.add_argument('--tables', type=Path, required=True, help='folder of tables')
    parser.add_argument('--source', type=Path, required=True, help='pre-training set')
    parser.add_argument(
        '--methods', nargs='+', choices=NETWORKS, default=list(NETWORKS)
    )
    parser.add_argument('--draws', type=int, nargs='+', default=DRAW_SEEDS)
    parser.add_argument('--pairs', type=int, default=15, help='of other tasks')
    parser.add_argument('--base-epochs', type=int, default=Budget.base)
    parser.add_argument('--adapter-epochs', type=int, default=Budget.adapter)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/over-tasks'))
    parser.add_argument('--rows', type=Path, help='results/NAME.csv')
    return parser.parse_args()


def main() -> None:
    """Print the means over tasks, and write all rows."""
    args = parse_args()
    torch.set_num_threads(1)
    with clear_errors():
        # Once: what runs is the code that was there when the program began.
        measured_on = environment()
        published = Published.read(args.tables, args.name)
        study = Study(
            task_benches(published, args.work_dir / 'graphs'),
            Bench.of_cache(args.source),
            args.work_dir / 'parts',
            Budget(args.base_epochs, args.adapter_epochs),
        )
        tasks = range(len(published.table.metrics))
        todo = list(itertools.product(args.methods, args.draws, tasks))
        scores = []
        for method, draw, task in track(todo, description=args.name):
            folder = args.work_dir / args.name / method
            path = folder / f'task{task}-draw{draw}-pairs{args.pairs}.json'
            if not path.is_file():
                chosen = _pairs(method, len(tasks), task, draw, args.pairs)
                found = _run(study, published, method, task, draw, chosen)
                folder.mkdir(parents=True, exist_ok=True)
                write_atomic(path, dump_strict(found))
            held = json.loads(path.read_text(encoding='utf-8'))
            scores += [Score('20-networks', method, task, draw, one) for one in held]
        command = shlex.join([*COMMAND, *sys.argv[1:]])
        rows = task_rows(args.name, published, scores, command, measured_on)
        if args.rows:
            append_results(args.rows, rows)
    print(summary(rows))


def _run(
    study: Study,
    published: Published,
    method: str,
    task: int,
    draw: int,
    chosen: Sequence[tuple[int, ...]],
) -> list[dict[str, float]]:
    """Metrics of a target and a draw, for each pair of other tasks."""
    split = Split.draw(published, draw)
    metric = published.table.metrics[task]
    labels = published.table.scores[split.test, task]
    found = []
    for pair in chosen:
        target = Target(task, LABELLED, pair)
        predicted = metric.orient(NETWORKS[method].predict(study, split, target))
        found.append(measure(predicted, labels, metric.unit))
    return found


def _pairs(
    method: str, tasks: int, target: int, draw: int, count: int
) -> Sequence[tuple[int, ...]]:
    """Pairs of other tasks; of fewer than all, others in each draw."""
    if not NETWORKS[method].adapters:
        return [()]
    found = list(pairs(tasks, target))
    first = DRAW_SEEDS.index(draw) if draw in DRAW_SEEDS else draw
    step = max(len(found) // count, 1)
    return (found * 2)[first % len(found) :: step][:count]


if __name__ == '__main__':
    main()
