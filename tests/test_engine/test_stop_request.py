# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import signal

import pytest

from hpml_mm.engine.stopping import request as module
from hpml_mm.engine.stopping.request import (
    STOP_SIGNALS,
    Agreement,
    StoppedAtOnceError,
    StopRequest,
)


@pytest.fixture
def request_to_stop():
    before = {signum: signal.getsignal(signum) for signum in STOP_SIGNALS}
    request = StopRequest()
    yield request
    request.restore()
    assert {signum: signal.getsignal(signum) for signum in STOP_SIGNALS} == before


def test_only_a_second_request_stops_at_once(monkeypatch, capfd, request_to_stop):
    now = [100.0]
    monkeypatch.setattr(module.time, 'monotonic', lambda: now[0])
    request_to_stop.listen()
    signal.raise_signal(signal.SIGUSR1)
    assert 'SIGUSR1: stopping' in capfd.readouterr().err
    now[0] += 0.5
    signal.raise_signal(signal.SIGUSR1)  # the same one, passed on by the launcher
    now[0] += 1.0
    with pytest.raises(StoppedAtOnceError) as stopped:
        signal.raise_signal(signal.SIGTERM)
    assert stopped.value.code == 143
    assert request_to_stop.signum == signal.SIGUSR1
    assert not request_to_stop.listening


def test_what_is_ignored_stays_ignored(request_to_stop):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert request_to_stop.listen()
        signal.raise_signal(signal.SIGHUP)
        assert request_to_stop.signum == 0
        request_to_stop.restore()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_outer_request_keeps_the_signals(request_to_stop):
    assert request_to_stop.listen()
    inner = StopRequest()
    assert not inner.listen()
    assert not inner.listening
    signal.raise_signal(signal.SIGTERM)
    assert (request_to_stop.signum, inner.signum) == (signal.SIGTERM, 0)


@pytest.mark.parametrize(
    ('seconds', 'step'),
    [(0.0, 10), (0.01, 10), (0.25, 4), (0.4, 2), (0.9, 1), (60.0, 1)],
)
def test_slow_iterations_are_asked_more_often(seconds, step):
    agreement = Agreement(10)
    agreement.set_pace(seconds)
    due = [done for done in range(1, 21) if agreement.due(done)]
    assert due == list(range(step, 21, step))


def test_the_first_iteration_is_asked_and_later_ones_are_timed():
    now = iter([5.0, 8.0])
    agreement = Agreement(10, clock=lambda: next(now))
    assert agreement.due(1)
    assert agreement.seconds(1) == 1.0
    assert agreement.seconds(7) == 0.5
