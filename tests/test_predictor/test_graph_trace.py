# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Modules become graphs: nodes, edges, sizes and counts, node by node."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import DeformConv2d
from traced_calls import called

from hpml_mm.predictor.graphs.tracing.trace import trace


def edges(graph):
    labels = graph.labels
    return {(labels[start], labels[end]) for start, end in graph.edges.tolist()}


def test_a_convolution_has_its_sizes_bias_and_counts():
    graph = trace(nn.Sequential(nn.Conv2d(4, 10, (3, 5), (2, 1), bias=True)), (4, 6, 8))
    assert graph.labels == ['conv', 'input', 'output']
    assert graph.names == ('0', 'input', 'output')
    assert graph.resolutions.tolist() == [
        [6, 2, 8, 4, 4, 10],
        [6, 6, 8, 8, 4, 4],
        [2, 2, 4, 4, 10, 10],
    ]
    assert graph.strides.tolist() == [[2, 1], [1, 1], [1, 1]]
    assert graph.shapes.tolist() == [[4, 10, 3, 5]]
    assert graph.biased.tolist() == [True]
    assert graph.macs.tolist() == [2 * 4 * 10 * 4 * 15, 0, 0]
    assert graph.params.tolist() == [4 * 10 * 15 + 10, 0, 0]


@pytest.mark.parametrize(
    ('module', 'label', 'shape', 'macs'),
    [
        (nn.Conv2d(4, 8, 3, groups=4, bias=False), 'depthwise', [4, 2, 3, 3], 1728),
        (nn.Conv2d(4, 8, 3, groups=2, bias=False), 'conv', [2, 8, 3, 3], 3456),
        (nn.ConvTranspose2d(4, 6, 4, 2, bias=False), 'conv', [4, 6, 4, 4], 18432),
        (nn.ConvTranspose2d(4, 4, 2, groups=4), 'depthwise', [4, 1, 2, 2], 768),
        (nn.Linear(8, 3, bias=False), 'matmul', [8, 3, 0, 0], 4 * 6 * 8 * 3),
    ],
)
def test_kinds_of_weighted_nodes(module, label, shape, macs):
    graph = trace(module, (4, 6, 8))
    assert graph.labels[0] == label
    assert graph.shapes.tolist() == [shape]
    assert graph.total_macs == macs
    assert graph.total_params == sum(part.numel() for part in module.parameters())


def test_a_deformable_convolution_costs_what_a_plain_one_does():
    def run(module, x):
        return module.conv(x, module.offset(x))

    graph = called(
        run, offset=nn.Conv2d(4, 18, 3), conv=DeformConv2d(4, 6, 3, groups=2)
    )
    assert graph.labels == ['conv', 'conv', 'input', 'output']
    assert graph.shapes.tolist()[1] == [2, 6, 3, 3]
    assert graph.macs.tolist()[1] == 4 * 6 * 6 * 2 * 9
    assert graph.biased.tolist() == [True, True]
    assert edges(graph) == {('input', 'conv'), ('conv', 'conv'), ('conv', 'output')}
    assert graph.total_params == 4 * 18 * 9 + 18 + 2 * 6 * 9 + 6


