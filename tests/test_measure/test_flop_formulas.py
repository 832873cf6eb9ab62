# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Operations of single layers, forward and backward, against arithmetic."""

import math
from functools import partial

import pytest
import torch
from step_flops import count
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import register_flop_formula
from torchvision.ops import deform_conv2d

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def by_hand(layer, source, out):
    """Multiply-accumulates of a convolution's forward pass."""
    per_number = math.prod(layer.kernel_size) / layer.groups
    if type(layer) in TRANSPOSED:  # each number of the input goes to all these
        return source.numel() * layer.out_channels * per_number
    return out.numel() * layer.in_channels * per_number


def passes(layer, source, backward=True):
    """Operations of forward and backward, over those of the forward pass by hand."""
    out = layer(source)

    def step():
        result = layer(source)
        if backward:
            result.sum().backward()

    return count(step).flops / (2 * by_hand(layer, source, out))


@pytest.mark.parametrize('dimensions', [1, 2, 3])
@pytest.mark.parametrize('groups', [1, 2, 8, 64])
@pytest.mark.parametrize('kinds', [CONVOLUTIONS, TRANSPOSED])
def test_grouped_convolution(kinds, groups, dimensions):
    layer = kinds[dimensions - 1](64, 128, 3, stride=2, groups=groups, bias=False)
    source = torch.randn(2, 64, *(7, 5, 3)[:dimensions], requires_grad=True)
    assert passes(layer, source, backward=False) == 1
    # As much again for the gradient of the input, and for the weight's.
    assert passes(layer, source) == 3


@pytest.mark.parametrize('kinds', [CONVOLUTIONS, TRANSPOSED])
@pytest.mark.parametrize(
    'setting',
    [
        {'kernel_size': 3, 'padding': 1},
        {'kernel_size': (3, 1), 'stride': (2, 1)},
        {'kernel_size': 3, 'dilation': 2, 'padding': 2},
        {'kernel_size': 1, 'bias': False},
    ],
    ids=str,
)
def test_settings_of_a_convolution(kinds, setting):
    layer = kinds[1](8, 16, groups=4, **setting)
    assert passes(layer, torch.randn(2, 8, 9, 7, requires_grad=True)) == 3


def test_only_gradients_that_are_asked_for():
    layer = nn.Conv2d(8, 8, 3, groups=8)
    assert passes(layer, torch.randn(2, 8, 9, 9)) == 2
    layer.weight.requires_grad_(False)  # the bias alone learns: sums, no products
    assert passes(layer, torch.randn(2, 8, 9, 9)) == 1
    assert passes(layer, torch.randn(2, 8, 9, 9, requires_grad=True)) == 2


def test_layout_and_one_image_without_a_batch():
    layer = nn.Conv2d(8, 8, 3, groups=4).to(memory_format=torch.channels_last)
    source = torch.randn(2, 8, 9, 9).to(memory_format=torch.channels_last)
    assert passes(layer, source.requires_grad_()) == 3
    assert passes(layer, torch.randn(8, 9, 9)) == 2


def test_precision_share_of_a_depthwise_layer():
    """The layer's true cost decides which precision speaks for a step."""
    depthwise, dense = nn.Conv2d(64, 64, 3, groups=64), nn.Linear(64, 64)
    images = torch.randn(1, 64, 6, 6)  # 4 x 4 x 64 x 9 = 9,216 multiply-adds a pass

    def step():
        with torch.autocast('cpu', dtype=torch.bfloat16):
            depthwise(images).sum().backward()
        dense(torch.randn(64, 64)).sum().backward()  # 262,144 a pass

    flops = count(step)
    assert flops.flops == 2 * 2 * (9216 + 262144)
    assert flops.precision == 'float32'


