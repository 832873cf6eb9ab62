# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Ranges that are observed here take the place of NNCF's."""

import numpy as np
import pytest
import torch

from hpml_mm.quantization.onnx_ranges import PIECE
from hpml_mm.quantization.openvino_ranges import (
    activation_rounding,
    observe,
    set_ranges_,
)

ov = pytest.importorskip('openvino')
opset = pytest.importorskip('openvino.opset13')


def network(rounded: bool):
    """images -> doubled -> tripled, each rounded or not; images are 1x10x10."""
    images = opset.parameter([-1, 1, 10, 10], name='images')
    value = images
    for name, factor in (('doubled', 2.0), ('tripled', 3.0)):
        value = opset.multiply(value, opset.constant(np.float32(factor)), name=name)
        if rounded:
            value = opset.fake_quantize(
                value, *[opset.constant(np.float32(1))] * 4, 256
            )
    return ov.Model([value], [images])


def test_ranges_are_extremes_of_the_percentiles_of_pieces():
    # Every piece holds 800 values: of 99 %, four are cut off at each end.
    values = torch.arange(800.0).view(PIECE, 1, 10, 10)
    found = observe(
        network(rounded=False),
        [('doubled', 0), ('tripled', 0)],
        [torch.cat([values, values - 800])],
        percentile=99,
    )
    assert found == {
        ('doubled', 0): (-2 * 796, 2 * 795),
        ('tripled', 0): (-6 * 796, 6 * 795),
    }
    (whole,) = observe(network(False), [('doubled', 0)], [values], 100).values()
    assert whole == (0, 2 * 799)


def bounds(model, name):
    operation = activation_rounding(model)[name, 0]
    return [operation.input_value(i).get_node().data.item() for i in (1, 2, 3, 4)]


def test_what_had_one_range_keeps_one_with_zero_on_its_grid():
    model = network(rounded=True)
    set_ranges_(model, {('doubled', 0): (-1.0, 1.0), ('tripled', 0): (0.0, 1.54)})
    # 2.54 / 255 is one level, and -1 is 100 of them and a bit.
    level = 2.54 / 255
    expected = [-100 * level, 155 * level] * 2
    for name in ('doubled', 'tripled'):
        assert bounds(model, name) == pytest.approx(expected, abs=1e-5)
    set_ranges_(model, {('doubled', 0): (0.0, 1.0), ('tripled', 0): (0.0, 2.0)})
    assert bounds(model, 'doubled') == pytest.approx([0, 2, 0, 2])
