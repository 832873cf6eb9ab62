# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Every backend converts small networks, and refuses the same mistakes."""

import os
import platform
import shutil
import sys
import warnings
from functools import cache
from types import ModuleType

import onnx
import pytest
import torch
from quantized_toys import (
    EXCITE,
    LAYERS,
    PLAIN,
    pose_net,
    swish_net,
    toy_batches,
    toy_spec,
)

from hpml_mm.deploy.engines import EagerEngine, load_engine
from hpml_mm.quantization.backends import BACKENDS, backend_class
from hpml_mm.quantization.backends.base import needs_reduced_range
from hpml_mm.quantization.coverage import (
    ASKED_FOR,
    SQUEEZE_EXCITATION,
    NothingConverted,
)
from hpml_mm.quantization.sensitivity import output_sqnr

pytestmark = pytest.mark.slow

IMAGES = toy_batches(1, seed=5)
FILES = [name for name, backend in BACKENDS.items() if backend.suffixes]
NETWORKS = {'swish': swish_net, 'pose': pose_net}


@cache
def converter(name, network='swish', method=None, ranges=None):
    """One backend for all tests that convert the same network in the same way."""
    kind = backend_class(name)
    if 'nncf' in kind.extras:
        pytest.importorskip('nncf')
    method = method or kind.methods[0]
    return kind(NETWORKS[network](), toy_spec(), toy_batches(), method, ranges)


def sqnr(found, network='swish'):
    exact = EagerEngine(NETWORKS[network]())
    return output_sqnr(exact, found.engine, IMAGES)


def names(layers):
    return [layer.name for layer in layers]


@pytest.mark.parametrize('name', BACKENDS)
def test_a_classifier_is_converted_and_says_the_same(name):
    found = converter(name).convert()
    assert sqnr(found) > 20
    if name == 'torch':  # it has no INT8 convolution
        assert names(found.coverage.converted) == ['fc']
        assert (type(found.engine), found.engine.path) == (EagerEngine, None)
        return
    assert names(found.coverage.converted) == PLAIN
    assert found.coverage.reasons() == {SQUEEZE_EXCITATION: EXCITE}


@pytest.mark.parametrize('name', FILES)
def test_a_pose_network_is_converted_and_says_the_same(name):
    found = converter(name, 'pose').convert()
    assert names(found.coverage.converted) == ['0', '3', '5']
    assert sqnr(found, 'pose') > 20
    assert found.engine(IMAGES[0]).shape == (8, 4, 16, 16)
    found = converter(name, 'pose').convert(['3'])  # the transposed convolution
    assert found.coverage.reasons() == {ASKED_FOR: ['3']}


@pytest.mark.parametrize('name', FILES)
def test_a_file_is_opened_again_with_its_description(name, tmp_path):
    suffixes = BACKENDS[name].suffixes
    path = tmp_path / 'deep' / f'int8{suffixes[0]}'
    found = converter(name).convert(out=path)
    assert found.engine.path == path
    assert sorted(os.listdir(path.parent)) == sorted(f'int8{end}' for end in suffixes)
    again = load_engine(path)
    assert again.spec == toy_spec()
    assert torch.equal(again(IMAGES[0]), found.engine(IMAGES[0]))


@pytest.mark.parametrize('name', BACKENDS)
def test_nothing_converted_is_an_error_and_leaves_no_file(name, tmp_path):
    suffixes = BACKENDS[name].suffixes
    out = tmp_path / f'int8{suffixes[0]}' if suffixes else None
    every = PLAIN if suffixes else ['fc']
    with pytest.raises(NothingConverted, match=f'0 of 7 .*{len(every)} x asked for'):
        converter(name).convert(every, out)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize('name', FILES)
def test_layers_stay_by_their_name(name):
    found = converter(name).convert(['stem', 'fc'])
    assert found.coverage.reasons()[ASKED_FOR] == ['stem', 'fc']
    assert sqnr(found) > sqnr(converter(name).convert())


@pytest.mark.parametrize('name', FILES)
def test_a_full_disk_leaves_the_old_file(name, tmp_path, monkeypatch):
    path = tmp_path / f'int8{BACKENDS[name].suffixes[0]}'
    path.write_text('before')

    def fail(source, target):
        target.write_text('half')
        raise OSError('disk full')

    monkeypatch.setattr(shutil, 'copyfile', fail)
    with pytest.raises(OSError, match='disk full'):
        converter(name).convert(out=path)
    assert (os.listdir(tmp_path), path.read_text()) == ([path.name], 'before')


