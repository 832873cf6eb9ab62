# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Print results as a Markdown table.

    python tools/results_table.py results/speed.csv --metric 'speedup(x)' --chart a.png

A table of a document has the arguments in its marker; `make tables` writes it anew.
"""

import argparse
from pathlib import Path

from PIL import Image

from hpml_mm.config.arguments import clear_errors
from hpml_mm.experiments.tables import add_table_arguments, read_rows, results_table
from hpml_mm.utils.charts import bar_chart, brief_names


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_table_arguments(parser)
    parser.add_argument(
        '--chart', type=Path, metavar='PNG', help='draw the rows of one --metric'
    )
    args = parser.parse_args()
    if args.chart and len(args.metric or ()) != 1:
        parser.error('--chart draws bars of one unit: give one --metric')
    with clear_errors():
        rows = read_rows(args)
    print(results_table(rows))
    if args.chart:
        brief = brief_names([row.experiment for row in rows])
        chart = bar_chart(
            [f'{name}, n={row.n}' for name, row in zip(brief, rows, strict=True)],
            [row.value for row in rows],
            value_label=f'{args.metric[0]}; whiskers and brackets: spread over n',
            spreads=[row.spread for row in rows],
        )
        Image.fromarray(chart).save(args.chart)


if __name__ == '__main__':
    main()
