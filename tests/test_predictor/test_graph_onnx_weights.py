# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Weights of ONNX files count wherever they lie, and once."""

import functools
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx_files import CONV, W, counted, counts_of, made

from hpml_mm.predictor.graphs.onnx.reader import onnx_graph

LIGHT = Path(onnx.__file__).parent / 'backend/test/data/light'
INT8 = np.ones(W, np.int8)
FILLED = 's = Constant <value_ints = [4,3,3,3]> () w = ConstantOfShape (s)'


@pytest.fixture
def counts(tmp_path):
    return functools.partial(counts_of, tmp_path)


@pytest.mark.parametrize(
    ('nodes', 'weights', 'options', 'params'),
    [
        (CONV, {'w': W}, {}, 108),
        (CONV, {'w': W}, {'ir': 3}, 108),
        (CONV, {'w': W}, {'opset': 7, 'ir': 3}, 108),
        (CONV, {'w': W}, {'opset': 23}, 108),
        (f'{FILLED} {CONV}', {}, {}, 108),
        (f'w = ConstantOfShape (s) {CONV}', {'s': np.int64(W)}, {'opset': 9}, 108),
        (f'w = Identity (v) {CONV}', {'v': W}, {}, 108),
        (f'u = Identity (v) w = Identity (u) {CONV}', {'v': W}, {}, 108),
        (f'w = Transpose <perm=[3,2,0,1]> (v) {CONV}', {'v': (3, 3, 3, 4)}, {}, 108),
        (f'w = Transpose (v) {CONV}', {'v': (3, 3, 3, 4)}, {}, 108),
        (f'w = Reshape (v, s) {CONV}', {'v': (108,), 's': np.int64(W)}, {}, 108),
        (f'w = Cast <to=1> (v) {CONV}', {'v': np.ones(W, np.float16)}, {}, 108),
        (
            f'w = DequantizeLinear (q, a, z) {CONV}',
            {'q': INT8, 'a': np.float32(1), 'z': np.int8(0)},
            {},
            108,
        ),
        (
            f'w = DequantizeLinear <axis=0> (q, a, z) {CONV}',
            {'q': INT8, 'a': (4,), 'z': np.zeros(4, np.int8)},
            {},
            108,
        ),
        (
            f'q = QuantizeLinear (v, a, z) w = DequantizeLinear (q, a, z) {CONV}',
            {'v': W, 'a': np.float32(1), 'z': np.int8(0)},
            {},
            108,
        ),
        (f'{FILLED} u = Cast <to=1> (w) y = Conv (x, u)', {}, {}, 108),
        ('y = Conv (x, w, b)', {'w': W, 'b': (4,)}, {}, 112),
    ],
)
def test_a_weight_counts_wherever_it_lies(counts, nodes, weights, options, params):
    assert counts(nodes, weights=weights, **options) == (params, 36 * 108)


def test_a_constant_node_with_many_numbers_is_a_weight(tmp_path):
    model = made(f'{FILLED} {CONV}', (1, 3, 8, 8), 13, {})
    value = numpy_helper.from_array(np.ones(W, np.float32))
    del model.graph.node[0]
    model.graph.node[0].CopyFrom(helper.make_node('Constant', [], ['w'], value=value))
    assert counted(model, tmp_path) == (108, 36 * 108)


def test_a_shared_weight_counts_once_and_its_macs_twice(counts):
    nodes = 'a = Conv (x, w) y = Conv (a, w)'
    assert counts(nodes, weights={'w': (3, 3, 1, 1)}) == (9, 2 * 64 * 9)
    copied = f'v = Identity (w) u = Identity (w) {nodes.replace("(a, w)", "(a, u)")}'
    assert counts(copied, weights={'w': (3, 3, 1, 1)}) == (9, 2 * 64 * 9)


@pytest.mark.parametrize('opset', [7, 9, 10, 12, 13, 22])
def test_results_that_nobody_reads_need_no_shape(counts, opset):
    ratio = '<ratio: float = 0.5>' if opset < 12 else ''
    nodes = (
        f'a, mask = Dropout {ratio} (x) '
        'b, indices = MaxPool <kernel_shape = [2,2], strides = [2,2]> (a) '
        'y = Conv (b, w)'
    )
    assert counts(nodes, weights={'w': W}, opset=opset) == (108, 4 * 108)


def test_parts_of_a_split_and_training_statistics_that_nobody_reads(counts):
    split = '_, c = Split <axis = 3> (x) y = Conv (c, w)'
    assert counts(split, weights={'w': W}, opset=11) == (108, 6 * 2 * 108)
    norm = dict.fromkeys(('scale', 'shift', 'mean', 'variance'), (4,))
    nodes = 'a = Conv (x, w) y, m, v, n, o = BatchNormalization (a, {})'
    nodes = nodes.format(', '.join(norm))
    assert counts(nodes, weights={'w': W, **norm}, opset=9) == (116, 36 * 108)


@pytest.mark.parametrize(
    ('nodes', 'weights'),
    [
        (f'{CONV} dead = Conv (x, big)', {'w': W, 'big': (50, 3, 3, 3)}),
        (f'a = Conv (x, big) b = Loop (a) {CONV}', {'w': W, 'big': (50, 3, 3, 3)}),
    ],
)
def test_what_no_output_needs_is_not_counted(counts, nodes, weights):
    assert counts(nodes, weights=weights) == (108, 36 * 108)


FUNCTIONS = """
<domain: "other", opset_import: ["": 13, "other": 1]>
twice (a, w) => (c) { b = other.once (a, w) c = other.once (b, w) }
<domain: "other", opset_import: ["": 13]>
once (a, w) => (c) { b = Relu (a) c = Conv (b, w) }
"""


def test_functions_of_the_file_are_counted_at_each_call(counts):
    nodes = 'y = other.twice (x, w)'
    found = counts(nodes, weights={'w': (3, 3, 1, 1)}, functions=FUNCTIONS)
    assert found == (9, 2 * 64 * 9)


@pytest.mark.parametrize(
    ('name', 'params', 'macs'),
    [
        # Published: 60,965,224 and 25,557,032 (this one with batch normalisations).
        ('bvlc_alexnet', 60_965_224, 654_560_384),
        ('resnet50', 25_557_032, 4_089_184_256),
        ('squeezenet', 1_235_496, 349_151_936),
        ('vgg19', 143_667_240, 19_632_062_464),
    ],
)
def test_files_of_the_model_zoo_whose_weights_nodes_fill(name, params, macs):
    graph = onnx_graph(LIGHT / f'light_{name}.onnx')
    assert (graph.total_params, graph.total_macs) == (params, macs)
