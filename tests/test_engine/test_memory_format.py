# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import copy

import pytest
import torch
from torch import nn

from hpml_mm.engine.speed import use_channels_last_
from hpml_mm.models import MiniXception


def is_channels_last(tensor: torch.Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last)


def test_only_weights_with_four_dimensions_are_converted():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv3d(3, 8, 3), nn.Linear(8, 2))
    before = list(model.parameters())
    values = [param.clone() for param in before]
    assert use_channels_last_(model) == 1
    assert is_channels_last(model[0].weight)
    assert model[1].weight.is_contiguous()
    for param, kept, value in zip(model.parameters(), before, values, strict=True):
        assert param is kept
        assert torch.equal(param, value)


def test_the_layout_survives_loading_a_checkpoint():
    model, other = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3)
    use_channels_last_(model)
    model.load_state_dict(other.state_dict())
    assert is_channels_last(model.weight)
    assert torch.equal(model.weight, other.weight)


def test_mini_xception_stays_channels_last_and_computes_the_same():
    torch.manual_seed(0)
    plain = MiniXception()
    model = copy.deepcopy(plain)
    use_channels_last_(model)
    layouts = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.MaxPool2d):
            module.register_forward_hook(
                lambda _, args, output, name=name: layouts.update(
                    {name: is_channels_last(output)}
                )
            )
    images = torch.randn(4, 1, 44, 44)
    (output,), (expected,) = model(images), plain(images)
    assert len(layouts) > 20
    assert [name for name, kept in layouts.items() if not kept] == []
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)

    output.square().mean().backward()
    expected.square().mean().backward()
    for param, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(param.grad, other.grad, rtol=1e-3, atol=1e-5)
        assert param.dim() < 4 or is_channels_last(param.grad)


@pytest.mark.parametrize('channels', [1, 3])
def test_a_step_keeps_the_layout_of_weights(channels):
    model = nn.Sequential(nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    use_channels_last_(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.randn(2, channels, 8, 8)).square().mean().backward()
    optimizer.step()
    assert is_channels_last(model[2].weight)
    assert is_channels_last(optimizer.state[model[2].weight]['momentum_buffer'])
