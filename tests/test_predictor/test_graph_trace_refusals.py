# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What a trace leaves as it was, and what it refuses."""

import pytest
import torch
from torch import nn
from torchvision.ops import roi_align
from traced_calls import Call

from hpml_mm.predictor.graphs.tracing.trace import trace


def test_neither_weights_nor_modes_change():
    module = nn.Sequential(nn.BatchNorm2d(4), nn.Dropout(), nn.BatchNorm2d(4).eval())
    module.train()
    module[2].eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    addresses = [weight.data_ptr() for weight in module.parameters()]

    trace(module, (4, 6, 8))

    assert [child.training for child in module] == [True, True, False]
    assert module.training
    assert addresses == [weight.data_ptr() for weight in module.parameters()]
    for name, tensor in module.state_dict().items():
        assert type(tensor) is torch.Tensor
        assert torch.equal(tensor, before[name])


def fails(module, x):
    raise KeyError('missing')


@pytest.mark.parametrize(
    ('module', 'message'),
    [
        (
            nn.Sequential(nn.ReLU(), Call(lambda module, x: x * x.max().item())),
            r'Sequential cannot be traced with an input of \(4, 6, 8\): it stopped at '
            r"aten\._local_scalar_dense\.default in module '1': .* depends on values",
        ),
        (
            nn.Sequential(nn.Conv2d(5, 4, 1)),
            r"aten\.convolution\.default in module '0'",
        ),
        (Call(lambda module, x: x + torch.ones(7)), r'aten\.add\.Tensor'),
        (Call(fails), "Python code in module 'Call': 'missing'"),
        (
            Call(lambda module, x: roi_align(x, torch.zeros(1, 5), (2, 2))),
            r'torchvision\.roi_align.* costs is not known',
        ),
        (Call(lambda module, x: torch.zeros(3)), 'nothing that it returns depends'),
    ],
)
def test_what_cannot_be_traced_is_refused_by_operator_and_module(
    module, message, caplog
):
    with pytest.raises(ValueError, match=message):
        trace(module, (4, 6, 8))
    assert module.training
    assert not caplog.records  # one error is all that is said


def test_convolutions_in_three_dimensions_are_refused():
    with pytest.raises(ValueError, match='in one or two dimensions only'):
        trace(nn.Conv3d(4, 4, 1), (4, 6, 8, 8))


def test_how_to_call_a_module_can_be_said():
    class Two(nn.Module):
        def forward(self, first, second):
            return first + second

    graph = trace(Two(), (4, 6, 8), call=lambda module, x: module(x, x.tanh()))
    assert graph.labels == ['input', 'tanh', 'add', 'output']