def test_shapes_that_a_network_makes_tensors_of_are_known():
    def run(module, x):
        height, width = torch.stack([torch._shape_as_tensor(x)[2:]])[0]
        assert (height * width).sum() == 48
        return x[..., : int(height) // 2, : width - 3]

    assert called(run).resolutions[-1].tolist() == [3, 3, 5, 5, 4, 4]


def test_a_convolution_in_one_dimension_lies_along_the_height():
    graph = trace(nn.Conv1d(4, 8, 3, stride=2), (4, 11))
    assert graph.shapes.tolist() == [[4, 8, 3, 1]]
    assert graph.resolutions[0].tolist() == [11, 5, 1, 1, 4, 8]
    assert graph.total_macs == 5 * 8 * 12


@pytest.mark.parametrize(
    ('module', 'label'),
    [
        (nn.BatchNorm2d(4), 'batchnorm'),
        (nn.GroupNorm(2, 4), 'batchnorm'),
        (nn.LayerNorm(8), 'batchnorm'),
        (nn.ReLU(inplace=True), 'relu'),
        (nn.LeakyReLU(), 'relu'),
        (nn.PReLU(), 'relu'),
        (nn.ReLU6(), 'relu6'),
        (nn.SiLU(), 'swish'),
        (nn.Hardswish(inplace=True), 'swish'),
        (nn.Hardsigmoid(), 'sigmoid'),
        (nn.GELU(), 'gelu'),
        (nn.Tanh(), 'tanh'),
        (nn.MaxPool2d(3, 2), 'maxpool'),
        (nn.AvgPool2d(2), 'avgpool'),
        (nn.AdaptiveAvgPool2d(1), 'mean'),
        (nn.AdaptiveAvgPool2d(2), 'avgpool'),
        (nn.ZeroPad2d(1), 'paddings'),
        (nn.ReflectionPad2d(1), 'paddings'),
        (nn.Upsample(scale_factor=2), 'identity'),
        (nn.PixelShuffle(2), 'depthtospacend'),
        (nn.PixelUnshuffle(2), 'spacetodepthnd'),
        (nn.Softmax(dim=1), 'OOV'),
    ],
)
def test_words_for_regular_nodes(module, label):
    graph = trace(module, (4, 6, 8))
    assert graph.labels == ['input', label, 'output']
    assert edges(graph) == {('input', label), (label, 'output')}
    assert graph.total_macs == 0
    assert graph.total_params == sum(part.numel() for part in module.parameters())


@pytest.mark.parametrize(
    ('module', 'size', 'stride'),
    [
        (nn.MaxPool2d(3, 2), [6, 2, 8, 3, 4, 4], [2, 2]),
        (nn.AvgPool2d((2, 4)), [6, 3, 8, 2, 4, 4], [2, 4]),
        (nn.AdaptiveAvgPool2d(2), [6, 2, 8, 2, 4, 4], [1, 1]),
        (nn.LayerNorm(8), [4, 4, 6, 6, 8, 8], [1, 1]),
    ],
)
def test_sizes_and_strides_of_regular_nodes(module, size, stride):
    graph = trace(module, (4, 6, 8))
    assert graph.resolutions[1].tolist() == size
    assert graph.strides[1].tolist() == stride


@pytest.mark.parametrize(
    'function',
    [
        lambda module, x: x.flatten(1).view(1, 8, 24),
        lambda module, x: x.permute(0, 2, 3, 1).contiguous(),
        lambda module, x: F.dropout(x, 0.5, module.training),
        lambda module, x: torch.roll(x, 1, dims=2)[:, :, 1:].clone(),
        lambda module, x: torch.cat([x]),
        lambda module, x: x * 0.5 + 1,
        lambda module, x: F.pad(x, (0, 0, 0, 0)),
        lambda module, x: x + torch.zeros(1),
        lambda module, x: x.view(1, 2, 2, 6, 8).transpose(1, 2).reshape(1, 4, 6, 8),
    ],
)
def test_what_only_moves_or_scales_leaves_no_node(function):
    graph = called(function)
    assert graph.labels == ['input', 'output']
    assert edges(graph) == {('input', 'output')}


def halves(module, x):
    x = torch.tanh(x)
    first, second = x.chunk(2, dim=1)
    first.sigmoid_()
    return F.gelu(second), F.relu(x)


def views(module, x):
    x = torch.tanh(x)
    flat = x.view(-1)
    x.sigmoid_()
    return flat * torch.ones(192)


def pieces(module, x):
    out = torch.empty_like(x)
    out[:, :2] = x[:, :2].tanh()
    out[:, 2:] = x[:, 2:].sigmoid()
    return out


def gated_unit(module, x):
    first, second = x.tanh().chunk(2, dim=1)
    return first * second.sigmoid()


@pytest.mark.parametrize(
    ('function', 'expected'),
    [
        (lambda module, x: x.mul(0.0), 'input>zero zero>output'),
        (
            lambda module, x: torch.tanh(x).add_(x.sigmoid()),
            'input>tanh input>sigmoid tanh>add sigmoid>add add>output',
        ),
        (lambda module, x: x * x.sigmoid(), 'input>swish swish>output'),
        (
            lambda module, x: x.tanh().mul_(F.hardsigmoid(x.tanh())),  # of another x
            'input>tanh tanh>sigmoid tanh>mul sigmoid>mul mul>output',
        ),
        (gated_unit, 'input>tanh tanh>sigmoid tanh>mul sigmoid>mul mul>output'),
        # A write in place reaches every view, but not the other half.
        (views, 'input>tanh tanh>sigmoid sigmoid>output'),
        (
            halves,
            'input>tanh tanh>sigmoid tanh>gelu tanh>relu sigmoid>relu gelu>output '
            'relu>output',
        ),
        (pieces, 'input>tanh input>sigmoid tanh>output sigmoid>output'),
    ],
)
def test_edges_follow_the_data(function, expected):
    pairs = (pair.split('>') for pair in expected.split())
    assert edges(called(function)) == {(start, end) for start, end in pairs}


def test_a_concatenation_has_the_channels_of_all_its_inputs():
    graph = called(lambda module, x: torch.cat([x, x.tanh()], dim=1))
    index = graph.labels.index('concat')
    assert graph.resolutions[index].tolist() == [6, 6, 8, 8, 8, 8]
    assert ('input', 'concat') in edges(graph)


def test_parameters_count_at_the_first_node_that_they_lead_to():
    scale = nn.Parameter(torch.ones(4, 1, 1))
    graph = called(lambda module, x: x * module.scale, scale=scale)
    assert graph.labels == ['input', 'mul', 'output']
    assert graph.params.tolist() == [0, 4, 0]
    linear = nn.Linear(8, 8)
    graph = called(lambda module, x: module.linear(module.linear(x)), linear=linear)
    assert graph.params.tolist() == [72, 0, 0, 0]
    assert graph.macs.tolist() == [4 * 6 * 64, 4 * 6 * 64, 0, 0]
    assert graph.names[:2] == ('linear', 'linear_1')
    graph = called(lambda module, x: x.tanh(), unused=nn.Linear(3, 2))
    assert graph.params.tolist() == [0, 0, 8]


def test_a_bias_that_is_added_afterwards_belongs_to_its_product():
    graph = called(
        lambda module, x: x @ module.weight.t() + module.bias,
        weight=nn.Parameter(torch.ones(5, 8)),
        bias=nn.Parameter(torch.ones(5)),
    )
    assert graph.labels == ['matmul', 'input', 'output']
    assert graph.biased.tolist() == [True]
    assert graph.params.tolist() == [45, 0, 0]


def test_attention_is_two_products_and_a_softmax():
    def function(module, x):
        tokens = x.flatten(2).transpose(1, 2)
        return F.scaled_dot_product_attention(tokens, tokens, tokens)

    graph = called(function)
    assert graph.labels[:2] == ['matmul', 'matmul']
    assert graph.shapes.tolist() == [[4, 48, 0, 0], [48, 4, 0, 0]]
    assert graph.total_macs == 2 * 48 * 48 * 4
    assert [name for name in graph.names if 'softmax' in name]


def test_the_fused_attention_of_pytorch_hides_nothing():
    layer = nn.MultiheadAttention(4, 2, batch_first=True).eval()

    def function(module, x):
        tokens = x.flatten(2).transpose(1, 2)
        return module.layer(tokens, tokens, tokens, need_weights=False)[0]

    graph = called(function, layer=layer)
    assert graph.total_macs == 48 * 4 * 16 + 2 * 48 * 48 * 4
    assert torch.backends.mha.get_fastpath_enabled()


def test_a_recurrent_layer_is_counted_or_refused():
    graph = trace(nn.GRU(4, 5, batch_first=True), (3, 4))
    assert graph.total_macs == 3 * 15 * (4 + 5)


def test_tokens_keep_their_channels_wherever_they_are():
    graph = called(
        lambda module, x: module.norm(x.flatten(2).transpose(1, 2)).transpose(1, 2),
        norm=nn.LayerNorm(4),
    )
    assert graph.resolutions[1].tolist() == [48, 48, 1, 1, 4, 4]
    assert graph.resolutions[2].tolist() == [48, 48, 1, 1, 4, 4]


def test_matrices_of_constants_count_and_have_no_input():
    graph = called(
        lambda module, x: x + module.linear(torch.ones(6, 2)),
        linear=nn.Linear(2, 1, bias=False),
    )
    assert graph.labels == ['matmul', 'input', 'add', 'output']
    assert graph.total_macs == 12
    assert edges(graph) == {('input', 'add'), ('matmul', 'add'), ('add', 'output')}
