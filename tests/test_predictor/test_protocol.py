# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Division of a table into a sample and a rest."""

import numpy as np
import pytest

from hpml_mm.predictor.data.protocol import draw, split_off

NAMES = [f'net{index:02d}' for index in range(20)]


def test_a_draw_is_that_of_aiop():
    table, names = NAMES[::-1], sorted(NAMES)
    np.random.seed(7)
    np.random.shuffle(names)
    drawn = draw(table, 5, seed=7)
    assert {table[index] for index in drawn.train} == set(names[-5:])
    assert {table[index] for index in drawn.test} == set(names[:-5])


def test_another_seed_draws_others_and_none_twice():
    first, second = draw(NAMES, 8, seed=1), draw(NAMES, 8, seed=2)
    assert first.train.tolist() != second.train.tolist()
    both = np.concatenate([first.train, first.test])
    assert sorted(both.tolist()) == list(range(20))


def test_what_equals_a_network_of_the_sample_is_not_judged():
    groups = [name[:-1] for name in NAMES]  # 'net0' and 'net1', ten each
    with pytest.raises(ValueError, match='every network is equal'):
        draw(NAMES, 15, 1, groups)
    groups = [str(index // 2) for index in range(20)]
    drawn = draw(NAMES, 5, 1, groups)
    assert len(drawn.train) == 5
    seen = {groups[index] for index in drawn.train}
    assert drawn.test.tolist() == [i for i in range(20) if groups[i] not in seen]


def test_without_a_sample_all_are_judged():
    drawn = draw(NAMES, 0, seed=1)
    assert len(drawn.train) == 0
    assert drawn.test.tolist() == list(range(20))


def test_impossible_draws_are_refused():
    with pytest.raises(ValueError, match="'a' is there twice"):
        draw(['b', 'a', 'a'], 1, 0)
    with pytest.raises(ValueError, match='20 of 20 networks'):
        draw(NAMES, 20, 0)


def test_the_part_to_choose_by_is_of_the_given_networks():
    train = np.array([3, 5, 8, 13, 21, 34, 55, 89, 144, 233])
    fit, choose = split_off(train, 0.2, seed=3)
    assert len(choose) == 2
    assert sorted([*fit, *choose]) == train.tolist()
    assert len(split_off(train, 0.01, seed=3)[1]) == 1
    with pytest.raises(ValueError, match='cannot be divided by'):
        split_off(train[:1], 0.5, seed=3)
