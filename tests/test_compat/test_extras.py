# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A missing extra is named with the command that installs it."""

import subprocess
import sys

import pytest
from toy_graphs import chain_graph

from hpml_mm.compat import require
from hpml_mm.predictor.graphs.draw import draw


def test_drawing_without_pygraphviz_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'pygraphviz', None)
    with pytest.raises(ImportError, match=r"pygraphviz .*pip install -e '.*\[draw\]'"):
        draw(chain_graph(1), tmp_path / 'a.svg')
    assert not list(tmp_path.iterdir())


def test_a_module_that_fails_on_its_own_keeps_its_error(monkeypatch, tmp_path):
    (tmp_path / 'half_installed.py').write_text('import no_such_module\n')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match='no_such_module'):
        require('half_installed', 'draw')


_LOGGED = """
import logging, os, sys
from hpml_mm.compat import require
log = logging.getLogger('mine')
log.addHandler(logging.FileHandler(sys.argv[1], mode='w'))
log.warning('before')
require('submitit', 'slurm')
log.warning('after')
assert 'SUBMITIT_LOG_LEVEL' not in os.environ
"""


def test_an_import_of_submitit_closes_no_log_file(tmp_path):
    pytest.importorskip('submitit')
    script, log = tmp_path / 'logged.py', tmp_path / 'a.log'
    script.write_text(_LOGGED)
    subprocess.run([sys.executable, str(script), str(log)], check=True)
    assert log.read_text().splitlines() == ['before', 'after']
