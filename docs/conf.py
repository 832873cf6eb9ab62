# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Settings of Sphinx: ``make docs`` reads the whole tree, with its root as the source.

The documents are where GitHub shows them (README.md, configs/, projects/, docs/), and a
link from one to another is the same there and here.
"""

import contextlib
import importlib
import io
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import hpml_mm.cli  # noqa: E402

# Here, the processes that read the pages share what takes seconds; and what the imports
# warn of is no fault of the documents.
with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    import mmpose.models  # noqa: F401
    import mmpretrain.models  # noqa: F401
    from mmcv.transforms.utils import cache_randomness

# MMCV's decorator cannot be asked for its docstring on a class: napoleon does.
bind = cache_randomness.__get__
cache_randomness.__get__ = lambda method, instance, owner=None: (
    method if instance is None else bind(method, instance, owner)
)

project = 'hpml_mm'
author = 'hpml_mm contributors'
copyright = author
version = release = hpml_mm.__version__

extensions = [
    'myst_parser',
    'sphinx.ext.apidoc',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx.ext.viewcode',
]
root_doc = 'docs/index'
include_patterns = [
    '*.md',
    'docs/*.md',
    'docs/api/hpml_mm*.rst',
    'configs/**README.md',
    'projects/**README.md',
]
exclude_patterns = ['.*', 'build', 'data', 'results', 'work_dirs']

# One page a package. Its options can only be set for the process: apidoc_modules'
# reach pages of single modules alone.
os.environ['SPHINX_APIDOC_OPTIONS'] = 'members,show-inheritance,ignore-module-all'
apidoc_modules = [
    {'path': '../hpml_mm', 'destination': 'docs/api', 'module_first': True}
]
# A method that only overrides tells nothing new, and what MMEngine's docstrings say is
# written for another tool.
autodoc_inherit_docstrings = False
autodoc_member_order = 'bysource'
autodoc_typehints_format = 'short'
autodoc_preserve_defaults = True
add_module_names = False
napoleon_numpy_docstring = False
# An attribute of a docstring's list may be a documented member too.
napoleon_use_ivar = True

myst_heading_anchors = 3

html_theme = 'pydata_sphinx_theme'
html_title = 'hpml_mm'
html_extra_path = ['start']  # index.html leads to docs/index.html
html_static_path = ['static']
html_css_files = ['tables.css']
# Each page has the list of all pages beside it, and the head has room for the search.
html_sidebars = {'**': ['globaltoc']}
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {
    'collapse_navigation': True,
    'navbar_center': [],
    'show_prev_next': False,
    'secondary_sidebar_items': ['page-toc'],
}


def helps(package: str, *words: str) -> Iterator[str]:
    """Sections with the help of each command of a package."""
    for name in importlib.import_module(package).COMMANDS:
        inner = f'{package}.{name.replace("-", "_")}'
        if hasattr(importlib.import_module(inner), 'COMMANDS'):
            yield from helps(inner, *words, name)
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
            hpml_mm.cli.main([*words, name, '--help'])
        title = ' '.join(['hpml', *words, name])
        yield f'\n## {title}\n\n```text\n{printed.getvalue()}```\n'


def add_helps(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the help of all commands below the page that lists them."""
    if page == 'docs/commands':
        os.environ['COLUMNS'] = '100'
        source[0] += ''.join(helps('hpml_mm.cli'))


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect('source-read', add_helps)
