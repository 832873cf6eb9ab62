# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from hpml_mm.quantization.backends.onnx_ranges import write_ranges

VALUES = torch.arange(-40_000.0, 40_000.0).view(1, 1, 200, 400)


@pytest.fixture
def model_path(tmp_path):
    """Twice the input, and its swish."""
    shape = ['batch', 1, 200, 400]
    tensors = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name in ('images', 'double', 'gate', 'swish')
    }
    nodes = [
        helper.make_node('Add', ['images', 'images'], ['double'], 'add'),
        helper.make_node('Sigmoid', ['double'], ['gate'], 'sigmoid'),
        helper.make_node('Mul', ['double', 'gate'], ['swish'], 'mul'),
    ]
    graph = helper.make_graph(
        nodes,
        'toy',
        [tensors['images']],
        [tensors['swish']],
        value_info=[tensors['double'], tensors['gate']],
    )
    path = tmp_path / 'model.onnx'
    opset = helper.make_opsetid('', 18)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
    return path


def observed(model_path, batches, ranges):
    path = model_path.with_name('ranges.json')
    write_ranges(model_path, batches, ranges, path)
    found = {}
    for name, entry in json.loads(path.read_text())['data'].items():
        ends = [entry['lowest'], entry['highest']]
        ends = [end['data'] if isinstance(end, dict) else end for end in ends]
        found[name] = tuple(float(np.ravel(end)[0]) for end in ends)
    return found


def test_percentiles_cut_one_in_ten_thousand(model_path):
    found = observed(model_path, [VALUES], 'percentile')
    assert found['images'] == (-39_996, 39_995)  # four of 80,000 at each end
    assert found['gate'] == (0, 1)
    found = observed(model_path, [VALUES], 'percentile-99.9')
    assert found['images'] == (-39_960, 39_959)
    both = observed(
        model_path, [VALUES / 2, torch.cat([-VALUES, VALUES])], 'percentile'
    )
    assert both['images'] == (-39_996, 39_995 + 1)


@pytest.mark.parametrize('ranges', ['percentile', 'minmax', 'entropy'])
def test_what_goes_into_swish_is_cut_off_at_minus_six(model_path, ranges, capsys):
    found = observed(model_path, [VALUES / 1000, VALUES / 2000], ranges)
    assert found['double'][0] == -6
    assert found['double'][1] > 30
    assert found['images'][0] < -20
    assert capsys.readouterr().out == ''


def test_extremes(model_path):
    found = observed(model_path, [VALUES / 1000, VALUES / 500], 'minmax')
    assert found['images'] == pytest.approx((-80, 79.998))
    naive = observed(model_path, [VALUES / 1000, VALUES / 500], 'naive')
    assert naive['images'] == found['images']
    assert naive['double'][0] == pytest.approx(-160)
