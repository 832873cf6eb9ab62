# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The bar of long commands, by the time to go that it shows."""

import contextlib
import io
import re

import pytest
from rich.progress import Task

from hpml_mm.utils.console import progress_bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setenv('COLUMNS', '120')
    return Terminal()


def test_the_time_to_go_is_by_the_mean_of_all(terminal, monkeypatch):
    """Trainings last longer than the half minute that rich looks back."""
    elapsed = 0.0
    monkeypatch.setattr(Task, 'elapsed', property(lambda task: elapsed))
    with contextlib.redirect_stderr(terminal), progress_bar('runs') as show:
        for done in range(3):
            elapsed = 100.0 * done
            show(done, 4)
    shown = re.findall(r'(\d/4).*?ETA ([-:\d]+)', terminal.getvalue())
    steps = dict(shown)
    assert steps['0/4'] == '-:--:--'
    assert steps['1/4'] == '0:05:00'
    assert steps['2/4'] == '0:03:20'


def test_results_do_not_come_out_beside_the_bar(terminal):
    """As ``hpml sweep > file`` writes them."""
    file = io.StringIO()
    with (
        contextlib.redirect_stderr(terminal),
        contextlib.redirect_stdout(file),
        progress_bar('x') as show,
    ):
        show(1, 2)
        print('a result')
    assert '1/2' in terminal.getvalue()
    assert file.getvalue() == 'a result\n'
    assert 'a result' not in terminal.getvalue()


def test_a_pipe_has_no_bar(capsys):
    with progress_bar('x') as show:
        show(1, 2)
        print('a result')
    assert capsys.readouterr() == ('a result\n', '')
