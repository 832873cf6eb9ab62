# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Print the document of claims.

python -m projects.claims [--write]
"""

import argparse
from pathlib import Path

from hpml_mm.config.command.errors import clear_errors
from hpml_mm.report.reading.sources import read_source
from hpml_mm.utils.files import write_atomic

from .claims import read_claims
from .page import fill, tables

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / 'docs' / 'claims.md'


def document() -> str:
    """The document with its tables made anew."""
    file = Path(__file__).with_name('claims.toml')
    claims, steps = read_claims(file, ROOT / 'results')
    source = read_source(ROOT / 'configs' / 'cat_pose' / 'source.csv')
    return fill(DOCUMENT.read_text(encoding='utf-8'), tables(claims, steps, source))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog='python -m projects.claims', description=__doc__
    )
    parser.add_argument('--write', action='store_true', help='into docs/claims.md')
    args = parser.parse_args()
    with clear_errors():
        text = document()
        if args.write:
            write_atomic(DOCUMENT, text)
        else:
            print(text)


if __name__ == '__main__':
    main()
