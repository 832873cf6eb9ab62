# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Ranges that are observed here take the place of NNCF's."""

import numpy as np
import pytest
import torch
from quantized_toys import toy_spec

from hpml_mm.quantization.backends.openvino import OpenVino
from hpml_mm.quantization.backends.openvino_ranges import (
    activation_rounding,
    observe,
    set_ranges_,
)
from hpml_mm.quantization.rounding import PIECE

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


def rounded(value, name, high=6.0):
    """The value clipped to 6 and rounded up to ``high``, as NNCF places that."""
    value = opset.clamp(value, 0.0, 6.0, name=name)
    ends = [opset.constant(np.float32(end)) for end in (0, high) * 2]
    return opset.fake_quantize(value, *ends, 256)


def bounds(model, name):
    """Of all operations that round a tensor, which are to be the same."""
    found = {
        tuple(operation.input_value(i).get_node().data.item() for i in (1, 2, 3, 4))
        for operation in activation_rounding(model)[name, 0]
    }
    assert len(found) == 1
    return list(found.pop())


def test_zero_is_on_the_grid_of_a_range():
    model = network(rounded=True)
    set_ranges_(model, {('doubled', 0): (-1.0, 1.54), ('tripled', 0): (0.0, 2.0)})
    # 2.54 / 255 is one level, and -1 is 100 of them and a bit.
    level = 2.54 / 255
    expected = [-100 * level, 155 * level] * 2
    assert bounds(model, 'doubled') == pytest.approx(expected, abs=1e-5)
    assert bounds(model, 'tripled') == pytest.approx([0, 2, 0, 2])


def test_equal_ranges_alone_are_not_shared():
    images = opset.parameter([1, 1, 10, 10], name='images')
    first = rounded(images, 'first')
    second = rounded(first, 'second')
    total = opset.add(second, rounded(first, 'third'))
    model = ov.Model([rounded(total, 'fourth')], [images])
    observed = {'first': 6.0, 'second': 5.91, 'third': 0.5, 'fourth': 3.0}
    set_ranges_(model, {(name, 0): (0.0, high) for name, high in observed.items()})
    for name, high in observed.items():
        assert bounds(model, name) == pytest.approx([0, high] * 2)


def test_what_is_concatenated_shares_the_widest_range():
    """Moved, in a concatenation of a concatenation, and in two of them."""
    images = opset.parameter([1, 1, 10, 10], name='images')
    names = ('moved', 'nested', 'twice', 'other')
    moved, nested, twice, other = (rounded(images, name) for name in names)
    moved = opset.transpose(moved, opset.constant([0, 1, 3, 2]))
    inner = opset.concat([moved, nested], 1)
    # As of a concatenation that no layer with weights takes: of ranges of their own.
    apart = rounded(images, 'apart', high=4.0)
    outputs = [
        opset.concat([inner, twice], 1),
        opset.concat([twice, other, apart], 1),
        rounded(images, 'unrelated'),
    ]
    model = ov.Model(outputs, [images])
    observed = dict(moved=1, nested=2, twice=3, other=5, apart=4.5, unrelated=5.5)
    set_ranges_(model, {(name, 0): (0.0, high) for name, high in observed.items()})
    for name in names:
        assert bounds(model, name) == pytest.approx([0, 5] * 2)
    assert bounds(model, 'apart') == pytest.approx([0, 4.5] * 2)
    assert bounds(model, 'unrelated') == pytest.approx([0, 5.5] * 2)


def test_what_is_moved_and_rounded_again_keeps_its_range():
    """As in HRNet before and after it is enlarged, of fewer and of more values."""
    images = opset.parameter([1, 1, 10, 10], name='images')
    moved = opset.reshape(rounded(images, 'small'), [1, 1, 100], False, name='moved')
    ends = [opset.constant(np.float32(end)) for end in (0, 6) * 2]
    model = ov.Model([opset.fake_quantize(moved, *ends, 256)], [images])
    set_ranges_(model, {('small', 0): (0.0, 5.0), ('moved', 0): (0.0, 5.5)})
    for name in ('small', 'moved'):
        assert bounds(model, name) == pytest.approx([0, 5.5] * 2)


def clipped(value, name, factor):
    """A layer of random weights that gives 8 channels, with ReLU6 behind it."""
    channels = value.output(0).get_partial_shape()[1].get_length()
    weights = np.random.default_rng(0).normal(0, factor, (8, channels, 3, 3))
    value = opset.convolution(
        value, opset.constant(weights.astype(np.float32)), *[[1, 1]] * 4
    )
    return opset.clamp(value, 0.0, 6.0, name=name)


def pooled(value):
    return opset.max_pool(value, [2, 2], [1, 1], [0, 0], [0, 0], [2, 2]).output(0)


def test_nncf_shares_what_is_concatenated_and_every_range_is_observed(tmp_path):
    pytest.importorskip('nncf')
    images = opset.parameter([-1, 3, 64, 64], np.float32, name='images')
    stem, seldom = clipped(images, 'stem', 10.0), clipped(images, 'seldom', 0.1)
    left, right = clipped(stem, 'left', 10.0), clipped(seldom, 'right', 0.1)
    joined = opset.concat([pooled(left), pooled(right)], 1)
    thin = clipped(joined, 'thin', 0.05)
    # Softmax takes it as it is: the two layers have it rounded each for itself.
    ends = [clipped(thin, name, 0.1) for name in ('end', 'other')]
    model = ov.Model([*ends, opset.softmax(thin, 1)], [images])
    ov.save_model(model, tmp_path / 'fp32.xml', compress_to_fp16=False)
    batch = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    batch[0, :, 0, 0] = 1000  # what is seldom 6 is 6 around here
    batches = [batch, 2 * batch]

    class OfFile(OpenVino):
        def prepare(self, folded):
            self.fp32 = tmp_path / 'fp32.xml'
            self.calibrate({})

    network = torch.nn.Identity()
    backend = OfFile(network, toy_spec(), batches, ranges='percentile-99.9')
    backend.write(tmp_path / 'int8.xml', {})
    int8 = ov.Core().read_model(tmp_path / 'int8.xml')
    rounding = activation_rounding(int8)
    assert len(rounding['thin', 0]) == 2
    found = observe(model, rounding, batches, 99.9)
    assert found['left', 0] == (0, 6)
    assert found['seldom', 0][1] < 5
    assert found['right', 0][1] < 5
    assert bounds(int8, 'right') == bounds(int8, 'left')
    for name in ('stem', 'seldom', 'left', 'thin'):
        assert bounds(int8, name) == pytest.approx([*found[name, 0]] * 2, rel=1e-3)