@pytest.mark.parametrize('name', FILES)
def test_a_conversion_that_was_made_before_is_copied(name, tmp_path, monkeypatch):
    backend = converter(name)
    first = backend.convert(['stem'])
    monkeypatch.setattr(backend, 'write', None)
    path = tmp_path / f'int8{backend.suffixes[0]}'
    again = backend.convert(['stem'], path)
    assert again.coverage == first.coverage
    assert path.read_bytes() == first.engine.path.read_bytes()


@pytest.mark.parametrize('name', FILES)
def test_fp32_runs_in_the_graph_of_int8(name, tmp_path):
    backend = converter(name, 'pose')
    engine = backend.fp32_engine(tmp_path / 'fp32.onnx')
    assert type(engine) is backend.engine
    assert output_sqnr(EagerEngine(pose_net()), engine, IMAGES) > 80
    other = pose_net()
    torch.nn.init.ones_(other[5].weight)
    engine = backend.fp32_engine(tmp_path / 'other.onnx', other)
    assert output_sqnr(EagerEngine(other), engine, IMAGES) > 80


@pytest.mark.parametrize('name', BACKENDS)
def test_mistakes_are_named(name, tmp_path):
    backend = BACKENDS[name]
    method = backend.methods[0]
    with pytest.raises(ValueError, match=f"'{name}' has no method 'guess'"):
        backend.check('guess')
    with pytest.raises(ValueError, match="'mse'"):
        backend.check(method, 'mse')
    with pytest.raises(ValueError, match='at least one batch'):
        backend(swish_net(), toy_spec(), [], method)
    with pytest.raises(ValueError, match="'stern'.*are stem, depth"):
        converter(name).convert(['stern'])
    if backend.suffixes:
        with pytest.raises(ValueError, match=f'ends in {backend.suffixes[0]}'):
            converter(name).convert(out=tmp_path / 'int8.pth')
    else:
        assert converter(name).fp32_engine(tmp_path / 'fp32.onnx') is None


def test_an_unknown_backend_is_told_which_there_are():
    with pytest.raises(ValueError, match="'inductor' is unknown: use onnxruntime, ope"):
        backend_class('inductor')


@pytest.mark.parametrize('name', BACKENDS)
def test_a_package_that_is_missing_names_its_extra(name, monkeypatch):
    backend = BACKENDS[name]
    for package in backend.extras:
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
    backend.check_installed()
    for package in backend.extras:
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(ImportError, match=f'{package} is.*extra {name!r}'):
            backend.check_installed()
        monkeypatch.setitem(sys.modules, package, ModuleType(package))


def test_ranges_by_entropy():
    assert sqnr(converter('onnxruntime', ranges='entropy').convert()) > 15


def test_onnx_runtime_computes_most_in_int8():
    found = converter('onnxruntime').convert()
    operations = found.coverage.operations
    assert (operations['QLinearConv'], operations['QGemm']) == (4, 1)
    assert operations['Conv'] + operations.get('FusedConv', 0) == 2
    last = list(onnx.load(found.engine.path).graph.node)[-1]
    assert (last.op_type, last.output[0]) == ('Gemm', 'linear')  # floats come out


def test_without_care_all_layers_are_int8_and_weights_have_one_scale():
    naive = converter('onnxruntime', ranges='naive').convert()
    assert names(naive.coverage.converted) == LAYERS

    def scales(found):
        weights = onnx.load(found.engine.path).graph.initializer
        return {one.name: list(one.dims) for one in weights}['depthwise.weight_scale']

    assert scales(naive) == []
    assert scales(converter('onnxruntime').convert()) == [8]


def test_dynamic_ranges_of_onnx_runtime():
    found = converter('onnxruntime', method='dynamic').convert()
    assert names(found.coverage.converted) == PLAIN
    assert found.coverage.operations['ConvInteger'] == 4
    assert sqnr(found) > 10
    with pytest.raises(ValueError, match="ranges is 'minmax': method 'dynamic'"):
        BACKENDS['onnxruntime'].check('dynamic', 'minmax')


@pytest.mark.parametrize(
    ('machine', 'flags', 'reduced'),
    [
        ('x86_64', 'fpu avx2 avx512_vnni sse', False),
        ('x86_64', 'fpu avx_vnni', False),
        ('x86_64', 'amx_int8', False),
        ('x86_64', 'fpu avx2 sse', True),
        ('x86_64', None, False),  # it is not known
        ('aarch64', 'fpu', False),
    ],
)
def test_a_cpu_without_vnni_gets_seven_bits_and_a_warning(
    tmp_path, monkeypatch, machine, flags, reduced
):
    monkeypatch.setattr(platform, 'machine', lambda: machine)
    path = tmp_path / 'cpuinfo'
    if flags is not None:
        path.write_text(f'processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: none\n')
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        assert needs_reduced_range(path) is reduced
    assert ['7 bits' in str(one.message) for one in caught] == [True] * reduced
