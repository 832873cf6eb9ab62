# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Print the table of a folder of configs, beside the published numbers.

python -m projects.cat_grid [--write]
"""

import argparse
from pathlib import Path

from hpml_mm.config.command.errors import clear_errors
from hpml_mm.experiments.rows import read_results
from hpml_mm.report.reading.sources import measured, read_source
from projects.cat_grid.grid import grid_table, replace_grid

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog='python -m projects.cat_grid', description=__doc__
    )
    parser.add_argument('--configs', type=Path, default=ROOT / 'configs' / 'cat_pose')
    parser.add_argument('--metric', default='coco/AP')
    parser.add_argument('--write', action='store_true', help="into the folder's README")
    args = parser.parse_args()
    with clear_errors():
        files = sorted((ROOT / 'results').glob('*.csv'))
        rows = [row for path in files for row in read_results(path)]
        table = grid_table(
            args.configs.glob('*.py'),
            read_source(args.configs / 'source.csv'),
            measured(rows, args.metric),
            measured(rows, f'best/{args.metric}'),
        )
        if args.write:
            readme = args.configs / 'README.md'
            text = replace_grid(readme.read_text(encoding='utf-8'), table)
            readme.write_text(text, encoding='utf-8')
        else:
            print(table)


if __name__ == '__main__':
    main()
