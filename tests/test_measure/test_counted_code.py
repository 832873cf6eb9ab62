# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Code of all kinds that runs, counted, as it does without."""

import threading
from functools import partial

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
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


class Network(BaseModel):
    """Convolution, dropout and a linear layer; the kind of loss is a method."""

    def __init__(self, kind):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.fc = nn.Linear(4, 3)
        self.kind = kind

    def logits(self, images):
        return self.fc(F.dropout(self.conv(images).mean((2, 3)), 0.2))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return {'loss': getattr(self, self.kind)(inputs, data_samples)}

    def plain(self, images, labels):
        return F.cross_entropy(self.logits(images), labels)

    def penalty(self, images, labels):
        images = images.detach().requires_grad_()
        score = self.logits(images)
        (slope,) = torch.autograd.grad(score.sum(), images, create_graph=True)
        return F.cross_entropy(score, labels) + slope.square().mean()

    def adversarial(self, images, labels):
        images = images.detach().requires_grad_()
        (slope,) = torch.autograd.grad(self.plain(images, labels), images)
        return self.plain(images.detach() + 0.01 * slope.sign(), labels)

    def inner_step(self, images, labels):
        parameters = dict(self.named_parameters())
        loss = self.plain(images, labels)
        slopes = torch.autograd.grad(loss, parameters.values(), create_graph=True)
        moved = {
            name: parameter - 0.1 * slope
            for (name, parameter), slope in zip(parameters.items(), slopes, strict=True)
        }
        features = F.conv2d(images, moved['conv.weight'], moved['conv.bias'])
        scores = F.linear(features.mean((2, 3)), moved['fc.weight'], moved['fc.bias'])
        return F.cross_entropy(scores, labels)

    def transformed(self, images, labels):
        jacobian = torch.func.jacrev(lambda x: self.fc(self.conv(x).mean((2, 3))))
        return self.plain(images, labels) + jacobian(images).square().mean()

    def checkpointed(self, images, labels):
        logits = checkpoint(self.logits, images, use_reentrant=False)
        return F.cross_entropy(logits, labels)


@pytest.mark.parametrize(
    'kind', ['penalty', 'adversarial', 'inner_step', 'transformed', 'checkpointed']
)
def test_a_step_gives_the_same_with_and_without(kind):
    images = torch.randn(4, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    batch = {'inputs': images, 'data_samples': torch.tensor([0, 1, 2, 0])}
    after = []
    for counted in (False, True):
        torch.manual_seed(0)
        model = Network(kind)
        wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1))
        step = partial(model.train_step, dict(batch), wrapper)
        if counted:
            assert count(step).flops > 0
        else:
            step()
        after.append([*model.parameters(), torch.rand(3)])
    for one, other in zip(*after, strict=True):
        assert torch.equal(one, other)