@pytest.mark.parametrize(('dropout', 'backward'), [(0.0, 5), (0.1, 4)])
def test_attention_of_a_cpu(dropout, backward):
    """Fused attention computes the scores again in the backward pass."""
    query = torch.randn(2, 3, 5, 8, requires_grad=True)
    key = torch.randn(2, 3, 7, 8, requires_grad=True)
    product = 2 * 3 * 5 * 7 * 8
    forward = count(lambda: F.scaled_dot_product_attention(query, key, key))
    assert forward.flops == 2 * 2 * product
    step = count(
        lambda: (
            F.scaled_dot_product_attention(query, key, key, dropout_p=dropout)
            .sum()
            .backward()
        )
    )
    assert step.flops == 2 * (2 + backward) * product


def test_attention_of_shared_keys_and_in_parts():
    query, key = torch.randn(2, 4, 5, 8), torch.randn(2, 2, 7, 8)
    # The fused kernel wants values as wide as keys.
    for backend, width in ((SDPBackend.FLASH_ATTENTION, 8), (SDPBackend.MATH, 6)):
        value = torch.randn(2, 2, 7, width)
        expected = 2 * 2 * 4 * 5 * 7 * (8 + width)
        with sdpa_kernel(backend):
            attend = partial(F.scaled_dot_product_attention, query, key, value)
            flops = count(partial(attend, enable_gqa=True))
        assert flops.flops == expected


@pytest.mark.parametrize(
    ('cls', 'gates', 'first_layer'), [(nn.LSTM, 4, 3), (nn.GRU, 3, 2), (nn.RNN, 1, 2)]
)
def test_recurrent_layers(cls, gates, first_layer):
    """Two layers in two directions; a fused one takes the input's gradient too."""
    layer = cls(8, 5, 2, bidirectional=True)
    source = torch.randn(6, 4, 8)
    inputs, state = gates * 5 * 8, gates * 5 * 5
    upper = gates * 5 * 2 * 5
    forward = 6 * 4 * 2 * (inputs + state + upper + state)
    with torch.no_grad():
        assert count(lambda: layer(source)).flops == 2 * forward
    step = count(lambda: layer(source)[0].sum().backward())
    saved = 6 * 4 * 2 * inputs * (3 - first_layer)
    # The unfused ones take no gradient of a state that needs none, the first.
    first = 0 if cls is nn.LSTM else 4 * 2 * 2 * state
    assert step.flops == 2 * (3 * forward - saved - first)


def test_layers_of_cudnn():
    from hpml_mm.measure.flop_formulas import multiply_accumulates

    weights = [torch.empty(20, 8), torch.empty(20, 5), torch.empty(20)]
    source = torch.empty(6, 4, 8)
    forward = 6 * 4 * (20 * 8 + 20 * 5)
    ops = torch.ops.aten
    rest = [4, *[None] * 13]
    args = (source, weights, *rest)
    assert multiply_accumulates(ops._cudnn_rnn.default, args, {}, None) == forward
    rest = [4, *[None] * 18, [True, True, True, False]]
    args = (source, weights, *rest)
    backward = ops._cudnn_rnn_backward.default
    assert multiply_accumulates(backward, args, {}, None) == forward
    args[-1][3] = True
    assert multiply_accumulates(backward, args, {}, None) == 2 * forward


def test_deformable_convolution():
    source = torch.randn(2, 4, 6, 6, requires_grad=True)
    weight = torch.randn(6, 2, 3, 3, requires_grad=True)
    offset = torch.randn(2, 18, 4, 4)
    step = count(lambda: deform_conv2d(source, offset, weight).sum().backward())
    assert step.flops == 2 * 3 * (2 * 6 * 4 * 4 * 2 * 9)


def ones(*shape, **kwargs):
    return torch.ones(shape, **kwargs)


