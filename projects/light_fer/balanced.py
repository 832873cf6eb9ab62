# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
r"""Compare an accuracy on FER2013 with that on light FER's balanced table.

    hpml predict WEIGHTS data/fer2013/val --json > public.json
    python -m projects.light_fer.balanced public.json --draws 100 \
        --rows results/fer-balanced.csv

Its notebook draws Disgust up and Happy down to 4,211 faces in the whole table, before
it is split, so that its PublicTest and PrivateTest are drawn too. Here the same
predictions of one split are counted on many such draws.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hpml_mm.cli.outputs import add_rows_option
from hpml_mm.config.command.errors import clear_errors
from hpml_mm.experiments.rows import ResultRow, append_results, result_row
from hpml_mm.utils.env import environment
from hpml_mm.utils.messages import markdown_table
from hpml_mm.utils.stats import mean_std
from hpml_mm.utils.text_file import read_json

#: Faces of the whole table before and after, by the source's notebook.
WHOLE = {'Disgust': (547, 4211), 'Happy': (8989, 4211)}


@dataclass(frozen=True)
class Split:
    """Predictions of a split, by true class.

    Attributes:
        sizes: Number of faces.
        hits: Number of these whose class was predicted.
    """

    sizes: Mapping[str, int]
    hits: Mapping[str, int]

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]]) -> 'Split':
        """Count the records that ``hpml predict --json`` writes.

        Raises:
            ValueError: If a record lacks its class or the name of its folder.
        """
        sizes: dict[str, int] = {}
        hits: dict[str, int] = {}
        for record in records:
            lacks = {'class', 'folder_class'} - record.keys()
            if lacks:
                raise ValueError(
                    f'{record.get("image")} has no {" and no ".join(sorted(lacks))}: '
                    'predict the images of a split, in folders named by class'
                )
            truth = record['folder_class']
            sizes[truth] = sizes.get(truth, 0) + 1
            hits[truth] = hits.get(truth, 0) + (record['class'] == truth)
        for name, (whole, _) in WHOLE.items():
            if not 0 < sizes.get(name, 0) <= whole:
                raise ValueError(
                    f'{sizes.get(name, 0)} faces of {name}: a split of FER2013 has '
                    f'some, and at most {whole:,}'
                )
        return cls(sizes, hits)

    @property
    def accuracy(self) -> float:
        """Per cent of the faces whose class was predicted."""
        return 100 * sum(self.hits.values()) / sum(self.sizes.values())

    def drawn(self, rng: np.random.Generator) -> 'Split':
        """The split of one balanced table: Disgust with replacement, Happy without."""
        sizes, hits = dict(self.sizes), dict(self.hits)
        for name, (whole, wanted) in WHOLE.items():
            size, hit = self.sizes[name], self.hits[name]
            if wanted > whole:
                shares = (hit / whole, (size - hit) / whole, 1 - size / whole)
                right, wrong, _ = rng.multinomial(wanted, shares)
            else:
                counts = [hit, size - hit, whole - size]
                right, wrong, _ = rng.multivariate_hypergeometric(counts, wanted)
            sizes[name], hits[name] = int(right + wrong), int(right)
        return Split(sizes, hits)


def rows_of(split: Split, draws: int, argv: list[str]) -> list[ResultRow]:
    """Accuracy on the official split and on the drawn ones, and their difference.

    Args:
        split: Predictions of the official split.
        draws: Number of balanced tables.
        argv: ``sys.argv`` of the command.
    """
    rng = np.random.default_rng(0)
    found = [split.drawn(rng).accuracy for _ in range(draws)]
    numbers = [
        ('official', 'accuracy/top1', (split.accuracy, None), 1),
        ('balanced', 'accuracy/top1', mean_std(found), draws),
        (
            'balanced',
            'difference(points)',
            mean_std([one - split.accuracy for one in found]),
            draws,
        ),
    ]
    return [
        result_row(
            f'fer-balanced/{side}',
            metric,
            centre,
            n,
            environment=environment(),
            argv=argv,
            baseline=split.accuracy if metric == 'accuracy/top1' else None,
        )
        for side, metric, centre, n in numbers
    ]


def main() -> None:
    """Count, print and write the rows."""
    parser = argparse.ArgumentParser(
        prog='python -m projects.light_fer.balanced',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('predictions', type=Path, help='of hpml predict --json')
    parser.add_argument('--draws', type=int, required=True, help='number of tables')
    add_rows_option(parser)
    args = parser.parse_args()
    with clear_errors():
        split = Split.of(read_json(args.predictions))
        argv = ['-m', 'projects.light_fer.balanced', *sys.argv[1:]]
        made = rows_of(split, args.draws, argv)
        if args.rows:
            append_results(args.rows, made)
    lines = [(r.experiment, r.metric, f'{r.value:.2f}', str(r.n)) for r in made]
    print(markdown_table(('side', 'metric', 'mean', 'n'), lines))


if __name__ == '__main__':
    main()
