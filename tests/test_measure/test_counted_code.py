# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Code of all kinds that runs, counted, as it does without."""

import threading

import pytest
import torch
from step_flops import count
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.nn import functional as F
from torch.nn.attention.flex_attention import flex_attention
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack
from torch.utils.checkpoint import checkpoint

from hpml_mm.measure import step_cost
from hpml_mm.measure.step_cost import StepFlops

MACS = 4 * 8 * 3  # of a linear layer on four vectors


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return nn.Linear(8, 3)


@pytest.fixture
def vectors():
    return torch.randn(4, 8, generator=torch.Generator().manual_seed(1))


def test_gradient_penalty(layer, vectors):
    """Forward, the input's gradient, and from there the weight's."""
    source = vectors.requires_grad_()

    def step():
        score = layer(source).sum()
        (slope,) = torch.autograd.grad(score, source, create_graph=True)
        slope.square().sum().backward()

    assert count(step).flops == 2 * 3 * MACS


@pytest.mark.parametrize('reentrant', [True, False])
def test_checkpointing_computes_twice(layer, vectors, reentrant):
    source = vectors.requires_grad_()

    def step():
        block = nn.Sequential(layer, nn.Tanh())
        hidden = checkpoint(block, source, use_reentrant=reentrant)
        hidden.square().sum().backward()

    assert count(step).flops == 2 * (2 + 2) * MACS


def test_function_transforms(layer, vectors):
    parameters = dict(layer.named_parameters())

    def loss(parameters, vector):
        return torch.func.functional_call(layer, parameters, vector).square().sum()

    gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))
    assert count(lambda: gradients(parameters, vectors)).flops == 2 * 2 * MACS


def test_functions_of_ones_own(layer, vectors):
    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx, source, weight):
            ctx.save_for_backward(source)
            return source @ weight.T

        @staticmethod
        def backward(ctx, gradient):
            (source,) = ctx.saved_tensors
            return None, gradient.T @ source

    step = count(lambda: Product.apply(vectors, layer.weight).sum().backward())
    assert step.flops == 2 * 2 * MACS


def test_tensors_made_of_tensors(layer, vectors):
    """Each of the two that such a tensor holds is multiplied."""
    pair = TwoTensor(vectors, vectors.clone())
    with torch.no_grad():
        assert count(lambda: layer(pair)).flops == 2 * 2 * MACS


def test_ragged_batches(layer):
    ragged = torch.nested.nested_tensor(
        [torch.ones(1, 8), torch.ones(3, 8)], layout=torch.jagged
    )
    assert count(lambda: layer(ragged)).flops == 2 * MACS


def test_another_thread(layer, vectors):
    totals = []
    thread = threading.Thread(
        target=lambda: totals.append(count(lambda: layer(vectors)).flops)
    )
    thread.start()
    thread.join()
    assert totals == [2 * MACS]


def test_several_times_and_within_itself(layer, vectors):
    flops = StepFlops()
    for _ in range(2):
        flops.start()
        flops.start()
        layer(vectors)
        flops.stop()
        layer(vectors)
        flops.stop()
        layer(vectors)  # between them, nothing counts
    assert flops.flops == 2 * 4 * MACS
    assert _get_current_dispatch_mode_stack() == []


def test_its_own_errors_stay_within(layer, vectors, monkeypatch):
    def fail(*args):
        raise KeyError('no such shape')

    monkeypatch.setattr(step_cost, 'multiply_accumulates', fail)
    results = []
    flops = count(lambda: results.append(layer(vectors)))
    assert flops.flops is None
    assert flops.precision is None
    assert 'no such shape' in flops.problem
    assert torch.equal(results[0], layer(vectors))


@pytest.mark.parametrize('inference', [True, False])
def test_errors_of_the_code_go_through(layer, inference):
    wrong = torch.ones(4, 7)
    with torch.inference_mode(inference):
        with pytest.raises(RuntimeError) as plain:
            layer(wrong)
        with pytest.raises(RuntimeError) as counted:
            count(lambda: layer(wrong))
    assert str(counted.value) == str(plain.value)
    assert _get_current_dispatch_mode_stack() == []


@pytest.mark.filterwarnings('ignore::UserWarning')
def test_functions_of_functions_run():
    query = torch.randn(1, 2, 4, 8)
    results = []
    flops = count(lambda: results.append(flex_attention(query, query, query)))
    assert flops.flops is None
    assert 'flex_attention' in flops.problem
    expected = F.scaled_dot_product_attention(query, query, query)
    torch.testing.assert_close(results[0], expected)


def test_a_compiled_function_is_compiled_all_the_same(vectors):
    """PyTorch leaves a function alone for good that a mode looks into first."""
    backend = CompileCounter()
    compiled = torch.compile(lambda x: (x @ x.T).sum(), backend=backend)
    flops = count(lambda: compiled(vectors))
    assert backend.frame_count == 1
    assert flops.flops is None
    assert 'torch.compile' in flops.problem
    torch._dynamo.reset()


def test_code_compiled_before_is_not_counted(vectors):
    """It calls PyTorch for some products, with a place for the result."""
    place = torch.empty(4, 4)
    flops = count(lambda: torch.mm(vectors, vectors.T, out=place))
    assert flops.flops is None
    assert 'compiled code' in flops.problem


def test_random_state_stays(layer, vectors):
    def step():
        return F.dropout(layer(vectors), 0.5)

    torch.manual_seed(2)
    plain, after = step(), torch.rand(1)
    torch.manual_seed(2)
    results = []
    count(lambda: results.append(step()))
    assert torch.equal(results[0], plain)
    assert torch.equal(torch.rand(1), after)
