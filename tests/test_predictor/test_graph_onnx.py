# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""ONNX files become the same graphs as the modules that they were exported from."""

import warnings
from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn
from torchvision.models import resnet18

from hpml_mm.predictor.graphs.graph import same, validate
from hpml_mm.predictor.graphs.onnx.reader import onnx_graph
from hpml_mm.predictor.graphs.tracing.trace import trace


class Mixed(nn.Module):
    """Branches, a gate, attention, transposition, padding, sizes of every kind."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(3, 8, 3, 2), nn.SiLU())
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.squeeze = nn.Conv2d(8, 8, 1)
        self.scale = nn.Parameter(torch.ones(8, 1, 1))
        self.grow = nn.ConvTranspose2d(16, 4, 4, 2, 1)
        self.tokens = nn.LayerNorm(4)
        self.query = nn.Linear(4, 4)
        self.head = nn.Linear(4, 1)

    def forward(self, x):
        x = self.stem(x)
        y = self.norm(self.depthwise(x))
        y = y * self.squeeze(y.mean((2, 3), keepdim=True)).sigmoid() * self.scale
        x = torch.cat([x, nn.functional.max_pool2d(y, 3, 1, 1)], 1)
        x = self.tokens(self.grow(x).flatten(2).transpose(1, 2))
        weight = (self.query(x) @ x.transpose(1, 2)).softmax(-1)
        return self.head(nn.functional.gelu(weight @ x)).squeeze(-1)


def randomised(module):
    """Weights that all differ: the exporter writes equal ones once."""
    with torch.no_grad():
        for weight in module.parameters():
            weight.uniform_(0.5, 1)
    return module.eval()


PRESERVE = torch.onnx.TrainingMode.PRESERVE


@pytest.fixture
def export(tmp_path):
    """Write a module to a file; its batch normalisations are folded by default."""

    def write(module, shape, opset=20, training=torch.onnx.TrainingMode.EVAL):
        path = tmp_path / 'network.onnx'
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            torch.onnx.export(
                randomised(module),
                (torch.zeros(1, *shape),),
                path,
                dynamo=False,
                opset_version=opset,
                input_names=['images'],
                dynamic_axes={'images': {0: 'batch'}},
                training=training,
            )
        return path

    return write


@pytest.mark.parametrize(
    ('module', 'shape'), [(resnet18, (3, 64, 64)), (Mixed, (3, 16, 12))]
)
def test_a_file_has_the_same_graph_as_its_module(export, module, shape):
    net = module()
    traced = trace(net, shape)
    read = onnx_graph(export(net, shape, training=PRESERVE))
    validate(read)
    assert same(read, traced)
    assert read.total_params == sum(weight.numel() for weight in net.parameters())


@pytest.mark.parametrize('dynamo', [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_folded_file_has_the_same_macs_and_fewer_parameters(export, tmp_path, dynamo):
    first, norm = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
    last = nn.Conv2d(8, 8, 3, groups=8)
    module = randomised(nn.Sequential(first, norm, nn.Hardswish(), last, nn.SiLU()))
    if dynamo:
        path, image = tmp_path / 'folded.onnx', torch.zeros(2, 3, 9, 9)
        options = {'dynamic_shapes': ({0: 'batch'},), 'verbose': False}
        torch.onnx.export(module, (image,), dynamo=True, **options).save(path)
    else:
        path = export(module, (3, 9, 9))
    read, traced = onnx_graph(path), trace(module, (3, 9, 9))
    assert read.total_macs == traced.total_macs
    assert read.biased.tolist() == [True, True]
    assert read.total_params == traced.total_params - 8
    assert Counter(traced.labels) - Counter(read.labels) == {'batchnorm': 1}
    assert not Counter(read.labels) - Counter(traced.labels)


class Gates(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x):
        x = nn.functional.silu(nn.functional.gelu(self.linear(x)))
        first, second = x.chunk(2, 1)
        return first * second.sigmoid()


@pytest.mark.parametrize('opset', [18, 20])
def test_activations_that_are_written_out_are_put_together(export, opset):
    path = export(Gates(), (4, 8, 8), opset)
    assert onnx_graph(path).labels == trace(Gates(), (4, 8, 8)).labels


def network(shape, nodes=None, extra=()):
    """A file with one convolution of 3 to 2 channels."""
    nodes = nodes or [helper.make_node('Conv', ['x', 'w'], ['y'], 'first')]
    graph = helper.make_graph(
        nodes,
        'graph',
        [helper.make_tensor_value_info('x', TensorProto.FLOAT, shape), *extra],
        [helper.make_tensor_value_info('y', TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32), 'w')],
    )
    imports = [helper.make_opsetid('', 20), helper.make_opsetid('other', 1)]
    return helper.make_model(graph, opset_imports=imports)


def written(tmp_path, model):
    path = tmp_path / 'made.onnx'
    path.write_bytes(model.SerializeToString())
    return path


def returning(*names):
    """The file's convolution, with its weight, the size and another constant too."""
    nodes = [
        helper.make_node('Conv', ['x', 'w'], ['y'], 'first'),
        helper.make_node('Shape', ['x'], ['s'], 'size'),
    ]
    model = network(['n', 3, 8, 8], nodes)
    count = onnx.numpy_helper.from_array(np.ones(2, np.int64), 'c')
    model.graph.initializer.append(count)
    types = {'y': TensorProto.FLOAT, 'w': TensorProto.FLOAT}
    del model.graph.output[:]
    model.graph.output.extend(
        helper.make_tensor_value_info(name, types.get(name, TensorProto.INT64), None)
        for name in names
    )
    return model


