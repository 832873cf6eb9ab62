# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import contextlib
import itertools
import re
import sys
from collections.abc import Callable

import pytest
from toy_runs import Terminal
from toy_tools import toy_runner

from hpml_mm.engine.hooks import ProgressHook


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 120 columns that keeps what it gets; a test puts it in place.

    pytest sets ``sys.stdout`` itself between a fixture and its test.
    """
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.setenv('COLUMNS', '120')
    return Terminal()


def train(work_dir, **arguments):
    """Train the toy for 12 iterations; ``arguments`` are the hook's."""
    throughput = {'type': 'hpml_mm.ThroughputHook', 'warmup_iters': 1, 'interval': 2}
    waits = {'type': 'hpml_mm.DataLoadRatioHook', 'interval': 2}
    runner = toy_runner(work_dir, custom_hooks=[throughput, waits])
    hook = ProgressHook(**arguments)
    runner.register_hook(hook)
    runner.train()
    return runner


def slow_clock() -> Callable[[], float]:
    """A clock by which any two iterations lie ten seconds apart."""
    return itertools.count(step=10.0).__next__


def test_the_bar_shows_epoch_loss_speed_and_wait(tmp_path, terminal):
    with contextlib.redirect_stdout(terminal):
        train(tmp_path, clock=slow_clock())
    shown = terminal.getvalue()
    assert re.search(r'epoch 1/2 .*?5/12', shown)
    assert re.search(r'epoch 2/2 .*?12/12', shown)
    assert re.search(r'loss \d\.\d{4} \| \d+ img/s \| wait \d+ %', shown)
    assert 'validation 1/2' in shown
    # Log lines scroll above, and their file has no bar.
    line = 'Saving checkpoint at 2 epochs'
    assert line in terminal.getvalue()
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert line in log
    assert '\x1b' not in log
    assert 'epoch 1/2' not in log


def test_it_is_drawn_no_more_often_than_asked(tmp_path, terminal):
    """Twice a second, by a clock that is read .2 s after the last time."""
    with contextlib.redirect_stdout(terminal):
        train(tmp_path, redraws_per_second=2, clock=itertools.count(step=0.2).__next__)
    shown = re.findall(r'epoch 1/2 .*?(\d)/12', terminal.getvalue())
    assert [count for count, _ in itertools.groupby(shown)] == ['1', '4']


def test_without_a_terminal_there_is_nothing(tmp_path, monkeypatch, capsys):
    runner = train(tmp_path)
    out = capsys.readouterr().out
    assert 'Saving checkpoint at 2 epochs' in out
    assert '\x1b[?25l' not in out  # no cursor is hidden
    assert 'epoch 1/2' not in out
    assert runner.iter == 12


def test_output_is_as_before_after_an_error(tmp_path, terminal):
    with contextlib.redirect_stdout(terminal):
        runner = toy_runner(tmp_path, custom_hooks=[{'type': 'FailAtHook'}])
        runner.register_hook(ProgressHook())
        streams = [getattr(h, 'stream', None) for h in runner.logger.handlers]
        with pytest.raises(ValueError, match='toy bug'):
            runner.train()
        assert sys.stdout is terminal
        now = [getattr(h, 'stream', None) for h in runner.logger.handlers]
        assert now == streams
    shown = terminal.getvalue()  # a hidden cursor was shown again
    assert shown.rfind('\x1b[?25h') > shown.rfind('\x1b[?25l') > 0


def test_a_pause_must_be_positive():
    with pytest.raises(ValueError, match='redraws_per_second'):
        ProgressHook(redraws_per_second=0)
