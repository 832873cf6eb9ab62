# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""``make docs``: every link leads somewhere, every docstring reads as what it is."""

import subprocess
import sys
import zlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.system
def test_the_documents_build_without_a_warning_and_tell_every_module(tmp_path):
    build = [sys.executable, '-m', 'sphinx', '-q', '-W', '--keep-going', '-j', 'auto']
    # Without the pages of source code, which take long and have nothing to warn of.
    extensions = ('apidoc', 'autodoc', 'napoleon')
    names = ','.join(['myst_parser', *(f'sphinx.ext.{name}' for name in extensions)])
    build += ['-D', f'extensions={names}']
    result = subprocess.run(
        [*build, '-c', 'docs', '.', str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    # Four lines that say what it is, then a line for each name.
    inventory = (tmp_path / 'objects.inv').read_bytes().split(b'\n', 4)[4]
    lines = zlib.decompress(inventory).decode().splitlines()
    told = {line.split()[0] for line in lines if ' py:module ' in line}
    files = [path.relative_to(ROOT) for path in (ROOT / 'hpml_mm').rglob('*.py')]
    modules = {'.'.join(path.with_suffix('').parts) for path in files}
    public = {
        name.removesuffix('.__init__')
        for name in modules
        if '._' not in name.removesuffix('.__init__')
    }
    assert told == public
