# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
import torch
from mmengine.optim import ApexOptimWrapper, OptimWrapper
from torch import nn

from hpml_mm.engine.amp import (
    AmpOptimWrapper,
    CountingGradScaler,
    EvalAutocast,
    resolve_precision,
)
from hpml_mm.registry import OPTIM_WRAPPERS


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))


def sgd(model) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def scaled_wrapper(model, optimizer=None, **scaler_args) -> AmpOptimWrapper:
    """A wrapper that scales its loss, which a real one does on a GPU only."""
    wrapper = AmpOptimWrapper(optimizer or sgd(model))
    wrapper.loss_scaler = CountingGradScaler('cpu', **scaler_args)
    return wrapper


def batches(count=4):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(6, 4, generator=generator) for _ in range(count)]


def train(model, wrapper, inputs):
    for x in inputs:
        with wrapper.optim_context(model):
            loss = model(x).square().mean()
        wrapper.update_params(loss)


def assert_same_parameters(model, expected):
    for param, other in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(param, other, rtol=0, atol=0)


def test_auto_is_bf16_on_a_cpu():
    precision = resolve_precision('auto', 'cpu')
    assert (precision.name, precision.loss_scaling) == ('bf16', False)
    assert resolve_precision(torch.bfloat16, 'cpu') == precision


@pytest.mark.parametrize(
    ('native_bf16', 'name', 'loss_scaling'),
    [(True, 'bf16', False), (False, 'fp16', True)],
)
def test_auto_on_a_gpu_depends_on_native_bf16(
    monkeypatch, native_bf16, name, loss_scaling
):
    monkeypatch.setattr(
        torch.cuda, 'is_bf16_supported', lambda including_emulation: native_bf16
    )
    precision = resolve_precision('auto', 'cuda:1')
    assert (precision.name, precision.loss_scaling) == (name, loss_scaling)
    assert resolve_precision('float16', 'cuda').loss_scaling
    if not native_bf16:
        with pytest.raises(ValueError, match='"bfloat16".*"cuda".*"float16"'):
            resolve_precision('bfloat16', 'cuda')


@pytest.mark.parametrize(
    ('dtype', 'device', 'message'),
    [
        ('float16', 'cpu', '"float16" does not work on the device "cpu".*"bfloat16"'),
        ('bf17', 'cpu', 'unknown mixed precision dtype \'bf17\': use "auto"'),
        ('auto', 'mps', 'no mixed precision on the device "mps": remove AmpHook'),
    ],
)
def test_an_impossible_choice_names_value_place_and_remedy(dtype, device, message):
    with pytest.raises(ValueError, match=message):
        resolve_precision(dtype, device)


def test_accumulation_and_clipping_equal_a_hand_written_loop():
    model, expected = net(), net()
    wrapper = OPTIM_WRAPPERS.build(
        dict(
            type='hpml_mm.AmpOptimWrapper',
            optimizer=sgd(model),
            accumulative_counts=2,
            clip_grad={'max_norm': 0.01},
        )
    )
    optimizer = sgd(expected)
    train(model, wrapper, batches())
    for index, x in enumerate(batches()):
        with torch.autocast('cpu', torch.bfloat16):
            loss = expected(x).square().mean() / 2
        loss.backward()
        if index % 2:
            nn.utils.clip_grad_norm_(expected.parameters(), max_norm=0.01)
            optimizer.step()
            optimizer.zero_grad()
    assert_same_parameters(model, expected)


def test_scaling_by_a_power_of_two_leaves_the_update_unchanged():
    model, expected = net(), net()
    train(model, scaled_wrapper(model, init_scale=1024.0), batches())
    train(expected, AmpOptimWrapper(sgd(expected)), batches())
    assert_same_parameters(model, expected)


@pytest.mark.parametrize('fused', [False, True])
def test_skipped_steps_are_counted_and_leave_the_parameters(fused):
    model, untouched = net(), net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, fused=fused)
    wrapper = scaled_wrapper(model, optimizer, init_scale=1024.0)
    broken = torch.full((6, 4), float('inf'))
    train(model, wrapper, [broken, broken])
    assert wrapper.loss_scaler.skipped_steps() == 2
    assert wrapper.loss_scaler.get_scale() == 256.0
    assert_same_parameters(model, untouched)
    train(model, wrapper, batches(1))
    assert wrapper.loss_scaler.skipped_steps() == 2
    assert not torch.equal(model[0].weight, untouched[0].weight)


def test_a_fixed_scale_survives_a_skipped_step():
    model = net()
    wrapper = scaled_wrapper(model, init_scale=512.0)
    wrapper._scale_update_param = AmpOptimWrapper(
        sgd(model), loss_scale=512
    )._scale_update_param
    train(model, wrapper, [torch.full((6, 4), float('inf')), *batches(1)])
    assert wrapper.loss_scaler.get_scale() == 512.0
    assert wrapper.loss_scaler.skipped_steps() == 1


@pytest.mark.parametrize('loss_scale', ['static', 0, -1.0, True, None])
def test_an_unknown_loss_scale_is_an_error(loss_scale):
    with pytest.raises(ValueError, match='loss_scale is .*use "dynamic"'):
        AmpOptimWrapper(sgd(net()), loss_scale=loss_scale)


def test_state_restores_the_scaler_and_fits_other_wrappers():
    model = net()
    saved = scaled_wrapper(model, init_scale=1024.0)
    train(model, saved, [torch.full((6, 4), float('inf'))])
    restored = scaled_wrapper(model)
    restored.load_state_dict(saved.state_dict())
    assert restored.loss_scaler.get_scale() == 512.0

    plain_state = OptimWrapper(sgd(model)).state_dict()
    bf16 = AmpOptimWrapper(sgd(model))
    assert bf16.state_dict().keys() == plain_state.keys()
    restored.load_state_dict(bf16.state_dict())
    assert restored.loss_scaler.get_scale() == 512.0
    bf16.load_state_dict(saved.state_dict())
    OptimWrapper(sgd(model)).load_state_dict(saved.state_dict())


def test_converting_keeps_the_object_and_its_settings():
    model, expected = net(), net()
    wrapper = OptimWrapper(
        sgd(model), accumulative_counts=2, clip_grad={'max_norm': 0.01}
    )
    AmpOptimWrapper.convert_(wrapper)
    assert type(wrapper) is AmpOptimWrapper
    direct = AmpOptimWrapper(
        sgd(expected), accumulative_counts=2, clip_grad={'max_norm': 0.01}
    )
    train(model, wrapper, batches())
    train(expected, direct, batches())
    assert_same_parameters(model, expected)


def test_converting_a_wrapper_with_its_own_behaviour_is_refused():
    apex = ApexOptimWrapper.__new__(ApexOptimWrapper)
    with pytest.raises(ValueError, match='ApexOptimWrapper.*type="OptimWrapper"'):
        AmpOptimWrapper.convert_(apex)


def test_eval_autocast_leaves_training_alone_and_survives_errors():
    model = net()
    autocast = EvalAutocast(model, resolve_precision('auto', 'cpu'))
    x = batches(1)[0]
    assert model.train()(x).dtype == torch.float32
    with torch.no_grad(), torch.autocast('cpu', enabled=False):
        assert model.eval()(x).dtype == torch.bfloat16
    with pytest.raises(RuntimeError):
        model(torch.randn(6, 5))
    assert not torch.is_autocast_enabled('cpu')
    autocast.remove()
    assert model(x).dtype == torch.float32
