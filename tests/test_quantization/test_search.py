# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest

from hpml_mm.quantization.search import search

LAYERS = [f'layer{i}' for i in range(16)]


def drops(*values):
    """An evaluation by the number of layers kept; the last value holds for more."""
    asked = []

    def evaluate(kept):
        assert list(kept) == LAYERS[: len(kept)]
        asked.append(len(kept))
        return values[min(len(kept), len(values) - 1)]

    return evaluate, asked


def test_the_smallest_number_is_found_between_two_powers():
    evaluate, asked = drops(10, 8, 5, 5, 3, 0.5, 0.4)
    result = search(evaluate, LAYERS, max_drop=0.5)
    assert asked == [0, 1, 2, 4, 8, 6, 5]
    assert result.kept == tuple(LAYERS[:5])
    assert (result.drop, result.met) == (0.5, True)
    assert [(t.kept, t.drop) for t in result.trials] == [
        (0, 10), (1, 8), (2, 5), (4, 3), (8, 0.4), (6, 0.4), (5, 0.5),
    ]  # fmt: skip


def test_nothing_is_kept_where_nothing_is_lost():
    evaluate, asked = drops(-0.1)
    result = search(evaluate, LAYERS, max_drop=0)
    assert asked == [0]
    assert (result.kept, result.met) == ((), True)


@pytest.mark.parametrize('smallest', range(16))
def test_every_number_can_be_the_answer(smallest):
    evaluate, asked = drops(*[1.0] * smallest, 0.0)
    result = search(evaluate, LAYERS, max_drop=0.5)
    assert len(result.kept) == smallest
    assert len(asked) == len(set(asked)) <= 9


def test_one_layer_at_least_is_converted_and_the_least_drop_is_told():
    evaluate, asked = drops(3, 3, 1, 2)
    result = search(evaluate, LAYERS[:7], max_drop=0.5)
    assert asked == [0, 1, 2, 4, 6]
    assert (result.kept, result.drop, result.met) == (tuple(LAYERS[:2]), 1, False)
    evaluate, asked = drops(3)
    assert not search(evaluate, LAYERS[:1], max_drop=0.5).met
    assert asked == [0]


def test_mistakes_are_named():
    evaluate, _ = drops(float('nan'))
    with pytest.raises(ValueError, match='max_drop must be at least 0, got -1'):
        search(evaluate, LAYERS, max_drop=-1)
    with pytest.raises(ValueError, match='no layer to quantize'):
        search(evaluate, [], max_drop=1)
    with pytest.raises(ValueError, match='with 0 layers in FP32 is not a number'):
        search(evaluate, LAYERS, max_drop=1)
