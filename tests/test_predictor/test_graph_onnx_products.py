# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""MACs of ONNX files at many opsets, against arithmetic by hand."""

import functools

import numpy as np
import pytest
from onnx_files import W, counts_of

INT8 = np.ones(W, np.int8)


@pytest.fixture
def counts(tmp_path):
    return functools.partial(counts_of, tmp_path)


FLAT = 'a = Conv (x, w) s = Shape (a) n = Gather (s, zero) '
FLAT += 'm = Unsqueeze {} o = Concat <axis = 0> (m, one) f = Reshape (a, o) '
FLAT += 'y = Gemm <transB = 1> (f, g, b)'


@pytest.mark.parametrize('opset', [7, 8, 9, 11, 12, 13, 18, 23])
def test_a_batch_that_is_taken_from_the_input(counts, opset):
    axes = '<axes = [0]> (n)' if opset < 13 else '(n, axes)'
    weights = {
        **{'w': W, 'g': (5, 144), 'b': (5,), 'zero': np.int64(0)},
        **{'one': np.int64([-1]), 'axes': np.int64([0])},
    }
    found = counts(FLAT.format(axes), ('n', 3, 8, 8), opset, weights)
    assert found == (108 + 725, 36 * 108 + 720)


@pytest.mark.parametrize(
    ('opset', 'nodes', 'weights', 'places'),
    [
        (9, 'a = Slice <axes = [2], starts = [0], ends = [4]> (x)', {}, 12),
        (
            13,
            'a = Slice (x, b, e, i)',
            {'b': np.int64([0]), 'e': np.int64([4]), 'i': np.int64([2])},
            12,
        ),
        (9, 'a = Pad <pads = [0,0,1,1,0,0,1,1]> (x)', {}, 64),
        (13, 'a = Pad (x, p)', {'p': np.int64([0, 0, 1, 1, 0, 0, 1, 1])}, 64),
        (7, 'a = Upsample <scales = [1.,1.,2.,2.]> (x)', {}, 196),
        (9, 'a = Upsample (x, s)', {'s': np.float32([1, 1, 2, 2])}, 196),
        (10, 'a = Resize (x, s)', {'s': np.float32([1, 1, 2, 2])}, 196),
        (
            11,
            'r = Constant <value = float[0] {}> () '
            'h = Constant <value = float[2] {1., 1.}> () '
            'g = Constant <value = float[2] {2., 2.}> () '
            's = Concat <axis = 0> (h, g) a = Resize (x, r, s)',
            {},
            196,
        ),
        (
            13,
            'z = Shape (x) n = Slice (z, b, e) s = Concat <axis = 0> (n, q) '
            'a = Resize (x, , , s)',
            {'b': np.int64([0]), 'e': np.int64([2]), 'q': np.int64([16, 16])},
            196,
        ),
        (15, 'z = Shape <start = 2> (x) a = Resize <axes = [2,3]> (x,,, z)', {}, 36),
        (7, 'a = Clip <min = 0., max = 6.> (x)', {}, 36),
        (11, 'a = Clip (x, lo, hi)', {'lo': np.float32(0), 'hi': np.float32(6)}, 36),
        (13, 'a = Clip (x, lo)', {'lo': np.float32([0]).reshape(())}, 36),
        (11, 'b = ReduceMean <axes = [2,3]> (x) a = Mul (x, b)', {}, 36),
        (
            18,
            'b = ReduceMean (x, i) a = Mul (x, b)',
            {'i': np.int64([2, 3])},
            36,
        ),
        (11, 'b = Unsqueeze <axes = [0]> (x) a = Squeeze <axes = [0]> (b)', {}, 36),
        (
            13,
            'b = Unsqueeze (x, i) a = Squeeze (b, i)',
            {'i': np.int64([0])},
            36,
        ),
        (11, 'a, b = Split <axis = 2, split = [5, 3]> (x)', {}, 18),
        (13, 'a, b = Split <axis = 2> (x, p)', {'p': np.int64([5, 3])}, 18),
        (18, 'a, b = Split <axis = 2, num_outputs = 2> (x)', {}, 12),
        (16, 's = Shape (x) z = ConstantOfShape (s) a = Add (x, z)', {}, 36),
        (12, 'a = Pow (x, p)', {'p': np.float32([2])}, 36),
        (20, 'a = Gelu (x)', {}, 36),
        (13, 'a = Softmax <axis = 1> (x)', {}, 36),
        (24, 'a = Swish (x)', {}, 36),
    ],
)
def test_sizes_that_an_exporter_left_in_the_file(counts, opset, nodes, weights, places):
    found = counts(f'{nodes} y = Conv (a, w)', opset=opset, weights={'w': W, **weights})
    assert found == (108, places * 108)


