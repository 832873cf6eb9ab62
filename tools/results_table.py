# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Print results as a Markdown table: python tools/results_table.py results/NAME.csv"""

import argparse
from pathlib import Path

from hpml_mm.config.cli import clear_errors
from hpml_mm.report.markdown import markdown_table
from hpml_mm.report.results import read_results


def main() -> None:
    parser = argparse.ArgumentParser(description='Print results as a Markdown table.')
    parser.add_argument('files', nargs='+', type=Path)
    args = parser.parse_args()
    with clear_errors():
        rows = [row for path in args.files for row in read_results(path)]
    print(markdown_table(rows))


if __name__ == '__main__':
    main()
