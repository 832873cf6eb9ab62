# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Turns and errors of measuring processes; tests of the tools start real ones."""

import signal

import pytest

from hpml_mm.benchmark import process
from hpml_mm.benchmark.jobs import Job, Side
from hpml_mm.benchmark.process import Plan, SideFailedError, measure

OF_MEMORY = 'killed, as a system does that runs out of memory'


class FakeWorker:
    """Answers at once, and writes down what it was asked."""

    asked = []
    fails = None
    environment = dict(commit='c', dirty=False, device='a CPU', torch='2.12')

    def __init__(self, job, directory, threads=None):
        self.label = job.side.label

    def answer(self):
        return {'environment': self.environment, 'note': f'set up {self.label}'}

    def ask(self, **request):
        self.asked.append((self.label, request.pop('do'), request))
        if self.asked[-1][:2] == self.fails:
            raise SideFailedError(self.label, 1, 'ValueError: no')
        return {
            'prepare': {'iterations': 7 if self.label == 'a' else 3},
            'round': {'seconds': 2.0, 'iterations': 7, 'images': 14},
            'profile': {'table': f'| {self.label} |'},
        }[self.asked[-1][1]]

    def close(self):
        self.asked.append((self.label, 'closed', {}))


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(process, 'Worker', FakeWorker)
    monkeypatch.setattr(FakeWorker, 'asked', [])
    monkeypatch.setattr(FakeWorker, 'fails', None)
    return FakeWorker


def jobs():
    return [Job('train', Side(label, 'config', 'x.py'), 'w') for label in 'ab']


def test_sides_take_turns_and_the_first_one_changes(fake, tmp_path):
    logged = []
    found = measure(jobs(), Plan(3, 1.0, warmup=5), tmp_path, log=logged.append)
    assert ''.join(label for label, do, _ in fake.asked if do == 'round') == 'abbaab'
    prepared = [request for _, do, request in fake.asked if do == 'prepare']
    assert prepared == [{'warmup': 5, 'seconds': 1.0, 'batches': None}] * 2
    asked = {label: r for label, do, r in fake.asked if do == 'round'}
    assert asked == {'a': {'iterations': 7}, 'b': {'iterations': 3}}
    assert [(m.side.label, len(m.laps), m.profile) for m in found] == [
        ('a', 3, None),
        ('b', 3, None),
    ]
    assert found[1].environment['device'] == 'a CPU'
    assert found[1].note == 'set up b'
    assert logged[-1] == 'round 3 of 3: a 2.00 s, b 2.00 s'


def test_profiles_come_after_the_rounds(fake, tmp_path):
    found = measure(jobs(), Plan(1, 1.0, profile=True), tmp_path, log=str)
    assert [m.profile for m in found] == ['| a |', '| b |']
    assert [do for _, do, _ in fake.asked][-4:-2] == ['profile', 'profile']


def test_all_processes_are_ended_after_an_error(fake, tmp_path):
    fake.fails = ('b', 'prepare')
    with pytest.raises(SideFailedError, match='b failed'):
        measure(jobs(), Plan(1, 1.0), tmp_path, log=str)
    assert {(label, do) for label, do, _ in fake.asked} >= {
        ('a', 'closed'),
        ('b', 'closed'),
    }


def test_sides_of_other_environments_are_refused_before_anything_is_timed(
    fake, tmp_path, monkeypatch
):
    own = [{**fake.environment, 'torch': torch} for torch in ('2.13', '2.12')]
    monkeypatch.setattr(FakeWorker, 'environment', property(lambda _: own.pop()))
    with pytest.raises(ValueError, match='a 2.12 differs in torch from b 2.13: .* run'):
        measure(jobs(), Plan(1, 1.0), tmp_path, log=str)
    assert {do for _, do, _ in fake.asked} == {'closed'}


@pytest.mark.parametrize(
    ('code', 'log', 'reason', 'message'),
    [
        (2, 'note\n\nerror: unknown key\n', 'unknown key', 'unknown key'),
        (3, '', 'exit code 3', 'its last lines:'),
        (1, 'a\nb', 'b', 'its last lines:\n  a\n  b'),
        (-signal.SIGKILL, 'Epoch 1', OF_MEMORY, OF_MEMORY),
    ],
)
def test_a_side_that_failed_says_why(code, log, reason, message):
    error = SideFailedError('side', code, log)
    assert error.reason == reason
    assert error.killed is (code == -signal.SIGKILL)
    assert str(error) == f'side failed ({code}): {message}'


def test_a_crash_shows_its_last_lines():
    text = str(SideFailedError('side', 1, '\n'.join(f'line {i}' for i in range(20))))
    assert text.splitlines()[1::7] == ['  line 12', '  line 19']
