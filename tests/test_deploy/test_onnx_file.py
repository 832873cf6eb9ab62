# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import dataclasses

import onnx
import pytest
import torch
from deploy_models import (
    CATS,
    FACES,
    build_classifier,
    build_leaf,
    leaf,
)
from torch import nn

from hpml_mm.deploy import onnx_file
from hpml_mm.deploy.describe import spec_of
from hpml_mm.deploy.engines import OnnxEngine
from hpml_mm.deploy.network import PlainNetwork, plain_network
from hpml_mm.deploy.onnx_file import export_onnx, node_modules
from hpml_mm.engine.speed import compile_parts_


@pytest.fixture(scope='module')
def spec():
    return spec_of(leaf(FACES), build_leaf(FACES))


def weighted(network):
    kinds = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
    return {name for name, one in network.named_modules() if isinstance(one, kinds)}


@pytest.mark.parametrize(
    ('build', 'shape', 'folded'),
    [
        (lambda: build_leaf(FACES), (1, 44, 44), 14),
        pytest.param(lambda: build_leaf(CATS), (3, 96, 96), 55, marks=pytest.mark.slow),
        pytest.param(
            lambda: build_classifier(dict(type='EfficientNet', arch='b0'), 1280),
            (3, 64, 64),
            49,
            marks=pytest.mark.slow,
        ),
    ],
    ids=['mini-xception', 'mobilenet-v2-pose', 'efficientnet'],
)
def test_a_file_says_the_same_and_names_every_layer(
    tmp_path, spec, build, shape, folded
):
    network = plain_network(build())
    size = dict(input_size=(shape[2], shape[1]), channels=shape[0])
    spec = dataclasses.replace(
        spec, **size, mean=(0.0,) * shape[0], std=(1.0,) * shape[0]
    )
    path = tmp_path / 'new' / 'a.onnx'
    done = export_onnx(network, spec, path)
    assert (done.path, done.folded) == (path, folded)
    assert 0 < done.difference < 1e-4
    assert done.size_mib == path.stat().st_size / 2**20
    engine = OnnxEngine(path)
    assert engine.spec == spec
    images = torch.randn(3, *shape)
    with torch.no_grad():
        expected = network(images)
    assert torch.allclose(engine(images), expected, atol=1e-4 * expected.abs().max())

    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert set(node_modules(model).values()) == weighted(network)
    assert len(node_modules(model)) == len(weighted(network))
    assert not [n for n in model.graph.node if n.op_type == 'BatchNormalization']
    assert [file.name for file in path.parent.iterdir()] == ['a.onnx']
    # No paths of this machine.
    assert b'site-packages' not in path.read_bytes()


def test_a_network_in_training_stays_as_it_is(tmp_path, spec):
    network = plain_network(build_leaf(FACES)).train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    export_onnx(network, spec, tmp_path / 'a.onnx')
    assert network.training
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())


def test_a_model_that_was_made_fast_for_training_is_exported(tmp_path, spec):
    model = build_leaf(FACES).to(memory_format=torch.channels_last)
    compile_parts_(model)
    done = export_onnx(plain_network(model), spec, tmp_path / 'a.onnx')
    assert done.difference < 1e-4
    kinds = {node.op_type for node in onnx.load(done.path).graph.node}
    assert 'Conv' in kinds
    assert 'Transpose' not in kinds


class Body(nn.Module):
    """A backbone that does what a test says."""

    def __init__(self, work):
        super().__init__()
        self.inner = nn.Module()
        self.inner.conv = nn.Conv2d(1, 2, 3)
        self.work = work

    def forward(self, images):
        return self.work(self.inner.conv(images))


def made(work) -> PlainNetwork:
    return PlainNetwork(Body(work), None, nn.Identity())


def by_batch(features):
    return features if len(features) == 2 else -features


def by_value(features):
    return features if features.sum().item() > 0 else -features


@pytest.mark.parametrize(
    ('work', 'message'),
    [
        (by_value, r'backbone \(Body\): '),
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
        export_onnx(made(work), spec, path)
    assert '\n' not in str(caught.value)
    assert not path.exists()
    assert not list(tmp_path.iterdir())


def test_another_result_is_an_error_and_the_old_file_stays(tmp_path, spec, monkeypatch):
    path = tmp_path / 'a.onnx'
    path.write_bytes(b'old')

    class Wrong(OnnxEngine):
        def __call__(self, images):
            return super().__call__(images) * 1.01

    monkeypatch.setattr(onnx_file, 'OnnxEngine', Wrong)
    with pytest.raises(ValueError, match=r'a.onnx: the outputs .* differ'):
        export_onnx(plain_network(build_leaf(FACES)), spec, path)
    assert path.read_bytes() == b'old'
    assert [file.name for file in tmp_path.iterdir()] == ['a.onnx']
