# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Print results as a Markdown table.

    hpml results table results/speed.csv --metric 'speedup(x)' --plot a.png

A table of a document has the arguments in its marker; `hpml results documents` writes
it anew.
"""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from hpml_mm.cli.outputs import add_json_option, print_result
from hpml_mm.experiments.rows import ResultRow
from hpml_mm.experiments.tables import (
    add_table_arguments,
    read_rows,
    results_table,
    several_devices,
)
from hpml_mm.utils.charts import bar_chart, brief_names


def _brief(rows: Sequence[ResultRow]) -> list[str]:
    """Names of the rows, cut off where experiments stay distinct."""
    names = list(dict.fromkeys(row.experiment for row in rows))
    brief = dict(zip(names, brief_names(names), strict=True))
    return [brief[row.experiment] for row in rows]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_table_arguments(parser)
    parser.add_argument(
        '--plot', type=Path, metavar='PNG', help='draw the rows of one --metric'
    )
    add_json_option(parser)


def run(args: argparse.Namespace) -> None:
    if args.plot and len(args.metric or ()) != 1:
        raise ValueError('--plot draws bars of one unit: give one --metric')
    rows = read_rows(args)
    if args.json:
        print_result(args, [asdict(row) for row in rows])
    else:
        print(results_table(rows))
    if args.plot:
        devices = several_devices(rows)
        chart = bar_chart(
            [
                f'{name}, n={row.n}' + (f'\n{row.device}' if devices else '')
                for name, row in zip(_brief(rows), rows, strict=True)
            ],
            [row.value for row in rows],
            value_label=f'{args.metric[0]}; whiskers and brackets: spread over n',
            spreads=[row.spread for row in rows],
        )
        Image.fromarray(chart).save(args.plot)
