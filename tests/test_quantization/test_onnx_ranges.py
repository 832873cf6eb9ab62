# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json

import numpy as np
import onnx
import onnx.parser
import pytest
import torch

from hpml_mm.quantization.backends.onnx_ranges import write_ranges

VALUES = torch.arange(-40_000.0, 40_000.0).view(1, 1, 200, 400)


# Twice the input, and its swish.
MODEL = """
<ir_version: 10, opset_import: ["" : 18]>
toy (float[batch, 1, 200, 400] images) => (float[batch, 1, 200, 400] swish)
<float[batch, 1, 200, 400] double, float[batch, 1, 200, 400] gate> {
    double = Add(images, images)
    gate = Sigmoid(double)
    swish = Mul(double, gate)
}
"""


@pytest.fixture
def model_path(tmp_path):
    path = tmp_path / 'model.onnx'
    onnx.save(onnx.parser.parse_model(MODEL), path)
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
