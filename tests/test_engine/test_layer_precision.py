# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import math

import pytest
import torch
from clocked_layers import ClockedNet
from fake_clock import FakeClock
from torch import nn
from two_ranks import on_two_ranks

from hpml_mm.engine.amp import EvalAutocast, resolve_precision
from hpml_mm.engine.layer_precision.plan import (
    FULL,
    REDUCED,
    FullPrecision,
    Plan,
    watched_layers,
)
from hpml_mm.engine.layer_precision.timing import (
    LayerInput,
    Trial,
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


def computed_in(layer, value):
    """The dtypes of a convolution's product and of its result."""
    seen = []

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            if 'convolution' in str(func):
                seen.append(result.dtype)
            return result

    with Watch():
        result = layer(value)
    return *seen, result.dtype


HALF = (torch.bfloat16, torch.bfloat16)
KEPT = (torch.float32, torch.bfloat16)
PLAIN = (torch.float32, torch.float32)


def test_kept_layers_compute_in_fp32_in_trainings_under_autocast_alone(network):
    value = torch.randn(1, 2, 4, 4)
    kept = FullPrecision([network[2]], 'cpu')
    with BF16.autocast():
        assert computed_in(network[2], value.bfloat16()) == KEPT
        assert computed_in(network[2], value) == KEPT
        assert computed_in(network[3], value) == HALF
        with torch.no_grad():
            assert computed_in(network[2], value) == HALF
    assert computed_in(network[2], value) == PLAIN
    kept.remove()
    with BF16.autocast():
        assert computed_in(network[2], value) == HALF


def test_a_kept_layer_gives_what_fp32_gives_for_its_input_however_it_is_called(network):
    given = torch.randn(1, 2, 4, 4).bfloat16()
    expected = network[2](given.float()).bfloat16()
    FullPrecision([network[2]], 'cpu')
    with BF16.autocast():
        assert torch.equal(network[2](given), expected)
        assert torch.equal(network[2](input=given), expected)


def test_an_error_in_a_kept_layer_leaves_autocast_as_it_was(network):
    FullPrecision([network[2]], 'cpu')
    with BF16.autocast():
        with pytest.raises(RuntimeError):
            network[2](torch.ones(1, 7, 5, 5))
        assert torch.is_autocast_enabled('cpu')
        assert computed_in(network[3], torch.ones(1, 2, 4, 4)) == HALF


def test_a_kept_layer_within_a_kept_one_leaves_its_context_open(network):
    class Outer(nn.Conv2d):
        def __init__(self):
            super().__init__(2, 2, 1)
            self.inner = nn.Conv2d(2, 2, 1)

        def forward(self, value):
            self.seen = self.inner(value).dtype
            return super().forward(value)

    outer = Outer()
    FullPrecision([outer, outer.inner], 'cpu')
    with BF16.autocast():
        assert outer(torch.ones(1, 2, 4, 4)).dtype == torch.bfloat16
        assert torch.is_autocast_enabled('cpu')
    assert outer.seen == torch.float32


def test_a_kept_model_is_all_in_fp32_within_another_context_of_the_same_model(network):
    FULL.apply(network, 'cpu')
    EvalAutocast(network, BF16)
    with BF16.autocast():
        assert network(torch.ones(1, 1, 5, 5)).dtype == torch.float32
    network.eval()
    with torch.no_grad():
        assert network(torch.ones(1, 1, 5, 5)).dtype == torch.bfloat16
    assert not torch.is_autocast_enabled('cpu')
    assert FULL.count(network) == 3
    assert Plan(('0', '2')).count(network) == 2


def test_inputs_are_the_largest_of_a_step_with_gradients(network):
    value = torch.ones(3, 1, 8, 8)
    unused, frozen = nn.Linear(2, 2), nn.Linear(2, 2).requires_grad_(False)
    half = nn.Linear(2, 2).bfloat16()
    model = nn.ModuleList([network, unused, frozen, half])

    def step():
        network(value)
        network[2](torch.ones(1, 2, 2, 2))
        frozen(torch.ones(1, 2))
        with torch.no_grad():
            network[2](torch.ones(9, 2, 9, 9))

    found = layer_inputs(model, step)
    assert set(watched_layers(model)) == {'0.0', '0.2', '0.3', '1', '2'}
    assert found == {
        '0.0': LayerInput((3, 1, 8, 8), True, False),
        '0.2': LayerInput((3, 2, 6, 6), False, True),
        '0.3': LayerInput((3, 2, 6, 6), False, True),
    }
    assert not network[0]._forward_hooks


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
        ({}, []),
    ],
)
def test_plans_are_single_precisions_depthwise_and_layer_by_layer(seconds, expected):
    found = plans(layers_of(a=1, b=4, c=2), seconds)
    assert found[:2] == [FULL, REDUCED]
    assert [p.layers for p in found[2:]] == expected
    assert [p.is_mixed for p in found] == [False, False, *(True for _ in expected)]


