# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Run the scripts of this folder in full; their counts become rows of a results file.

    python tests/reliability/all_promises.py [--only NAME ...] [--rows FILE]

A row's value is the number of cases in which a promise held, and its baseline the
number that was tried, so that the ratio is 1 where it held in all.
"""

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from hpml_mm.experiments.rows import ResultRow, append_results, result_row
from hpml_mm.utils.env import environment

HERE = Path(__file__).parent
# The other files of the folder are parts of these.
SCRIPTS = sorted(
    path.stem
    for path in HERE.glob('*.py')
    if path.read_text().endswith('\n    main(run)\n')
)
COUNT = re.compile(
    r'(?P<promise>\S.*) \((?P<arm>\w+)\): (?P<kept>\d+) of (?P<tried>\d+)'
)


def rows_of(script: str) -> Iterator[ResultRow]:
    """Run a script and yield a row for each promise and arm."""
    command = [sys.executable, str(HERE / f'{script}.py')]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout, flush=True)
    for line in done.stdout.splitlines():
        if found := COUNT.fullmatch(line):
            yield result_row(
                f'{found["promise"]}/{found["arm"]}',
                'kept(cases)',
                (float(found['kept']), None),
                1,
                environment=environment(),
                argv=[f'tests/reliability/{script}.py'],
                baseline=float(found['tried']),
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--only', nargs='+', choices=SCRIPTS, default=SCRIPTS)
    parser.add_argument('--rows', type=Path, metavar='results/NAME.csv')
    args = parser.parse_args()
    broken = 0
    for script in args.only:
        began = time.perf_counter()
        rows = list(rows_of(script))
        print(f'{script}: {time.perf_counter() - began:.0f} s', flush=True)
        broken += sum(r.ratio != 1 for r in rows if r.experiment.endswith('/hpml_mm'))
        if args.rows:
            append_results(args.rows, rows)
    sys.exit(f'{broken} promises were broken' if broken else 0)


if __name__ == '__main__':
    main()
