# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import os

import onnx
import pytest
import torch
from quantized_toys import LAYERS, swish_net, toy_batches

from hpml_mm.deploy.engines import load_engine
from hpml_mm.deploy.spec import DeploySpec
from hpml_mm.quantization.backends.base import Converter, check_backend, quantize
from hpml_mm.quantization.coverage import GATE
from hpml_mm.quantization.errors import NothingConverted

GATES = ['excite.reduce', 'excite.expand']
PLAIN = [name for name in LAYERS if name not in GATES]


def toy_spec(size=16):
    return DeploySpec(
        task='classify',
        names=('a', 'b', 'c', 'd', 'e'),
        input_size=(size, size),
        channels=3,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        color='rgb',
        pipeline=({'type': 'LoadImageFromFile'}, {'type': 'PackInputs'}),
    )


def sqnr(exact, rounded):
    exact = exact.detach()
    noise = (exact - rounded).square().sum()
    return float(10 * torch.log10(exact.square().sum() / noise))


@pytest.fixture(scope='module')
def network():
    return swish_net()


@pytest.fixture(scope='module')
def onnx_converter(network):
    return Converter(network, toy_spec(), toy_batches())


def test_onnx_runtime_computes_most_in_int8(network, onnx_converter, tmp_path):
    path = tmp_path / 'deep' / 'int8.onnx'
    found = onnx_converter.convert(out=path)
    assert [layer.name for layer in found.coverage.converted] == PLAIN
    assert found.coverage.reasons() == {GATE: GATES}
    operations = found.coverage.operations
    assert operations['QLinearConv'] == 4
    assert operations['QGemm'] == 1
    last = list(onnx.load(path).graph.node)[-1]
    assert (last.op_type, last.output[0]) == ('Gemm', 'linear')  # floats come out
    assert operations['Conv'] + operations.get('FusedConv', 0) == 2
    assert (found.path, os.listdir(path.parent)) == (path, ['int8.onnx'])
    images = torch.cat(toy_batches(2, seed=5))
    assert sqnr(network(images), found.engine(images)) > 20
    assert load_engine(path).spec == toy_spec()


def test_layers_stay_by_their_name(network, onnx_converter):
    found = onnx_converter.convert(keep=['stem', 'fc'])
    assert found.coverage.reasons() == {'asked for': ['stem', 'fc'], GATE: GATES}
    images = torch.cat(toy_batches(2, seed=5))
    better = sqnr(network(images), found.engine(images))
    assert better > sqnr(network(images), onnx_converter.convert().engine(images))
    with pytest.raises(ValueError, match="no layer is called 'stern'.*are stem, depth"):
        onnx_converter.convert(keep=['stern'])


def test_nothing_converted_leaves_no_file(onnx_converter, tmp_path):
    with pytest.raises(NothingConverted, match='^0 of 7 layers.*5 x asked for'):
        onnx_converter.convert(keep=PLAIN, out=tmp_path / 'int8.onnx')
    assert os.listdir(tmp_path) == []


def test_a_failed_conversion_leaves_the_old_file(onnx_converter, tmp_path, monkeypatch):
    path = tmp_path / 'int8.onnx'
    path.write_text('before')

    def fail(*args, **kwargs):
        raise OSError('disk full')

    monkeypatch.setattr(
        'hpml_mm.quantization.backends.onnxruntime.executed_operations', fail
    )
    with pytest.raises(OSError, match='disk full'):
        onnx_converter.convert(['last'], path)
    assert (os.listdir(tmp_path), path.read_text()) == (['int8.onnx'], 'before')
    with pytest.raises(ValueError, match='ends in .onnx'):
        onnx_converter.convert(out=tmp_path / 'int8.xml')


def test_what_was_converted_before_is_copied(onnx_converter, tmp_path, monkeypatch):
    first = onnx_converter.convert(['stem'])
    monkeypatch.delattr('hpml_mm.quantization.backends.onnxruntime.executed_operations')
    again = onnx_converter.convert(['stem'], tmp_path / 'int8.onnx')
    assert again.coverage == first.coverage
    assert again.path.read_bytes() == first.path.read_bytes()
    with pytest.raises(NameError):
        onnx_converter.convert(['project'])


