# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Write the tables of README.md and the other documents from results/*.csv.

    python tools/make_tables.py

A table stands between `<!-- table: ARGUMENTS -->` and `<!-- /table -->`, with the
arguments of tools/results_table.py.
"""

import argparse
from pathlib import Path

from hpml_mm.config.arguments import clear_errors
from hpml_mm.experiments.tables import write_tables
from hpml_mm.utils.files import write_atomic

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ('*.md', 'docs/*.md', 'configs/*/README.md', 'projects/*/README.md')


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--root', type=Path, default=ROOT, help='of the checkout')
    root = parser.parse_args().root
    with clear_errors():
        for path in (path for glob in DOCUMENTS for path in sorted(root.glob(glob))):
            old = path.read_text(encoding='utf-8')
            new = write_tables(old, root)
            if new != old:
                write_atomic(path, new)
                print(f'{path.relative_to(root)} has new tables')


if __name__ == '__main__':
    main()