@pytest.mark.parametrize(
    ('function', 'macs'),
    [
        (lambda: ones(3, 8) @ ones(8), 24),
        (lambda: ones(8) @ ones(8), 8),
        (lambda: torch.addmv(ones(3), ones(3, 8), ones(8)), 24),
        (lambda: torch.addmm(ones(2), ones(3, 8), ones(8, 2)), 48),
        (lambda: ones(3, 2).addmm_(ones(3, 8), ones(8, 2)), 48),
        (lambda: torch.baddbmm(ones(2), ones(5, 3, 8), ones(5, 8, 2)), 240),
        (lambda: torch.addbmm(ones(2), ones(5, 3, 8), ones(5, 8, 2)), 240),
        (lambda: torch.einsum('bik,bjk->bij', ones(5, 3, 8), ones(5, 2, 8)), 240),
        (lambda: torch._int_mm(*[ones(32, 32, dtype=torch.int8)] * 2), 32**3),
        # Three real products make a complex convolution, four a complex product.
        (lambda: nn.Conv1d(2, 4, 1, dtype=torch.complex64)(ones(1, 2, 3) + 0j), 72),
        (lambda: (ones(3, 8) + 0j) @ (ones(8, 2) + 0j), 4 * 48),
        (lambda: torch.vmap(F.linear)(ones(5, 3, 8), ones(5, 2, 8)), 240),
        (lambda: nn.Upsample(scale_factor=2, mode='linear')(ones(1, 2, 3)), 0),
        (lambda: nn.BatchNorm1d(3)(ones(2, 3)).lgamma(), 0),
    ],
)
def test_products(function, macs):
    flops = count(function)
    assert flops.problem is None
    assert flops.flops == (2 * macs or None)


def test_inference_mode():
    """Products then come as whole layers, which are taken apart."""
    with torch.inference_mode():
        linear = count(lambda: F.linear(ones(2, 3, 8), ones(5, 8), ones(5)))
        convolution = count(lambda: F.conv1d(ones(1, 4, 5), ones(4, 1, 3), groups=4))
    assert linear.flops == 2 * 2 * 3 * 8 * 5
    assert convolution.flops == 2 * 3 * 4 * 3


@pytest.mark.parametrize(
    ('function', 'reason'),
    [
        (lambda: torch.sparse.mm(torch.eye(3).to_sparse(), ones(3, 2)), 'addmm'),
        (lambda: torch.eye(3).to_sparse_csr() @ ones(3, 2), 'sparse_csr'),
        (lambda: nn.Bilinear(2, 2, 2)(ones(1, 2), ones(1, 2)), 'trilinear'),
        (lambda: torch.conv_tbc(ones(5, 1, 2), ones(3, 2, 4), ones(4)), 'conv_tbc'),
        (
            lambda: (
                nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)
                .eval()
                .requires_grad_(False)(ones(1, 3, 8))
            ),
            'transformer',
        ),
        (
            lambda: F.linear(
                torch.nested.nested_tensor([ones(1, 2), ones(3, 2)]), ones(4, 2)
            ),
            'linear',
        ),
        (
            lambda: torch.cond(ones(1) > 0, lambda x: x @ x, torch.sin, (ones(2, 2),)),
            'cond',
        ),
    ],
)
@pytest.mark.filterwarnings('ignore::UserWarning')
def test_a_cost_that_is_not_known_is_none(function, reason):
    flops = count(function)
    assert flops.flops is None
    assert flops.precision is None
    assert reason in flops.problem


def test_formulas_of_others_count():
    with torch.library._scoped_library('hpml_mm_test', 'FRAGMENT') as library:
        library.define('my_matmul(Tensor a, Tensor b) -> Tensor')
        library.impl('my_matmul', torch.mm, 'CompositeExplicitAutograd')
        op = torch.ops.hpml_mm_test.my_matmul
        unknown = count(lambda: op(ones(2, 3), ones(3, 4)))
        assert 'hpml_mm_test.my_matmul has no formula' in unknown.problem

        @register_flop_formula(op)
        def cost(a, b, **kwargs):
            return 2 * a[0] * a[1] * b[1]

        assert count(lambda: op(ones(2, 3), ones(3, 4))).flops == 2 * 24
