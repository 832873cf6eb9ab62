# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Wrapping one object's method."""

import pytest
from torch import nn

from hpml_mm.utils.patch import patch


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