def test_constants_that_are_returned_too_are_not_in_the_graph(tmp_path):
    graph = onnx_graph(written(tmp_path, returning('y', 's', 'c', 'w')))
    assert same(graph, onnx_graph(written(tmp_path, returning('y'))), names=True)
    assert graph.names == ('first', 'input', 'output')
    assert graph.total_macs == 64 * 6  # of one image


ONE = [1, 3, 8, 8]
OTHER = helper.make_tensor_value_info('z', TensorProto.FLOAT, [1])


def node(op, inputs='x', output='y', name='last', **options):
    return helper.make_node(op, inputs.split(), [output], name, **options)


@pytest.mark.parametrize(
    ('model', 'message'),
    [
        (
            network([1, 3, 'h', 8]),
            r"input 'x' is \(1, 3, \?, 8\); only the batch may be",
        ),
        (network([4, 3, 8, 8]), "'x' is a batch of 4; export"),
        (network(None), "shape of input 'x' is unknown"),
        (returning('s', 'c'), 'nothing that it returns depends on its'),
        (
            network(
                ONE,
                [
                    node('NonZero', 'x', 'i', 'where'),
                    node('Cast', 'i', 'f', 'cast', to=TensorProto.FLOAT),
                    node('Relu', 'f'),
                ],
            ),
            r"tensor 'i' at node 'where' is of shape \(4, \?\)",
        ),
        (network([1, 5, 8, 8], [node('Add', 'x w')]), 'the shapes do not fit together'),
        (network([1, 5, 8, 8]), "node 'first': 5 channels come in, its weight takes 3"),
        (network(ONE, extra=[OTHER]), 'has 2 inputs'),
        (
            network(ONE, [node('Einsum', 'x x x', equation='nchw,nchw,nchw->nc')]),
            "node 'last': Einsum 'nchw,nchw,nchw->nc' of 3 operands is not counted",
        ),
        (
            network(ONE, [node('Magic', domain='other')]),
            r"operator other\.Magic of node 'last' cannot be counted",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_by_tensor_or_node(tmp_path, model, message):
    with pytest.raises(ValueError, match=message):
        onnx_graph(written(tmp_path, model))


@pytest.mark.parametrize('kept', [0, 3, 100])
def test_a_damaged_file_is_refused(tmp_path, kept):
    path = tmp_path / 'damaged.onnx'
    path.write_bytes(network([1, 3, 8, 8]).SerializeToString()[:kept])
    with pytest.raises(ValueError, match='cannot be read as ONNX'):
        onnx_graph(path)
    with pytest.raises(FileNotFoundError, match='no such ONNX file'):
        onnx_graph(tmp_path / 'none.onnx')


def test_weights_in_another_file_are_not_needed(tmp_path):
    path = tmp_path / 'split.onnx'
    onnx.save(
        network([1, 3, 8, 8]),
        path,
        save_as_external_data=True,
        location='weights.bin',
        size_threshold=0,
    )
    (tmp_path / 'weights.bin').unlink()
    assert onnx_graph(path).total_params == 6


def test_quantized_weights_are_parameters(tmp_path):
    nodes = [
        helper.make_node('DequantizeLinear', ['q', 'scale'], ['d'], 'dequantize'),
        helper.make_node('Conv', ['x', 'd'], ['y'], 'first'),
    ]
    model = network([1, 3, 8, 8], nodes)
    del model.graph.initializer[:]
    model.graph.initializer.extend(
        [
            helper.make_tensor('q', TensorProto.INT8, [2, 3, 1, 1], [1] * 6),
            helper.make_tensor('scale', TensorProto.FLOAT, [], [0.1]),
        ]
    )
    graph = onnx_graph(written(tmp_path, model))
    assert graph.labels == ['conv', 'input', 'output']
    assert graph.total_params == 6
