# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Measure how long saving a checkpoint holds up training.

    python -m projects.checkpoint_stall --rows results/checkpoint-stall.csv

projects/checkpoint_stall/README.md says what is measured.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import hpml_mm  # noqa: F401
from hpml_mm.config.command.errors import clear_errors
from hpml_mm.experiments.rows import append_results
from projects.checkpoint_stall.stall import WAYS, stall_rows, train

# Width and depth: checkpoints of 100 MB and of 130 kB.
SIZES = {'100MB': (1024, 12), '130kB': (64, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog='python -m projects.checkpoint_stall',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--rows', type=Path, required=True, help='results/NAME.csv')
    parser.add_argument('--folder', help='disk to write to, else that of /tmp')
    parser.add_argument('--rounds', type=int, default=3, help='trainings of each way')
    parser.add_argument('--saves', type=int, default=6, help='of each training')
    parser.add_argument('--every', type=int, default=10, help='iterations')
    args = parser.parse_args()
    argv = ['-m', 'projects.checkpoint_stall', *sys.argv[1:]]
    with clear_errors(), tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for size, shape in SIZES.items():
            found: dict[str, list[float]] = defaultdict(list)
            for number in range(args.rounds):
                for way, hook in WAYS.items():
                    place = Path(folder, f'{size}-{way}-{number}')
                    found[way] += train(place, hook, *shape, args.saves, args.every)
            rows = stall_rows(f'checkpoint-stall-{size}', found, argv)
            append_results(args.rows, rows)
            for row in rows:
                spread = '' if row.spread is None else f' ({row.spread:.2g})'
                print(f'{row.experiment}: {row.value:.3g} {row.unit}{spread}')


if __name__ == '__main__':
    main()