@pytest.mark.parametrize(
    ('nodes', 'weights', 'options', 'expected'),
    [
        ('y = Conv <group = 3> (x, w)', {'w': (6, 1, 3, 3)}, {}, (54, 36 * 54)),
        ('y = Conv <auto_pad = "SAME_UPPER"> (x, w)', {'w': W}, {}, (108, 64 * 108)),
        (
            'y = Conv <pads = [1,1,1,1], strides = [2,2], dilations = [1,1]> (x, w)',
            {'w': W},
            {},
            (108, 16 * 108),
        ),
        ('y = Conv (x, w)', {'w': (4, 3, 3)}, {'shape': (1, 3, 8)}, (36, 6 * 36)),
        (
            'y = ConvTranspose <strides = [2,2]> (x, w)',
            {'w': (3, 5, 2, 2)},
            {},
            (60, 64 * 60),
        ),
        (
            'y = ConvTranspose <group = 2> (x, w)',
            {'w': (4, 3, 2, 2)},
            {'shape': (1, 4, 8, 8)},
            (48, 64 * 48),
        ),
        (
            'y = Gemm <transA = 1, transB = 1> (x, w, b)',
            {'w': (5, 1), 'b': (5,)},
            {'shape': (1, 7)},
            (10, 35),
        ),
        ('y = MatMul (x, w)', {'w': (8, 5)}, {'shape': (1, 2, 7, 8)}, (40, 14 * 40)),
        ('y = MatMul (x, w)', {'w': (8,)}, {'shape': (1, 7, 8)}, (8, 7 * 8)),
        ('y = MatMul (w, x)', {'w': (5, 7)}, {'shape': (1, 7, 8)}, (35, 8 * 35)),
        ('y = MatMul (x, w)', {'w': (2, 8, 5)}, {'shape': (1, 7, 8)}, (80, 7 * 80)),
        (
            't = Transpose <perm = [0,1,3,2]> (x) y = MatMul (x, t)',
            {},
            {},
            (0, 3 * 64 * 8),
        ),
        (
            'y = Einsum <equation = "nchw,co->nohw"> (x, w)',
            {'w': (3, 5)},
            {},
            (15, 64 * 15),
        ),
        (
            'y = Einsum <equation = "...hw, kw"> (x, w)',
            {'w': (5, 8)},
            {},
            (40, 24 * 40),
        ),
        (
            'y = Einsum <equation = "co,ncij->noij"> (w, x)',
            {'w': (3, 5)},
            {},
            (15, 64 * 15),
        ),
        ('y = Einsum <equation = "nchw->nc"> (x)', {}, {}, (0, 0)),
        (
            'q, s, z = DynamicQuantizeLinear (x) i = ConvInteger (q, w, z) '
            'f = Cast <to = 1> (i) y = Mul (f, s)',
            {'w': INT8},
            {},
            (108, 36 * 108),
        ),
        (
            'q, s, z = DynamicQuantizeLinear (x) i = MatMulInteger (q, w, z) '
            'f = Cast <to = 1> (i) y = Mul (f, s)',
            {'w': np.ones((8, 5), np.int8)},
            {},
            (40, 24 * 40),
        ),
        (
            'q = QuantizeLinear (x, s, z) i = QLinearConv (q, s, z, w, s, z, s, z, b) '
            'y = DequantizeLinear (i, s, z)',
            {
                **{'w': INT8, 's': np.float32(1), 'z': np.int8(0)},
                'b': np.ones(4, np.int32),
            },
            {},
            (112, 36 * 108),
        ),
        (
            'q = QuantizeLinear (x, s, z) i = QLinearMatMul (q, s, z, w, s, z, s, z) '
            'y = DequantizeLinear (i, s, z)',
            {'w': np.ones((8, 5), np.int8), 's': np.float32(1), 'z': np.int8(0)},
            {},
            (40, 24 * 40),
        ),
        (
            'o = Conv (x, v) y = DeformConv (x, w, o)',
            {'w': W, 'v': (18, 3, 3, 3)},
            {'opset': 19},
            (108 + 486, 36 * 594),
        ),
        (
            'i, h, c = LSTM <hidden_size = 5, direction = "bidirectional"> '
            '(x, w, r, b) y = Identity (i)',
            {'w': (2, 20, 4), 'r': (2, 20, 5), 'b': (2, 40)},
            {'shape': (1, 1, 4)},
            (160 + 200 + 80, 360),
        ),
        (
            's = Transpose <perm = [1,0,2]> (x) o, y = GRU <hidden_size = 5> '
            '(s, w, r,,, h)',
            {'w': (1, 15, 4), 'r': (1, 15, 5), 'h': (1, 1, 5)},
            {'shape': (1, 6, 4)},
            (135, 6 * 135),
        ),
        (
            'y, h = RNN <hidden_size = 5, layout = 1> (x, w, r)',
            {'w': (1, 5, 4), 'r': (1, 5, 5)},
            {'shape': (1, 6, 4), 'opset': 14},
            (45, 6 * 45),
        ),
        (
            't = Transpose <perm = [0,1,3,2]> (x) y = Attention (x, x, x)',
            {},
            {'opset': 23, 'shape': (1, 2, 10, 4)},
            (0, 2 * 2 * 100 * 4),
        ),
        (
            'y = Attention <q_num_heads = 2, kv_num_heads = 2, is_causal = 1> '
            '(x, k, k)',
            {'k': (1, 30, 8)},
            {'opset': 24, 'shape': (1, 10, 8)},
            (240, 2 * 10 * 30 * 8),
        ),
        (
            'y = RMSNormalization (x, g)',
            {'g': (8,)},
            {'opset': 23, 'shape': (1, 10, 8)},
            (8, 0),
        ),
        (
            'y = RotaryEmbedding (x, c, s, p)',
            {'c': (10, 2), 's': (10, 2), 'p': np.arange(10).reshape(1, 10)},
            {'opset': 23, 'shape': (1, 2, 10, 4)},
            (0, 0),
        ),
        (
            'y = Gather (w, x)',
            {'w': (50, 8)},
            {'shape': (1, 7), 'kind': 'int64'},
            (400, 0),
        ),
        (
            'e = Gather (w, x) y = MatMul (e, v)',
            {'w': (50, 8), 'v': (8, 2)},
            {'shape': (1, 7), 'kind': 'int64'},
            (416, 7 * 16),
        ),
        (
            'a = Gather <axis = 1> (x, i) y = Conv (a, w)',
            {'i': np.int32([0, 1, 2]), 'w': W},
            {},
            (108, 36 * 108),
        ),
        (
            'a = Mul (x, one) b = Div (a, ch) y = Add (b, ch)',
            {'one': (1,), 'ch': (3, 1, 1)},
            {},
            (3, 0),
        ),
    ],
)
def test_products_of_all_kinds(counts, nodes, weights, options, expected):
    assert counts(nodes, weights=weights, **options) == expected
