# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""One HTML file that shows a report, without a server and without a network."""

import base64
import hashlib
import re
from importlib.resources import files
from pathlib import Path

from hpml_mm.utils.files import write_atomic

from .content import ReportData
from .packing import packed_json

# All scripts of the page share one scope; an earlier file knows nothing of a later one
# until the page is drawn.
_SCRIPTS = (
    *('dom', 'data', 'theme', 'charts', 'facts', 'table', 'selection'),
    *('runs', 'compare', 'curves', 'time', 'errors', 'deployment', 'studies'),
    *('rows', 'main'),
)
#: Most bytes that a page has. Its curves are thinned and its pictures left out for it.
LIMIT = 5_000_000
_POLICY = (
    "default-src 'none'; script-src {}; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)


def write_page(data: ReportData, path: Path) -> None:
    """Write a report as one HTML file, whole or not at all.

    The page holds its scripts, styles, data and pictures, and its
    Content-Security-Policy lets it load nothing else. All names are shown as text.

    Raises:
        OSError: If it cannot be written; the file that was there stays as it was.
    """
    write_atomic(Path(path), page(data))


def page(data: ReportData, limit: int = LIMIT) -> str:
    """Text of the page of a report.

    Args:
        data: Content of the report.
        limit: Most bytes of the page. Curves lose points and pictures are left out
            where it would have more, and the page says so; numbers and names stay.
    """
    scripts = {'plotly': _asset('vendor/plotly.min.js'), 'script': _own_script()}
    hashes = ' '.join(f"'sha256-{_digest(text)}'" for text in scripts.values())
    parts = scripts | {
        'policy': _POLICY.format(hashes),
        'style': _asset('page.css') + _asset('print.css'),
        'licence': _asset('vendor/plotly.LICENSE.txt').replace('--', '- -'),
    }
    template = _asset('page.html')
    room = limit - len(template) - sum(len(text.encode()) for text in parts.values())
    parts['data'] = packed_json(data, room)
    # In one pass: a part may hold what looks like a place.
    return re.sub(r'\{\{(\w+)\}\}', lambda place: parts[place[1]], template)


def _own_script() -> str:
    body = '\n'.join(_asset(f'js/{name}.js') for name in _SCRIPTS)
    return f"(() => {{\n'use strict';\n{body}}})();\n"


def _asset(name: str) -> str:
    return files('hpml_mm.report').joinpath('static', name).read_text(encoding='utf-8')


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
