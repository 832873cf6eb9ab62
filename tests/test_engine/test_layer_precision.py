# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
import torch
from clocked_layers import ClockedNet
from fake_clock import FakeClock
from torch import nn
from two_ranks import on_two_ranks

from hpml_mm.engine.amp import resolve_precision
from hpml_mm.engine.layer_precision.plan import FullPrecision, Plan, watched_layers
from hpml_mm.engine.layer_precision.timing import (
    LayerInput,
    fastest,
    layer_inputs,
    measure_plan,
    plans,
)

BF16 = resolve_precision('bfloat16')


@pytest.fixture
def network():
    layers = nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)
    return nn.Sequential(*layers)


def dtypes(network):
    found, value = [], torch.ones(1, 1, 5, 5)
    for layer in network:
        value = layer(value)
        found.append(str(value.dtype).removeprefix('torch.'))
    return found


def test_kept_layers_compute_in_fp32_within_autocast_alone(network):
    half = ['bfloat16'] * 4
    kept = FullPrecision([network[2]], 'cpu')
    with BF16.autocast():
        assert dtypes(network) == ['bfloat16', 'bfloat16', 'float32', 'bfloat16']
    assert dtypes(network) == ['float32'] * 4
    kept.remove()
    with BF16.autocast():
        assert dtypes(network) == half


def test_a_kept_layer_gives_what_fp32_gives_for_its_input(network):
    given = torch.randn(1, 2, 4, 4).bfloat16()
    expected = network[2](given.float())
    FullPrecision([network[2]], 'cpu')
    with BF16.autocast():
        assert torch.equal(network[2](given), expected)


def test_an_error_in_a_kept_layer_leaves_autocast_as_it_was(network):
    FullPrecision([network[2]], 'cpu')
    with BF16.autocast():
        with pytest.raises(RuntimeError):
            network[2](torch.ones(1, 7, 5, 5))
        assert torch.is_autocast_enabled('cpu')
        assert dtypes(network)[3] == 'bfloat16'


def test_a_kept_model_is_all_in_fp32(network):
    plan = Plan('fp32', ('',))
    plan.apply(network, 'cpu')
    with BF16.autocast():
        assert network(torch.ones(1, 1, 5, 5)).dtype == torch.float32
    assert plan.count(network) == 3
    assert Plan('mixed', ('0', '2')).count(network) == 2


def test_inputs_are_those_of_the_step(network):
    value = torch.ones(3, 1, 8, 8)
    unused = nn.Linear(2, 2)
    model = nn.ModuleList([network, unused])
    found = layer_inputs(model, lambda: network(value))
    assert set(watched_layers(model)) == {'0.0', '0.2', '0.3', '1'}
    assert found == {
        '0.0': LayerInput((3, 1, 8, 8), True, False),
        '0.2': LayerInput((3, 2, 6, 6), False, True),
        '0.3': LayerInput((3, 2, 6, 6), False, True),
    }
    assert not network[0]._forward_pre_hooks


def layers_of(**groups):
    return {n: nn.Conv2d(4, 4, 3, groups=count) for n, count in groups.items()}


@pytest.mark.parametrize(
    ('seconds', 'expected'),
    [
        # Faster in fp32: the depthwise one alone, so that both mixtures are the same.
        ({'a': (2, 1), 'b': (1, 2), 'c': (2, 1)}, [('b',)]),
        ({'a': (1, 2), 'b': (2, 1), 'c': (2, 1)}, [('b',), ('a',)]),
        ({'a': (1, 2), 'b': (1, 2), 'c': (1, 2)}, [('b',)]),  # all: that is fp32
        ({'a': (2, 1), 'b': (2, 1), 'c': (2, 1)}, [('b',)]),
        ({}, [('b',)]),
    ],
)
def test_plans_are_single_precisions_depthwise_and_layer_by_layer(seconds, expected):
    found = plans(layers_of(a=1, b=4, c=2), seconds, BF16)
    assert [(p.name, p.layers) for p in found[:2]] == [('fp32', ('',)), ('bf16', ())]
    assert [p.layers for p in found[2:]] == expected
    assert {p.name for p in found[2:]} == {'mixed'}


FULL, HALF, MIXED = Plan('fp32', ('',)), Plan('bf16', ()), Plan('mixed', ('a',))


@pytest.mark.parametrize(
    ('full', 'half', 'mixed', 'expected'),
    [
        ([3, 3, 3, 3], [2, 2, 2, 2], [1, 1, 1, 1], 'mixed'),
        ([2, 2, 2, 2], [3, 3, 3, 3], [4, 4, 4, 4], 'fp32'),
        ([2, 2, 2, 2], [2, 2, 2, 2], [2, 2, 2, 2], 'fp32'),
        ([9, 9, 9, 9], [2, 2, 2, 2], [1, 1, 3, 3], 'bf16'),  # won two rounds of four
        ([9, 9, 9, 9], [2, 2, 2, 2], [1, 1, 1, 9], 'mixed'),
        ([9, 9, 9, 9], [2, 2, 2, 2], [1.99, 1.99, 1.99, 1.99], 'bf16'),
    ],
)
def test_a_mixture_has_to_win_three_rounds_of_four_by_a_hundredth(
    full, half, mixed, expected
):
    assert fastest([(FULL, full), (HALF, half), (MIXED, mixed)]).name == expected


def measured(seconds, clock=None):
    clock = clock or FakeClock()
    model = ClockedNet(clock, seconds)
    images, labels = torch.randn(2, 1, 6, 6), torch.tensor([0, 1])

    def step():
        with BF16.autocast():
            loss = model(images, labels, mode='loss')['loss']
        loss.backward()

    return measure_plan(model, step, BF16, clock)


@pytest.mark.parametrize(
    ('seconds', 'name', 'layers', 'steps'),
    [
        (((0.2, 0.1), (0.1, 0.3)), 'mixed', ('depthwise',), (0.3, 0.4, 0.2)),
        (((0.1, 0.2), (0.3, 0.1)), 'mixed', ('dense',), (0.4, 0.3, 0.5, 0.2)),
        (((0.2, 0.1), (0.3, 0.1)), 'bf16', (), (0.5, 0.2, 0.4)),
        (((0.1, 0.2), (0.1, 0.3)), 'fp32', ('',), (0.2, 0.5, 0.3, 0.2)),
    ],
)
def test_the_plan_follows_from_what_layers_take(seconds, name, layers, steps):
    plan, found = measured(seconds)
    # The linear layer takes no time of this clock, in either precision.
    assert (plan.name, plan.layers) == (name, layers)
    assert [one.seconds for one in found] == pytest.approx(steps)
    assert plan.seconds == pytest.approx(min(steps))


def _disagree(rank, folder):
    # Alone the first would keep the depthwise layer in fp32, the second neither.
    slow = 0.3 if rank == 0 else 0.05
    plan, _ = measured(((0.2, 0.1), (0.1, slow)))
    torch.save(plan.layers, folder / f'{rank}.pt')


@pytest.mark.slow
def test_ranks_take_the_plan_of_their_mean_times(tmp_path):
    on_two_ranks(_disagree, tmp_path)
    found = [torch.load(tmp_path / f'{rank}.pt') for rank in (0, 1)]
    assert found == [('depthwise',)] * 2
