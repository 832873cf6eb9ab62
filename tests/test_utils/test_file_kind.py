# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Files that are not what their name says are told by their content, by all readers."""

import io
import json
import struct
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from onnx import helper
from safetensors.numpy import save

from hpml_mm.deploy.engines import OnnxEngine, OpenVinoEngine
from hpml_mm.engine.weights import check_readable, read_checkpoint
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.foreign import read_pickle
from hpml_mm.predictor.graphs.onnx.reader import onnx_graph
from hpml_mm.predictor.predictor_file import load_score_predictor
from hpml_mm.predictor.spaces.supernet import read_supernet
from hpml_mm.utils.file_kind import file_kind, why_unreadable

LFS = b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 102167\n'


def zipped(*names):
    content = io.BytesIO()
    with zipfile.ZipFile(content, 'w') as file:
        for name in names:
            file.writestr(name, 'x')
    return content.getvalue()


def saved(value):
    content = io.BytesIO()
    torch.save(value, content)
    return content.getvalue()


def packed():
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode='w') as file:
        file.addfile(tarfile.TarInfo('a'))
    return content.getvalue()


def network():
    graph = helper.make_graph([], 'g', [], [])
    return helper.make_model(graph, producer_name='somebody').SerializeToString()


@pytest.mark.parametrize(
    ('content', 'key'),
    [
        (LFS, 'lfs'),
        (b'', 'empty'),
        (b'\n<!DOCTYPE html><html>', 'html'),
        (b'<html lang="en">', 'html'),
        (b'<?xml version="1.0"?><net name="a">', 'xml'),
        (b'\xef\xbb\xbf{"a": 1}', 'json'),
        (zipped('notes.txt'), 'zip'),
        (zipped('notes.txt')[:40], 'zip'),
        (saved({'a': torch.ones(2)}), 'checkpoint'),
        (zipped('net/data.pkl', 'net/constants.pkl'), 'torchscript'),
        (b'\x80\x02}q\x00.', 'pickle'),
        (save({'a': np.ones(2)}), 'safetensors'),
        (struct.pack('<Q', 9) + b'\x00' * 4, None),
        (b'\x1f\x8b\x08\x00', 'archive'),
        (packed(), 'archive'),
        (b'\x89HDF\r\n', 'hdf5'),
        (b'\x93NUMPY\x01', 'npy'),
        (b'\x89PNG\r\n', 'image'),
        (b'\x1c\x00\x00\x00TFL3', 'tflite'),
        (network(), 'onnx'),
        (b'garbage', None),
    ],
    # Not the bytes, in which a ZIP file has the time.
    ids=lambda value: '' if isinstance(value, bytes) else str(value),
)
def test_a_file_is_known_by_its_first_bytes(tmp_path, content, key):
    path = tmp_path / 'file'
    path.write_bytes(content)
    found = file_kind(path)
    assert (found and found[0]) == key


def test_a_damaged_file_of_the_right_kind_has_the_readers_reason(tmp_path):
    path = tmp_path / 'file'
    path.write_bytes(save({'a': np.ones(2)}))
    assert why_unreadable(path, 'a\nb', ('safetensors',)) == 'a'
    assert why_unreadable(path, '', ('safetensors',)) == 'it is damaged'
    assert why_unreadable(path, 'a', ('onnx',)) == 'it is a safetensors file'


READERS = {
    'a.onnx': [onnx_graph, OnnxEngine, OpenVinoEngine],
    'a.pth': [read_checkpoint, check_readable, read_supernet],
    'a.safetensors': [read_checkpoint, GraphCache.load, load_score_predictor],
    'a.pkl': [read_pickle],
}
WRONG = {
    'lfs': (LFS, r"Git LFS' pointer to a file \(git lfs pull\)"),
    'html': (b'<!DOCTYPE html>\n<p>Not found', 'a web page'),
    'empty': (b'', 'an empty file'),
    'zip': (zipped('a.onnx'), r'a ZIP archive \(unpack it\)'),
    'json': (json.dumps(['a' * 100_000]).encode(), 'a JSON file'),
}


@pytest.mark.parametrize('kind', WRONG)
@pytest.mark.parametrize(
    ('name', 'read'), [(name, read) for name in READERS for read in READERS[name]]
)
def test_each_reader_says_what_it_was_given(tmp_path, monkeypatch, name, read, kind):
    monkeypatch.chdir(tmp_path)
    content, phrase = WRONG[kind]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f'{name} .*: it is {phrase}'):
        read(name)


def test_a_checkpoint_as_onnx_and_a_network_as_checkpoint(tmp_path):
    path = tmp_path / 'net.onnx'
    path.write_bytes(saved({'a': torch.ones(2)}))
    with pytest.raises(ValueError, match='ONNX: it is a checkpoint of PyTorch$'):
        onnx_graph(path)
    path = tmp_path / 'net.pth'
    path.write_bytes(network())
    with pytest.raises(ValueError, match='a checkpoint: it is an ONNX file$'):
        read_checkpoint(str(path))