MIXED = Plan(('a',))


@pytest.mark.parametrize(
    ('full', 'half', 'mixed', 'expected'),
    [
        ([3, 3, 3, 3], [2, 2, 2, 2], [1, 1, 1, 1], MIXED),
        ([2, 2, 2, 2], [3, 3, 3, 3], [4, 4, 4, 4], FULL),
        ([2, 2, 2, 2], [2, 2, 2, 2], [2, 2, 2, 2], FULL),
        ([9, 9, 9, 9], [2, 2, 2, 2], [1, 1, 3, 3], REDUCED),  # won two rounds of four
        ([9, 9, 9, 9], [2, 2, 2, 2], [1, 1, 1, 9], MIXED),
        ([9, 9, 9, 9], [2, 2, 2, 2], [1.99, 1.99, 1.99, 1.99], REDUCED),
    ],
)
def test_a_mixture_has_to_win_three_rounds_of_four_by_a_hundredth(
    full, half, mixed, expected
):
    found = fastest([(FULL, full), (REDUCED, half), (MIXED, mixed)])
    assert found.layers == expected.layers


def measured(seconds, kind=ClockedNet):
    clock = FakeClock()
    model = kind(clock, seconds)
    images, labels = torch.randn(2, 1, 6, 6), torch.tensor([0, 1])

    def step(batch):
        with BF16.autocast():
            loss = model(*batch, mode='loss')['loss']
        loss.backward()

    return measure_plan(Trial(model, lambda: (images, labels), step, BF16, clock))


@pytest.mark.parametrize(
    ('seconds', 'layers', 'steps'),
    [
        (((0.2, 0.1), (0.1, 0.3)), ('depthwise',), (0.3, 0.4, 0.2)),
        (((0.1, 0.2), (0.3, 0.1)), ('dense',), (0.4, 0.3, 0.5, 0.2)),
        (((0.2, 0.1), (0.3, 0.1)), (), (0.5, 0.2, 0.4)),
        (((0.1, 0.2), (0.1, 0.3)), ('',), (0.2, 0.5, 0.3, 0.2)),
    ],
)
def test_the_plan_follows_from_what_layers_take(seconds, layers, steps):
    plan, found = measured(seconds)
    # The linear layer takes no time of this clock, in either precision.
    assert plan.layers == layers
    assert [one.seconds for one in found] == pytest.approx(steps)
    assert plan.seconds == pytest.approx(min(steps))


def test_a_plan_that_does_not_run_is_not_chosen():
    class Full(ClockedNet):
        """Lacks the memory for maps in fp32."""

        def forward(self, inputs, data_samples=None, mode='tensor'):
            if not torch.is_autocast_enabled('cpu'):
                raise torch.OutOfMemoryError
            return super().forward(inputs, data_samples, mode)

    plan, found = measured(((0.1, 0.2), (0.1, 0.3)), kind=Full)
    assert found[0] == Plan(('',), math.inf)
    assert plan.layers == ('dense', 'depthwise')


def test_a_step_that_fails_in_16_bits_fails_here_too():
    class Broken(ClockedNet):
        def forward(self, inputs, data_samples=None, mode='tensor'):
            raise RuntimeError('broken')

    with pytest.raises(RuntimeError, match='broken'):
        measured(((0.1, 0.2), (0.1, 0.3)), kind=Broken)


def _disagree(rank, folder):
    # Alone the first would keep the depthwise layer in fp32, the second neither.
    slow = 0.3 if rank == 0 else 0.05
    plan, _ = measured(((0.2, 0.1), (0.1, slow)))

    # Their layers have other shapes, and one has a layer more.
    class Two(ClockedNet):
        def forward(self, inputs, data_samples=None, mode='tensor'):
            inputs = inputs[..., : 6 - rank]
            if rank:
                self.dense(inputs.expand(-1, 4, -1, -1))
            return super().forward(inputs, data_samples, mode)

    other, _ = measured(((0.2, 0.1), (0.1, slow)), kind=Two)
    torch.save((plan.layers, other.layers), folder / f'{rank}.pt')


@pytest.mark.slow
def test_ranks_take_the_plan_of_their_mean_times(tmp_path):
    on_two_ranks(_disagree, tmp_path)
    found = [torch.load(tmp_path / f'{rank}.pt') for rank in (0, 1)]
    assert found == [(('depthwise',), ('depthwise',))] * 2
