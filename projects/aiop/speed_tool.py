# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Time predictors in turn with the same network in torch_geometric.

    python -m projects.aiop.speed_tool predict ofa-mbv3-w1.0 --caches work_dirs/graphs
    python -m projects.aiop.speed_tool train nas-bench-201 --caches work_dirs/graphs \
        --networks 14000 --rows results/predictor-speed.csv

The folder of caches is that of `python -m projects.aiop`.
"""

import argparse
import shlex
import sys
from pathlib import Path

import torch

from hpml_mm.config.command.errors import clear_errors
from hpml_mm.experiments.rows import append_results
from hpml_mm.experiments.tables import results_table
from hpml_mm.predictor.data.bench import LABELS
from projects.aiop.sweep import Benches

COMMAND = ('python', '-m', 'projects.aiop.speed_tool')


def parse_args() -> argparse.Namespace:
    """Arguments of the command."""
    parser = argparse.ArgumentParser(
        prog=' '.join(COMMAND),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('what', choices=('predict', 'train'))
    parser.add_argument('space', choices=LABELS)
    parser.add_argument('--caches', type=Path, required=True, help='folder of caches')
    parser.add_argument('--sides', nargs='+', help='some of them')
    parser.add_argument('--networks', type=int, default=2000, help='to train on')
    parser.add_argument('--epochs', type=int, default=1, help='of a training')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--warmup', type=int, default=1, help='rounds not counted')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rows', type=Path, help='results/NAME.csv')
    return parser.parse_args()


def main() -> None:
    """Print and write the rows."""
    args = parse_args()
    torch.set_num_threads(args.threads)
    with clear_errors():
        # It needs torch_geometric, or says what installs it.
        from projects.aiop.speed import (
            choose,
            predicting,
            speed_rows,
            time_in_turns,
            training,
        )

        bench = Benches(args.caches).get(args.space)
        name, graphs = f'predict-{args.space}', len(bench)
        if args.what == 'predict':
            sides = predicting(bench)
        else:
            networks = min(args.networks, len(bench))
            sides = training(bench, networks, args.epochs)
            name, graphs = f'train-{args.space}-{networks}', networks * args.epochs
        found = time_in_turns(
            choose(sides, args.sides), graphs, args.rounds, args.warmup
        )
        command = shlex.join([*COMMAND, *sys.argv[1:]])
        rows = speed_rows(f'{name}-{args.threads}-threads', found, command)
        if args.rows:
            append_results(args.rows, rows)
    print(results_table(rows))


if __name__ == '__main__':
    main()
