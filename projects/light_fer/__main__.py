# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Measure the wall time of light FER's own training to an accuracy on PublicTest.

    python -m projects.light_fer --target 60 --rows results/fer-time-to-60.csv \
        --against fer-time-to-60/array

It trains the recipe as its repository has it, until PublicTest is classified that well.
``--against`` names a row of the results file with the wall time of another training
that gets there; the ratio tells how many times as long this one took.
"""

import argparse
import sys
from pathlib import Path

import torch

import hpml_mm  # noqa: F401  # makes mmpretrain importable without compiled ops
from hpml_mm.config.command.errors import clear_errors
from hpml_mm.datasets import FERFolderDataset
from hpml_mm.datasets.fer.array.face_table import read_faces
from hpml_mm.experiments.rows import (
    ResultRow,
    append_results,
    read_results,
    result_row,
)
from hpml_mm.utils.env import environment
from projects.light_fer.recipe import EPOCHS, Epoch, Faces, train

WALL_TIME = 'wall_time(s)'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m projects.light_fer',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--data-root', default='data/fer2013', help='folders of faces')
    parser.add_argument('--target', type=float, default=60.0, help='in per cent')
    parser.add_argument('--epochs', type=int, default=EPOCHS, help='at most so many')
    parser.add_argument('--workers', type=int, default=1, help='of the loaders')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--against', metavar='EXPERIMENT', help='of a row in --rows')
    parser.add_argument('--name', default='fer-time-to-60/light-fer')
    parser.add_argument('--rows', type=Path, metavar='results/NAME.csv')
    args = parser.parse_args()
    if args.against and not args.rows:
        parser.error('--against names a row of --rows: give both')
    return args


def faces_by_split(root: str) -> dict[str, Faces]:
    """Faces for training, PublicTest and, where it is there, PrivateTest."""
    faces: dict[str, Faces] = {}
    for splits in (['train'], ['val'], ['val', 'test']):
        table = read_faces(FERFolderDataset(root, splits))
        last = [i for i, split in enumerate(table.splits) if split == splits[-1]]
        if last:
            faces[splits[-1]] = table.levels[last], [table.labels[i] for i in last]
    return faces


def report(epoch: Epoch) -> None:
    """Print one line for an epoch, unbuffered."""
    found = ', '.join(f'{k} {v:.2f} %' for k, v in epoch.accuracies.items())
    print(f'epoch {epoch.number}: {epoch.seconds:.0f} s, {found}', flush=True)


def wall_time_of(path: Path, experiment: str) -> float:
    """Read the wall time of another training from its row, in seconds."""
    found = {r.experiment: r.value for r in read_results(path) if r.metric == WALL_TIME}
    if experiment not in found:
        raise ValueError(
            f'{path} has no {WALL_TIME} of {experiment!r}; it has '
            f'{", ".join(found) or 0}'
        )
    return found[experiment]


def rows_of(
    args: argparse.Namespace, last: Epoch, other: float | None
) -> list[ResultRow]:
    """Wall time, epochs and accuracy of the run."""
    argv, ran_on = ['-m', 'projects.light_fer', *sys.argv[1:]], environment()
    return [
        result_row(
            args.name,
            metric,
            (value, None),
            1,
            environment=ran_on,
            argv=argv,
            baseline=baseline,
        )
        for metric, value, baseline in (
            (WALL_TIME, last.seconds, other),
            ('epochs', float(last.number), None),
            ('accuracy/top1', last.accuracies['val'], None),
        )
    ]


def main() -> None:
    args = parse_args()
    with clear_errors():
        other = wall_time_of(args.rows, args.against) if args.against else None
        faces = faces_by_split(args.data_root)
        print(f'{torch.get_num_threads()} threads, {args.workers} workers', flush=True)
        last = train(
            faces,
            'val',
            args.target,
            epochs=args.epochs,
            workers=args.workers,
            seed=args.seed,
            report=report,
        )
        if last.accuracies['val'] < args.target:
            sys.exit(f'{args.target:g} % was not reached in {last.number} epochs')
        if args.rows:
            append_results(args.rows, rows_of(args, last, other))
    if other:
        print(f'{last.seconds / other:.1f} times as long as {args.against}')


if __name__ == '__main__':
    main()
