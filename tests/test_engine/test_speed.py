# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Memory format, compiler and optimizers, each against the plain computation."""

import copy
from collections import Counter

import pytest
import torch
from mmcv.cnn.bricks import Swish
from torch import nn

from hpml_mm.engine.speed import (
    check_compiler,
    choose_implementation,
    compile_parts_,
    use_channels_last_,
    use_fused_swish_,
    use_implementation_,
)
from hpml_mm.measure.step_cost import has_compiled_parts
from hpml_mm.models import MiniXception

# Traces as the default backend does, but needs no compiler and no time.
EAGER = {'backend': 'aot_eager'}
FUSED = ('Adam', 'AdamW', 'SGD', 'Adagrad')


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
    state = copy.deepcopy(model.state_dict())
    state['0.weight'] = state['0.weight'].contiguous() + 1
    model.load_state_dict(state)
    assert is_channels_last(model[0].weight)
    assert torch.equal(model[0].weight, values[0] + 1)


def test_parameters_that_are_no_convolutions_are_not_counted():
    model = nn.Linear(8, 2)
    model.scale = nn.Parameter(torch.ones(1, 8, 2, 2))
    assert use_channels_last_(model) == 0


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


class OwnSwish(Swish):
    """Has a subclass's right to a forward of its own."""


# One operation rounds less often than two; bf16 keeps 8 bits.
@pytest.mark.parametrize(
    ('dtype', 'close'), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)]
)
def test_swish_is_computed_by_one_kernel(dtype, close):
    torch.manual_seed(0)
    shared = Swish()
    model = nn.Sequential(shared, nn.Linear(6, 6), shared, OwnSwish(), Swish())
    model.to(dtype)
    value = (4 * torch.randn(32, 6)).to(dtype).requires_grad_()

    def run():
        result = model(value)
        return result, *torch.autograd.grad(result.sum(), value)

    before, keys = run(), list(model.state_dict())
    assert use_fused_swish_(model) == 2
    assert [type(layer) for layer in model[2:]] == [nn.SiLU, OwnSwish, nn.SiLU]
    torch.testing.assert_close(run(), before, rtol=close, atol=close)
    assert list(model.state_dict()) == keys
    assert use_fused_swish_(model) == 0
    assert torch.equal(copy.deepcopy(model)(value), model(value))


@pytest.mark.parametrize('channels', [1, 3])
def test_a_step_keeps_the_layout_of_weights(channels):
    model = nn.Sequential(nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    use_channels_last_(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.randn(2, channels, 8, 8)).square().mean().backward()
    optimizer.step()
    assert is_channels_last(model[2].weight)
    assert is_channels_last(optimizer.state[model[2].weight]['momentum_buffer'])


class Head(nn.Module):
    """Calls itself in both ways that heads of MMPretrain and MMPose do."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)

    def forward(self, features):
        return self.fc(features.mean((2, 3)))

    def loss(self, features):
        return self.forward(features).square().mean() + self(features).mean()


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = Head()

    def loss(self, images):
        return self.head.loss(self.backbone(images))


@pytest.fixture
def graphs():
    """Counts what is compiled, by the number of samples that come in."""
    torch.compiler.reset()
    seen = Counter()

    def backend(graph, inputs):
        images = [x for x in inputs if x.dim() == 4 and not x.requires_grad]
        seen.update(x.shape[0] for x in images)
        seen['all'] += 1
        return graph.forward

    yield seen, backend
    torch.compiler.reset()


def model_and_images():
    torch.manual_seed(0)
    return Model(), torch.randn(6, 1, 8, 8)


@pytest.mark.slow
def test_losses_gradients_and_keys_stay_and_a_copy_has_its_own_weights(graphs):
    model, images = model_and_images()
    plain = copy.deepcopy(model)
    keys = list(model.state_dict())
    assert compile_parts_(model, EAGER) == ['backbone', 'head']
    compiled = model.head.forward
    compile_parts_(model, EAGER)
    assert model.head.forward is compiled
    assert has_compiled_parts(model)
    assert not has_compiled_parts(plain)
    loss, expected = model.loss(images), plain.loss(images)
    loss.backward()
    expected.backward()
    assert torch.equal(loss, expected)
    for param, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(param.grad, other.grad)
    assert list(model.state_dict()) == keys
    assert 'forward' not in repr(model)

    other = copy.deepcopy(model)
    assert not has_compiled_parts(other)
    with torch.no_grad():
        for param in other.parameters():
            param.zero_()
    assert other.loss(images) == 0
    assert model.loss(images) != 0


@pytest.mark.slow
def test_both_ways_of_calling_a_head_are_compiled_once_and_validation_never(graphs):
    seen, backend = graphs
    model, images = model_and_images()
    compile_parts_(model, {'backend': backend})
    features = model.backbone(images)
    count = seen['all']
    model.head(features)
    model.head.forward(features)
    assert (count, seen['all']) == (1, 2)
    for size in (4, 4, 2, 4):  # two epochs of training, whose last batch is smaller
        model.loss(images[:size])
    compiled = seen['all']
    model.eval()
    with torch.no_grad():
        for size in (6, 5, 3, 1):
            model.loss(images[:size])
    model.train()
    with torch.no_grad():
        model.loss(images[:3])
    model.loss(images[:4])
    assert seen['all'] == compiled
    assert seen[4] == 1


def test_what_cannot_be_compiled_is_named():
    with pytest.raises(ValueError, match="unknown argument 'dynamics'; known are"):
        compile_parts_(Model(), {'dynamics': True})
    with pytest.raises(ValueError, match='Linear has none of the parts'):
        compile_parts_(nn.Linear(1, 1))


def test_a_compiler_that_is_missing_is_found_out_before():
    def broken(graph, inputs):
        raise RuntimeError('No working C++ compiler found\nmuch more')

    torch.compiler.reset()
    with pytest.raises(ValueError, match='compiler found.*apt install') as caught:
        check_compiler('cpu', broken)
    assert 'much more' not in str(caught.value)
    check_compiler('cpu', 'aot_eager')


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
