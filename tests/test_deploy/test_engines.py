# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
import torch
from deploy_models import FACES, build_leaf, leaf
from torch import nn

from hpml_mm.compat.workarounds import signal_stack
from hpml_mm.deploy.describe import spec_of
from hpml_mm.deploy.engines import (
    EagerEngine,
    OnnxEngine,
    OpenVinoEngine,
    load_engine,
)
from hpml_mm.deploy.export import export_onnx
from hpml_mm.deploy.network import plain_network
from hpml_mm.deploy.spec import METADATA_KEY


@pytest.fixture(scope='module')
def faces(tmp_path_factory):
    """A network, its description and its ONNX file."""
    model = build_leaf(FACES)
    network, spec = plain_network(model), spec_of(leaf(FACES), model)
    path = tmp_path_factory.mktemp('faces') / 'faces.onnx'
    export_onnx(network, spec, path)
    return network, spec, path


def test_every_engine_takes_arrays_and_tensors_of_any_batch(faces):
    network, _, path = faces
    eager, onnxruntime = EagerEngine(network), OnnxEngine(path)
    for batch in (1, 5):
        images = torch.randn(batch, 1, 44, 44).to(memory_format=torch.channels_last)
        expected = network(images).detach()
        for engine in (eager, onnxruntime):
            for given in (images, images.numpy()):
                found = engine(given)
                assert not found.requires_grad
                assert torch.allclose(found, expected, atol=1e-4)
        first, kept = found, found.clone()
        onnxruntime(torch.zeros_like(images))
        assert torch.equal(first, kept)  # the outputs survive the next call


def test_an_engine_knows_size_threads_and_description(faces):
    network, spec, path = faces
    engine = OnnxEngine(path, threads=1)
    assert (engine.spec, engine.threads, engine.path) == (spec, 1, path)
    assert engine.size_mib == path.stat().st_size / 2**20
    assert OnnxEngine(path).threads == torch.get_num_threads()
    weights = sum(one.nbytes for one in network.state_dict().values())
    assert EagerEngine(network).size_mib == weights / 2**20
    assert EagerEngine(network).spec is None


def test_images_of_another_size_are_refused(faces):
    engine = OnnxEngine(faces[2])
    for shape in ((1, 1, 48, 48), (1, 3, 44, 44), (1, 44, 44)):
        with pytest.raises(ValueError, match=r'\(any, 1, 44, 44\), not \(1, '):
            engine(np.zeros(shape, np.float32))


def test_files_that_are_no_networks(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no model '.*none.onnx'"):
        load_engine(tmp_path / 'none.onnx')
    with pytest.raises(ValueError, match='no engine runs .pth'):
        load_engine(tmp_path / 'a.pth')
    (tmp_path / 'bad.onnx').write_bytes(b'garbage')
    with pytest.raises(ValueError, match='bad.onnx cannot be read as ONNX'):
        load_engine(tmp_path / 'bad.onnx')


def test_a_network_of_something_else_than_images(tmp_path):
    head = '<ir_version: 10, opset_import: ["" : 18]>'
    text = f'{head} g (float[n, 4] x) => (float[n, 4] y) {{ y = Relu(x) }}'
    onnx.save(onnx.parser.parse_model(text), tmp_path / 'rows.onnx')
    with pytest.raises(ValueError, match=r'not one of \(N, C, H, W\)'):
        OnnxEngine(tmp_path / 'rows.onnx')


def test_an_engine_puts_its_network_into_evaluation_mode():
    network = nn.Sequential(nn.Dropout(0.5)).train()
    images = torch.ones(1, 1, 8, 8)
    assert torch.equal(EagerEngine(network)(images), images)


@pytest.fixture
def openvino_faces(faces, tmp_path) -> Path:
    openvino = pytest.importorskip('openvino')
    model = openvino.Core().read_model(faces[2])
    model.set_rt_info(faces[1].to_json(), [METADATA_KEY])
    openvino.save_model(model, tmp_path / 'faces.xml', compress_to_fp16=False)
    return tmp_path / 'faces.xml'


def test_openvino_says_the_same_and_describes_itself(faces, openvino_faces):
    engine = load_engine(openvino_faces)
    assert isinstance(engine, OpenVinoEngine)
    assert engine.spec == faces[1]
    images = torch.randn(3, 1, 44, 44)
    first = engine(images)
    assert torch.allclose(first, faces[0](images), atol=1e-4)
    kept = first.clone()
    engine(torch.zeros(3, 1, 44, 44))
    assert torch.equal(first, kept)
    files = [openvino_faces, openvino_faces.with_suffix('.bin')]
    assert engine.size_mib == sum(file.stat().st_size for file in files) / 2**20
    assert sorted(openvino_faces.parent.iterdir()) == sorted(files)
    with pytest.raises(ValueError, match=r'\(any, 1, 44, 44\)'):
        engine(torch.zeros(1, 1, 48, 48))
    assert OpenVinoEngine(faces[2]).spec is None  # in ONNX it stands elsewhere
    openvino_faces.write_text('garbage')
    with pytest.raises(ValueError, match='faces.xml cannot be read by OpenVINO'):
        load_engine(openvino_faces)


def test_openvino_leaves_the_stack_of_signals_alone(faces):
    """Its own one goes with its plugin, and the next signal would kill the process."""
    pytest.importorskip('openvino')

    def values():
        found = signal_stack()
        return found.pointer, found.flags, found.size

    before = values()
    engine = OpenVinoEngine(faces[2], threads=1)
    assert values() == before
    engine(torch.zeros(1, 1, 44, 44))
    assert values() == before