@pytest.mark.parametrize('ranges', ['entropy', 'minmax'])
def test_other_ranges(network, ranges):
    found = quantize(network, toy_spec(), toy_batches(), ranges=ranges)
    images = torch.cat(toy_batches(2, seed=5))
    assert sqnr(network(images), found.engine(images)) > 15


def test_without_care_gates_are_int8_and_weights_have_one_scale(
    network, onnx_converter, tmp_path
):
    path = tmp_path / 'int8.onnx'
    found = quantize(network, toy_spec(), toy_batches(), ranges='naive', out=path)
    assert [layer.name for layer in found.coverage.converted] == LAYERS

    def scales(path):
        made = {w.name: list(w.dims) for w in onnx.load(path).graph.initializer}
        return made['depthwise.weight_scale']

    assert scales(path) == []
    assert scales(onnx_converter.convert().path) == [8]


def test_dynamic_onnx(network):
    found = quantize(network, toy_spec(), toy_batches(1), method='dynamic')
    assert [layer.name for layer in found.coverage.converted] == PLAIN
    assert found.coverage.operations['ConvInteger'] == 4
    images = toy_batches(1, seed=5)[0]
    assert sqnr(network(images), found.engine(images)) > 10


def test_dynamic_torch(network):
    found = quantize(network, toy_spec(), toy_batches(1), 'dynamic', 'torch')
    assert [layer.name for layer in found.coverage.converted] == ['fc']
    assert (found.engine.name, found.path) == ('eager', None)
    with pytest.raises(NothingConverted, match='^0 of 7 layers.*1 x asked for'):
        quantize(network, toy_spec(), toy_batches(1), 'dynamic', 'torch', keep=['fc'])


def test_openvino(network, tmp_path):
    pytest.importorskip('nncf')
    converter = Converter(network, toy_spec(), toy_batches(), backend='openvino')
    found = converter.convert(out=tmp_path / 'int8.xml')
    assert [layer.name for layer in found.coverage.converted] == PLAIN
    assert found.coverage.reasons() == {GATE: GATES}
    assert sorted(os.listdir(tmp_path)) == ['int8.bin', 'int8.xml']
    images = torch.cat(toy_batches(2, seed=5))
    assert sqnr(network(images), found.engine(images)) > 20
    assert found.engine.spec == toy_spec()
    kept = converter.convert(keep=['stem', 'fc'])
    assert kept.coverage.reasons()['asked for'] == ['stem', 'fc']
    with pytest.raises(NothingConverted, match='^0 of 7 layers'):
        converter.convert(keep=PLAIN, out=tmp_path / 'other.xml')
    assert sorted(os.listdir(tmp_path)) == ['int8.bin', 'int8.xml']


@pytest.mark.slow
def test_inductor(network):
    found = quantize(
        network, toy_spec(), toy_batches(), backend='inductor', keep=['stem']
    )
    assert found.coverage.reasons() == {'asked for': ['stem'], GATE: GATES}
    assert found.path is None
    images = toy_batches(1, seed=5)[0]
    rounded = found.engine(images)
    assert sqnr(network(images), rounded) > 20
    assert torch.equal(found.engine(images), rounded)


def test_a_network_that_torch_cannot_export_is_an_error():
    class Odd(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 3, 1)

        def forward(self, images):
            return self.conv(images) if images.sum() > 0 else images

    with pytest.raises(ValueError, match='Odd cannot be exported by torch.export: '):
        quantize(Odd(), toy_spec(), toy_batches(), backend='inductor')


def test_what_a_backend_cannot_do_is_named():
    assert check_backend('ptq', 'onnxruntime') == 'percentile'
    assert check_backend('qat', 'inductor', 'minmax') == 'minmax'
    assert check_backend('dynamic', 'torch') is None
    with pytest.raises(ValueError, match="backend 'onnx' is unknown: use onnxruntime,"):
        check_backend('ptq', 'onnx')
    with pytest.raises(
        ValueError, match="'torch' has no method 'ptq', it has dynamic; "
    ):
        check_backend('ptq', 'torch')
    with pytest.raises(ValueError, match="'inductor' finds no ranges by 'entropy'"):
        check_backend('ptq', 'inductor', 'entropy')
    with pytest.raises(ValueError, match="ranges is 'minmax': method 'dynamic'"):
        check_backend('dynamic', 'onnxruntime', 'minmax')
    with pytest.raises(ValueError, match='at least one batch'):
        quantize(swish_net(), toy_spec(), [])
