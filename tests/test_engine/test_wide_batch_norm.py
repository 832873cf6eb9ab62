# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import copy

import pytest
import torch
from torch import nn

from hpml_mm.engine.wide_batch_norm import WideBatchNorm2d, widen_batch_norms_
from hpml_mm.models import MiniXception


def pair(channels, momentum=0.1):
    """A layer with weights of its own, and the same one made wide."""
    torch.manual_seed(0)
    plain = nn.BatchNorm2d(channels, eps=1e-3, momentum=momentum)
    nn.init.uniform_(plain.weight, 0.5, 2)
    nn.init.uniform_(plain.bias, -1, 1)
    wide = copy.deepcopy(plain)
    assert widen_batch_norms_(wide) == 1
    return plain, wide


def maps(channels, dtype=torch.float32, size=(4, 16, 24)):
    x = torch.randn(size[0], channels, *size[1:]) * 3 + 2
    return x.to(dtype).to(memory_format=torch.channels_last)


def step(layer, x, grad):
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = layer(x)
    y.backward(grad)
    return y, x.grad, layer.weight.grad, layer.bias.grad


@pytest.mark.parametrize('channels', [1, 2, 8, 16, 24])
def test_it_is_as_close_to_the_exact_result_as_pytorchs(channels):
    plain, wide = pair(channels)
    exact = copy.deepcopy(plain).double()
    x = maps(channels)
    grad = torch.randn_like(x)
    results = [step(*args) for args in ((plain, x, grad), (wide, x, grad))]
    expected = step(exact, x.double(), grad.double())
    for theirs, ours, right in zip(*results, expected, strict=True):
        error = (ours - right).abs().max()
        assert error <= max(2 * (theirs - right).abs().max(), 1e-6 * right.abs().max())
    for name, value in exact.named_buffers():
        torch.testing.assert_close(wide.get_buffer(name), value, check_dtype=False)
    for made in results[1][:2]:
        assert made.is_contiguous(memory_format=torch.channels_last)


def test_bf16_maps_have_float32_statistics():
    plain, wide = pair(8)
    exact = copy.deepcopy(plain).double()
    x = maps(8, torch.bfloat16)
    grad = torch.randn_like(x)
    y, of_x, of_weight, of_bias = step(wide, x, grad)
    expected = step(exact, x.double(), grad.double())
    assert y.dtype == of_x.dtype == torch.bfloat16
    assert of_weight.dtype == of_bias.dtype == torch.float32
    # A sum of two numbers of 8 bits each, of maps with values up to about 8.
    torch.testing.assert_close(y.double(), expected[0], rtol=2**-7, atol=2**-7)
    torch.testing.assert_close(of_x.double(), expected[1], rtol=2**-6, atol=2**-6)
    for ours, right in zip((of_weight, of_bias), expected[2:], strict=True):
        torch.testing.assert_close(ours.double(), right, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(
        wide.running_var.double(), exact.running_var, rtol=1e-5, atol=1e-6
    )


def test_an_output_may_be_changed_in_place():
    _, wide = pair(8)
    x = maps(8).requires_grad_()
    wide(x).relu_().sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize(
    ('channels', 'change'),
    [
        (8, lambda layer, x: (layer.eval(), x)),
        (8, lambda layer, x: (layer, x.contiguous())),
        (24, lambda layer, x: (layer, x[:1, :, :1, :7])),
    ],
    ids=['evaluation', 'channels-first', 'a prime number of pixels'],
)
def test_all_else_is_pytorchs_to_the_bit(channels, change):
    plain, wide = pair(channels)
    x = maps(channels)
    assert torch.equal(
        *(layer(x) for layer, x in (change(la, x) for la in (plain, wide)))
    )
    assert torch.equal(plain.running_var, wide.running_var)


def test_a_cumulative_average_is_pytorchs():
    plain, wide = pair(8, momentum=None)
    x = maps(8)
    assert torch.equal(plain(x), wide(x))


def test_only_thin_layers_of_the_class_itself_are_widened():
    class Own(nn.BatchNorm2d):
        pass

    model = nn.Sequential(
        nn.BatchNorm2d(8), Own(8), nn.BatchNorm2d(32), nn.Conv2d(8, 8, 1)
    )
    state = copy.deepcopy(model.state_dict())
    assert widen_batch_norms_(model) == 1
    assert [type(layer) for layer in model] == [
        WideBatchNorm2d,
        Own,
        nn.BatchNorm2d,
        nn.Conv2d,
    ]
    assert model.load_state_dict(state)


def test_mini_xception_trains_the_same():
    torch.manual_seed(0)
    plain = MiniXception().to(memory_format=torch.channels_last)
    wide = copy.deepcopy(plain)
    assert widen_batch_norms_(wide) == 5
    x = torch.randn(8, 1, 44, 44).to(memory_format=torch.channels_last)
    for model in (plain, wide):
        model(x)[0].square().mean().backward()
    for ours, theirs in zip(wide.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5)
