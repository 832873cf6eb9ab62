# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import dataclasses

import onnx
import pytest
import torch
from deploy_models import (
    CATS,
    FACES,
    build_leaf,
    leaf,
)
from torch import nn

from hpml_mm.deploy import export
from hpml_mm.deploy.describe import spec_of
from hpml_mm.deploy.engines import OnnxEngine
from hpml_mm.deploy.export import export_onnx
from hpml_mm.deploy.network import plain_network
from hpml_mm.deploy.onnx_names import node_modules
from hpml_mm.engine.speed import compile_parts_
from hpml_mm.quantization.rounding import weighted_layers


@pytest.fixture(scope='module')
def spec():
    return spec_of(leaf(FACES), build_leaf(FACES))


@pytest.mark.parametrize(
    ('build', 'shape'),
    [
        (lambda: build_leaf(FACES), (1, 44, 44)),
        pytest.param(lambda: build_leaf(CATS), (3, 64, 64), marks=pytest.mark.slow),
    ],
    ids=['mini-xception', 'mobilenet-v2-pose'],
)
def test_a_file_says_the_same_and_names_every_layer(tmp_path, spec, build, shape):
    """Of a model that was made fast for training, and is being trained."""
    model = build().to(memory_format=torch.channels_last)
    network = plain_network(model)
    images = torch.randn(3, *shape)
    with torch.no_grad():
        expected = network.eval()(images)
    compile_parts_(model)
    network.train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    numbers = dict(mean=(0.0,) * shape[0], std=(1.0,) * shape[0], channels=shape[0])
    spec = dataclasses.replace(
        spec,
        input_size=shape[:0:-1],
        color='rgb' if shape[0] == 3 else 'grey',
        **numbers,
    )
    path = tmp_path / 'new' / 'a.onnx'
    export_onnx(network, spec, path)
    assert network.training
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    engine = OnnxEngine(path)
    assert engine.spec == spec
    assert torch.allclose(engine(images), expected, atol=1e-4 * expected.abs().max())

    exported = onnx.load(path)
    onnx.checker.check_model(exported, full_check=True)
    assert sorted(node_modules(exported).values()) == sorted(weighted_layers(network))
    kinds = {node.op_type for node in exported.graph.node}
    assert not kinds & {'BatchNormalization', 'Transpose'}
    assert [file.name for file in path.parent.iterdir()] == ['a.onnx']
    # No paths of this machine.
    assert b'site-packages' not in path.read_bytes()


class Inner(nn.Module):
    """A part that does what a test says."""

    def __init__(self, work):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.work = work

    def forward(self, images):
        return self.work(self.conv(images))


class Body(nn.Module):
    """A network of one part."""

    def __init__(self, work):
        super().__init__()
        self.inner = Inner(work)

    def forward(self, images):
        return self.inner(images)


def by_batch(features):
    return features if len(features) == 2 else -features


def by_value(features):
    return features if features.sum().item() > 0 else -features


@pytest.mark.slow
@pytest.mark.parametrize(
    ('work', 'message'),
    [
        (by_value, r'inner \(Inner\): '),
        (lambda x: torch.linalg.qr(x)[0], r'operator aten\.linalg_qr'),
        (by_batch, 'inferred a static shape of 2'),
    ],
    ids=['value', 'operator', 'batch'],
)
def test_what_cannot_be_exported_is_named_and_leaves_nothing(
    tmp_path, spec, work, message
):
    path = tmp_path / 'a.onnx'
    with pytest.raises(ValueError, match=message) as caught:
        export_onnx(Body(work), spec, path)
    assert '\n' not in str(caught.value)
    assert not path.exists()
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_another_result_is_an_error_and_the_old_file_stays(tmp_path, spec, monkeypatch):
    path = tmp_path / 'a.onnx'
    path.write_bytes(b'old')

    class Wrong(OnnxEngine):
        def __call__(self, images):
            return super().__call__(images) * 1.01

    monkeypatch.setattr(export, 'OnnxEngine', Wrong)
    with pytest.raises(ValueError, match=r'a.onnx: the outputs .* differ'):
        export_onnx(Body(nn.Identity()), spec, path)
    assert path.read_bytes() == b'old'
    assert [file.name for file in tmp_path.iterdir()] == ['a.onnx']


def test_the_modules_of_quantized_nodes_are_found():
    helper = onnx.helper
    weight = helper.make_tensor('a.conv.weight_quantized', 3, [1, 1, 1, 1], [1])
    scale = helper.make_tensor('s', 1, [], [1.0])
    nodes = [
        helper.make_node('DequantizeLinear', ['a.conv.weight_quantized', 's'], ['w']),
        helper.make_node('Conv', ['x', 'w'], ['y'], name='conv_node'),
        helper.make_node('MatMul', ['y', 'y'], ['z'], name='product'),
    ]
    graph = helper.make_graph(nodes, 'g', [], [], [weight, scale])
    assert node_modules(helper.make_model(graph)) == {'conv_node': 'a.conv'}


class Tall(nn.Module):
    """Linear layers over the columns of images, and a product of activations."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(44, 5)
        self.again = nn.Linear(5, 5, bias=False)

    def forward(self, images):
        rows = self.first(images)
        rows = self.again(self.again(rows))
        return rows @ rows.transpose(2, 3)


def test_linear_layers_over_more_than_rows_have_names(tmp_path, spec):
    export_onnx(Tall(), spec, tmp_path / 'a.onnx')
    model = onnx.load(tmp_path / 'a.onnx')
    assert sorted(node_modules(model).values()) == ['again', 'again', 'first']
    names = [weight.name for weight in model.graph.initializer]
    assert len(names) == len(set(names))
