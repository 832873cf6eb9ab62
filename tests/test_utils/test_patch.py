# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Wrapping a method of an object or of a class."""

import copy
import pickle

import pytest
from torch import nn

from hpml_mm.utils.patch import calls_running, calls_uncounted, patch


class Target:
    def __init__(self):
        self.log = []

    def act(self, word, loud=False):
        self.log.append(word)
        if loud:
            raise RuntimeError('loud')
        return len(word)


def wrap(target, name):
    log = target.log
    return patch(
        target, 'act', lambda: log.append(f'+{name}'), lambda: log.append(f'-{name}')
    )


def test_runs_around_the_call_and_passes_the_result():
    target = Target()
    wrap(target, 'a')
    assert target.act('word') == 4
    assert target.log == ['+a', 'word', '-a']


def test_runs_after_an_error_too():
    target = Target()
    wrap(target, 'a')
    with pytest.raises(RuntimeError, match='loud'):
        target.act('word', loud=True)
    assert target.log == ['+a', 'word', '-a']


@pytest.mark.parametrize('order', [('a', 'b'), ('b', 'a')])
def test_two_undo_in_any_order(order):
    target = Target()
    undo = {'a': wrap(target, 'a'), 'b': wrap(target, 'b')}
    target.act('1')
    undo[order[0]]()
    undo[order[0]]()
    target.act('2')
    undo[order[1]]()
    target.act('3')
    left = order[1]
    assert target.log == ['+a', '+b', '1', '-b', '-a', f'+{left}', '2', f'-{left}', '3']
    assert 'act' not in vars(target)


def test_gives_back_what_the_instance_had():
    model = nn.Linear(1, 1)
    model.train_step = own = lambda: 'own'
    calls = []
    undo = patch(model, 'train_step', lambda: calls.append(1), lambda: None)
    assert model.train_step() == 'own'
    undo()
    assert model.train_step is own
    assert calls == [1]


def test_leaves_somebody_elses_wrapper_alone():
    target = Target()
    undo = wrap(target, 'a')
    inner = target.act
    target.act = lambda word: inner(word.upper())
    undo()
    assert target.act('word') == 4
    assert target.log == ['WORD']


def test_may_be_undone_while_it_runs():
    target = Target()
    undo = []
    undo.append(patch(target, 'act', lambda: None, lambda: undo.pop()()))
    target.act('1')
    assert undo == []
    assert 'act' not in vars(target)


def test_a_class_is_patched_for_all_but_one_instance():
    class Other(Target):
        def act(self, word, loud=False):
            return super().act(word * 2, loud)

    log, left_alone, own = [], Target(), vars(Target)['act']
    around = lambda: log.append('+'), lambda: log.append('-')
    undo = patch(Target, 'act', *around, unless=left_alone)
    assert Other().act('ab') == 4
    assert left_alone.act('word') == 4
    assert log == ['+', '-']
    undo()
    assert vars(Target)['act'] is own


def test_a_patch_of_an_object_sees_a_later_one_of_its_class():
    target, log = Target(), []
    undo_object = wrap(target, 'a')
    undo_class = patch(Target, 'act', lambda: log.append('class'))
    target.act('1')
    undo_class()
    target.act('2')
    undo_object()
    assert log == ['class']
    assert target.log == ['+a', '1', '-a', '+a', '2', '-a']
    assert 'act' not in vars(target)


def test_running_calls_are_counted_also_after_an_error():
    target, seen = Target(), []
    assert calls_running(target, 'act') == 0
    undo = patch(target, 'act', lambda: seen.append(calls_running(target, 'act')))
    patch(target, 'act', after=lambda: seen.append(calls_running(target, 'act')))
    with pytest.raises(RuntimeError, match='loud'):
        target.act('word', loud=True)
    assert seen == [1, 1]
    assert calls_running(target, 'act') == 0
    undo()


@pytest.mark.parametrize(
    'duplicate', [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_a_copy_has_the_method_without_the_patch(duplicate):
    model, calls = nn.Linear(1, 1), []
    undo = patch(model, 'train', lambda: calls.append(1))
    other = duplicate(model)
    other.eval()
    assert (other.training, model.training, calls) == (False, True, [])
    model.eval()
    assert (model.training, calls) == (False, [1])
    undo()


def test_running_calls_can_be_left_out():
    class Target:
        def run(self):
            with calls_uncounted(self, 'run'):
                inside = calls_running(self, 'run')
            return inside, calls_running(self, 'run')

    target = Target()
    assert target.run() == (0, 0)
    patch(target, 'run')
    assert target.run() == (0, 1)


def test_whatever_a_listener_raises_the_others_are_called():
    target = Target()

    def fail():
        raise ValueError('a listener')

    for name in 'ab':
        wrap(target, name)
    patch(target, 'act', after=fail)
    wrap(target, 'c')
    with pytest.raises(ValueError, match='a listener'):
        target.act('word')
    assert target.log == ['+a', '+b', '+c', 'word', '-c', '-b', '-a']
    assert calls_running(target, 'act') == 0
