# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Print results as a Markdown table: python tools/results_table.py results/NAME.csv"""

import argparse
from pathlib import Path

from PIL import Image

from hpml_mm.config.arguments import clear_errors
from hpml_mm.experiments.rows import choose_metrics, read_results
from hpml_mm.experiments.tables import results_table
from hpml_mm.utils.bar_chart import bar_chart, brief_names


def main() -> None:
    parser = argparse.ArgumentParser(description='Print results as a Markdown table.')
    parser.add_argument('files', nargs='+', type=Path)
    parser.add_argument('--metric', nargs='+', help='rows of these metrics only')
    parser.add_argument(
        '--chart', type=Path, metavar='PNG', help='draw the rows of one --metric'
    )
    args = parser.parse_args()
    if args.chart and len(args.metric or ()) != 1:
        parser.error('--chart draws bars of one unit: give one --metric')
    with clear_errors():
        rows = [row for path in args.files for row in read_results(path)]
        rows = choose_metrics(rows, args.metric)
    print(results_table(rows))
    if args.chart:
        names = brief_names([row.experiment for row in rows])
        values = [row.value for row in rows]
        chart = bar_chart(names, values, value_label=args.metric[0])
        Image.fromarray(chart).save(args.chart)


if __name__ == '__main__':
    main()
