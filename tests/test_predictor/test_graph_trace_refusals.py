# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What a trace leaves as it was, and what it refuses."""

import pytest
import torch
from torch import nn
from traced_calls import Call, called

from hpml_mm.predictor.graphs.tracing.trace import trace, uninitialised


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


def test_a_module_without_data_can_be_traced():
    module = nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8)).to('meta')
    assert trace(module, (4, 6, 8)).total_params == 4 * 8 * 9 + 8 + 16


def test_a_look_at_values_is_refused_by_operator_and_module():
    def function(module, x):
        return x * x.max().item()

    model = nn.Sequential(nn.ReLU(), Call(function))
    message = (
        r'Sequential cannot be traced with an input of \(4, 6, 8\): it stopped at '
        r"aten\._local_scalar_dense\.default in module '1': .* depends on values"
    )
    with pytest.raises(ValueError, match=message):
        trace(model, (4, 6, 8))
    assert model.training


def test_an_input_that_does_not_fit_is_refused_by_operator_and_module():
    with pytest.raises(ValueError, match=r"aten\.convolution\.default in module '0'"):
        trace(nn.Sequential(nn.Conv2d(5, 4, 1)), (4, 6, 8))


def test_one_error_is_all_that_is_said(caplog):
    with pytest.raises(ValueError, match=r'aten\.add\.Tensor'):
        called(lambda module, x: x + torch.ones(7))
    assert not caplog.records


def test_an_error_in_python_names_its_module():
    def function(module, x):
        raise KeyError('missing')

    with pytest.raises(ValueError, match="Python code in module 'Call': 'missing'"):
        called(function)


def test_convolutions_in_three_dimensions_are_refused():
    with pytest.raises(ValueError, match='in one or two dimensions only'):
        trace(nn.Conv3d(4, 4, 1), (4, 6, 8, 8))


def test_operators_of_others_are_refused():
    torchvision = pytest.importorskip('torchvision')

    def function(module, x):
        boxes = torch.zeros(1, 5)
        return torchvision.ops.roi_align(x, boxes, (2, 2))

    with pytest.raises(
        ValueError, match=r'torchvision\.roi_align.* costs is not known'
    ):
        called(function)


def test_an_output_that_does_not_depend_on_the_input_is_refused():
    with pytest.raises(ValueError, match='nothing that it returns depends'):
        called(lambda module, x: torch.zeros(3))


def test_how_to_call_a_module_can_be_said():
    class Two(nn.Module):
        def forward(self, first, second):
            return first + second

    graph = trace(Two(), (4, 6, 8), call=lambda module, x: module(x, x.tanh()))
    assert graph.labels == ['input', 'tanh', 'add', 'output']


def test_an_uninitialised_module_has_the_same_graph():
    with uninitialised():
        module = nn.Linear(4, 2)
    assert trace(module, (4,)).total_params == 10
