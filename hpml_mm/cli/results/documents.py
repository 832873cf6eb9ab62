# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Write the tables of README.md and the other documents from results files.

    hpml results documents

A table stands between `<!-- table: ARGUMENTS -->` and `<!-- /table -->`, with the
arguments of `hpml results table`.
"""

import argparse
from pathlib import Path

from hpml_mm.experiments.tables import write_tables
from hpml_mm.utils.files import write_atomic

DOCUMENTS = ('*.md', 'docs/*.md', 'configs/*/README.md', 'projects/*/README.md')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--root', type=Path, default=Path(), help='of the checkout')


def run(args: argparse.Namespace) -> None:
    for path in (p for glob in DOCUMENTS for p in sorted(args.root.glob(glob))):
        old = path.read_text(encoding='utf-8')
        new = write_tables(old, args.root)
        if new != old:
            write_atomic(path, new)
            print(f'{path.relative_to(args.root)} has new tables')
