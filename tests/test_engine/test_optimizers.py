# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import copy

import pytest
import torch
from torch import nn

from hpml_mm.engine.speed import use_channels_last_
from hpml_mm.engine.speed import choose_implementation, use_implementation_

FUSED = ('Adam', 'AdamW', 'SGD', 'Adagrad')


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        # A bias before a BatchNorm would have a gradient of rounding errors only.
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.Conv2d(4, 2, 3),
    )


def build(model: nn.Module, name: str, **settings) -> torch.optim.Optimizer:
    if name == 'SGD':
        settings['momentum'] = 0.9
    return getattr(torch.optim, name)(model.parameters(), lr=0.01, **settings)


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, count: int = 3) -> None:
    images = torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    for _ in range(count):
        model(images).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def assert_same(model: nn.Module, other: nn.Module) -> None:
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('name', FUSED)
@pytest.mark.parametrize('wanted', ['fused', 'foreach'])
def test_it_computes_what_the_loop_computes(name, wanted):
    model, plain = net(), net()
    optimizer, loop = build(model, name), build(plain, name)
    use_implementation_(optimizer, wanted)
    steps(model, optimizer)
    steps(plain, loop)
    assert optimizer.param_groups[0][wanted] is True
    assert_same(model, plain)


@pytest.mark.parametrize('name', FUSED)
def test_a_state_made_before_in_another_layout_goes_on(name):
    model, plain = net(), net()
    optimizer, loop = build(model, name), build(plain, name)
    steps(model, optimizer)
    steps(plain, loop)
    use_channels_last_(model)
    use_implementation_(optimizer, 'fused')
    for param, state in optimizer.state.items():
        for key, value in state.items():
            assert key == 'step' or value is None or value.stride() == param.stride()
    steps(model, optimizer)
    steps(plain, loop)
    assert_same(model, plain)
    state = optimizer.state_dict()['state'][0]
    for key, value in loop.state_dict()['state'][0].items():
        torch.testing.assert_close(state[key], value, rtol=1e-4, atol=1e-6)


def test_a_loaded_state_brings_its_implementation_back():
    model = net()
    optimizer, saved = build(model, 'Adam'), build(net(), 'Adam').state_dict()
    use_implementation_(optimizer, 'fused')
    optimizer.load_state_dict(copy.deepcopy(saved))
    assert not optimizer.param_groups[0]['fused']
    use_implementation_(optimizer, 'fused')
    assert optimizer.param_groups[0]['fused']


def test_a_scaler_leaves_unscaling_to_fused_kernels_only():
    optimizer = build(net(), 'Adam')
    use_implementation_(optimizer, 'fused')
    assert optimizer._step_supports_amp_scaling
    use_implementation_(optimizer, 'foreach')
    assert not getattr(optimizer, '_step_supports_amp_scaling', False)
    assert optimizer.param_groups[0]['fused'] is False


def test_auto_is_fused_where_there_is_such_a_kernel():
    assert choose_implementation(build(net(), 'Adam'), 'auto') == 'fused'
    assert choose_implementation(build(net(), 'Adamax'), 'auto') is None
    assert choose_implementation(build(net().to('meta'), 'Adam'), 'auto') is None
    assert choose_implementation(build(net(), 'Adamax'), 'foreach') == 'foreach'


def test_what_an_optimizer_cannot_do_is_refused():
    with pytest.raises(ValueError, match='Adamax has no fused .* optimizer="auto"'):
        choose_implementation(build(net(), 'Adamax'), 'fused')
    lbfgs = torch.optim.LBFGS(net().parameters())
    with pytest.raises(ValueError, match='LBFGS has no foreach .* optimizer=None'):
        choose_implementation(lbfgs, 'foreach')
