# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Branches of ONNX files, and what is refused by name."""

import functools

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_files import CONV, W, counted, counts_of, made

from hpml_mm.predictor.graphs.onnx import ops


@pytest.fixture
def counts(tmp_path):
    return functools.partial(counts_of, tmp_path)


BRANCHES = """
y = If (yes) <
    then_branch = one () => (float o) { v = Identity (a) o = Conv (v, w) },
    else_branch = two () => (float o) { v = Identity (a) o = Conv (v, big) }
>"""
NESTED = """
c = If (yes) <
    then_branch = one () => (float o) {
        o = If (yes) <
            then_branch = three () => (float p) { v = Relu (a) p = Conv (v, w) },
            else_branch = four () => (float p) { p = Conv (a, big) }
        >
    },
    else_branch = two () => (float o) { o = Conv (a, big) }
>
y = If (yes) <
    then_branch = five () => (float o) {
        v = Relu (c) k = Identity (q) o = Conv (v, k)
    },
    else_branch = six () => (float o) { o = Identity (c) }
>"""
NO = np.array(False)
BIG = (9, 3, 3, 3)


@pytest.mark.parametrize(
    ('nodes', 'weights', 'expected'),
    [
        (BRANCHES, {'yes': ~NO}, (108, 36 * 108)),
        (BRANCHES, {'yes': np.array([False])}, (243, 36 * 243)),
        (
            f's = Shape (x) n = Gather (s, i) yes = Equal (n, three) {BRANCHES}',
            {'i': np.int64(1), 'three': np.int64(3)},
            (108, 36 * 108),
        ),
        (
            f'f = Constant <value = int64 {{0}}> () yes = Cast <to = 9> (f) {BRANCHES}',
            {},
            (243, 36 * 243),
        ),
        (NESTED, {'yes': ~NO, 'q': (2, 4, 1, 1)}, (116, 36 * 116)),
        (
            's = Shape (x) n = Gather (s, i) yes = Equal (n, one) y = If (yes) < '
            'then_branch = one () => (float o) { v = Squeeze (a, i) o = Conv (v, w) }, '
            'else_branch = two () => (float o) { o = Conv (a, big) } >',
            {'i': np.int64([1]), 'one': np.int64([1])},
            (243, 36 * 243),
        ),
        (
            'y = If (yes) < then_branch = one () => (float o) { w0 = Constant <value = '
            'float[1,3,1,1] {1.,2.,3.}> () o = Conv (a, w0) }, '
            'else_branch = two () => (float o) { o = Identity (a) } >',
            {'yes': ~NO},
            (3, 64 * 3),
        ),
    ],
)
def test_the_branch_that_is_always_taken_is_counted(counts, nodes, weights, expected):
    weights = {'w': W, 'big': BIG, **weights}
    assert counts(f'a = Relu (x) {nodes}', weights=weights) == expected


LOOP = """
c = Relu (x) t = Constant <value = bool {1}> ()
y = Loop (n, t, c) < body = one (int64 i, bool t0, float a) => (bool t1, float b) {
    t1 = Identity (t0) b = Conv (a, w)
}>"""
UNKNOWN = (
    'm = ReduceMax <keepdims = 0> (x) z = Constant <value = float {0.}> () '
    f'yes = Greater (m, z) a = Relu (x) {BRANCHES}'
)


@pytest.mark.parametrize(
    ('nodes', 'options', 'message'),
    [
        (UNKNOWN, {}, "operator If of node 'y'"),
        (LOOP, {}, "operator Loop of node 'y'"),
        ('a = other.Magic (w) y = Conv (x, a)', {}, r"other\.Magic of node 'a'"),
        ('y = Conv (a, w) a = Relu (x)', {}, "node 'y' reads 'a', which"),
        ('y = Conv (x, nothing)', {}, "reads 'nothing', which nothing before it"),
        (CONV, {'opset': 6}, 'of opset 6; from 7 to'),
        (CONV, {'opset': 999}, 'of opset 999; from 7 to .*update the package onnx'),
        ('y = Conv (x, w5)', {'shape': (1, 3, 8, 8, 8)}, "node 'y': a graph holds"),
        ('y = Det (x)', {}, "operator Det of node 'y'"),
        ('y = SequenceConstruct (x)', {}, "operator SequenceConstruct of node 'y'"),
    ],
)
def test_what_cannot_be_counted_is_refused_by_its_node(counts, nodes, options, message):
    weights = {'w': W, 'big': BIG, 'n': np.int64(3), 'w5': (4, 3, 3, 3, 3)}
    with pytest.raises(ValueError, match=message):
        counts(nodes, weights=weights, **options)


def test_sparse_weights_are_refused_by_name(tmp_path):
    values = helper.make_tensor('w', TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor('i', TensorProto.INT64, [1], [0])
    sparse = helper.make_sparse_tensor(values, indices, W)
    model = made(CONV, (1, 3, 8, 8), 13, {})
    model.graph.sparse_initializer.append(sparse)
    with pytest.raises(ValueError, match="initializer 'w' is sparse"):
        counted(model, tmp_path)
    node = helper.make_node('Constant', [], ['w'], 'held', sparse_value=sparse)
    del model.graph.sparse_initializer[:]
    model.graph.node.insert(0, node)
    with pytest.raises(ValueError, match="constant 'held' is sparse"):
        counted(model, tmp_path)


# All operators of ONNX that are refused, so that a new one is decided upon.
REFUSED = """Attention LinearAttention CausalConvWithState AffineGrid DFT STFT Det If
Loop Scan SequenceMap ConcatFromSequence SequenceAt SequenceConstruct SequenceEmpty
SequenceErase SequenceInsert SequenceLength SplitToSequence Optional OptionalGetElement
OptionalHasElement ImageDecoder NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss
RegexFullMatch StringConcat StringNormalizer StringSplit TfIdfVectorizer"""


def test_each_operator_of_onnx_is_counted_or_refused():
    known = {one.name for one in onnx.defs.get_all_schemas() if not one.domain}
    assert known - ops.KNOWN <= set(REFUSED.split())
    assert not ops.KNOWN & set(REFUSED.split())
