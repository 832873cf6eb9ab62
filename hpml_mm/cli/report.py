# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Make one page of runs, result rows and searches, which needs no network.

    hpml report work_dirs results --out build/report

Folders are looked through with all below them: work directories, also of runs that go
on and of stock MMEngine; results files; studies of `hpml search`; tables of `hpml nas
predict --table` with a column `measured`. What cannot be read is listed on the page.
"""

import argparse
import shlex
from pathlib import Path

from hpml_mm.report.build import read_report
from hpml_mm.report.page import write_page
from hpml_mm.report.reading.studies import without_password
from hpml_mm.utils.console import progress_bar
from hpml_mm.utils.messages import counted

from .outputs import check_out_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'runs',
        nargs='+',
        metavar='RUNS',
        help='folders, files, or the URL of a database of studies',
    )
    parser.add_argument('--title', help='of the page (default: the names of RUNS)')
    parser.add_argument(
        '--out', type=Path, required=True, metavar='DIR', help='write index.html there'
    )


def run(args: argparse.Namespace) -> None:
    check_out_folder(args.out)
    places = [without_password(place) for place in args.runs]
    words = ['hpml', 'report', *places, '--out', str(args.out)]
    if args.title:
        words += ['--title', args.title]
    title = args.title or ', '.join(place.rstrip('/') or place for place in places)
    with progress_bar('runs') as show:
        data = read_report(args.runs, title, shlex.join(words), show)
    page = args.out / 'index.html'
    write_page(data, page)
    runs, rows = counted(len(data.runs), 'run'), counted(len(data.rows), 'result row')
    print(f'{page}: {runs}, {rows}, {counted(len(data.studies), "study", "studies")}')
    for problem in data.problems:
        print(f'left out: {problem.place}: {problem.what}')
