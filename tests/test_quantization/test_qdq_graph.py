# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from hpml_mm.quantization.backends.qdq_graph import (
    before_clipping,
    before_swish,
    layers_of,
    qdq_coverage,
    with_activations,
)


def graph(*nodes, weights=()):
    """Nodes as (kind, inputs, output); each is named after its output."""
    made = [
        helper.make_node(kind, inputs.split(), [output], name=output)
        for kind, inputs, output in nodes
    ]
    initializers = [numpy_helper.from_array(np.ones(1, np.float32), w) for w in weights]
    ends = [helper.make_tensor_value_info('end', TensorProto.FLOAT, None)]
    return helper.make_graph(made, 'toy', [], ends, initializers)


def test_what_goes_into_an_activation_that_cuts_it_off_and_nowhere_else():
    found = before_clipping(
        graph(
            ('Conv', 'x w', 'a'),
            ('Relu', 'a', 'r'),
            ('Clip', 'r zero six', 'c'),
            ('Add', 'c x', 'sum'),
            ('Relu', 'sum', 'end'),
            ('Clip', 'end c six', 'clipped'),  # an output of the graph; a bound
            ('LeakyRelu', 'clipped', 'leaky'),
        )
    )
    assert found == {'a': 'r', 'r': 'c', 'sum': 'end'}


def test_what_goes_into_swish_alone():
    found = before_swish(
        graph(
            ('Conv', 'x w', 'a'),
            ('Sigmoid', 'a', 's'),
            ('Mul', 'a s', 'swish'),
            ('Conv', 'swish w', 'b'),
            ('Sigmoid', 'b', 'gate'),  # not times itself
            ('Mul', 'b a2', 'gated'),
            ('Conv', 'gated w', 'c'),
            ('Sigmoid', 'c', 'cs'),
            ('Mul', 'cs c', 'c2'),
            ('Add', 'c c2', 'sum'),  # c goes elsewhere, too
            ('Swish', 'sum', 'end'),
        )
    )
    assert found == ['a', 'sum']


def test_activations_follow_a_layer_that_stays():
    toy = graph(
        ('Conv', 'x w', 'a'),
        ('Sigmoid', 'a', 's'),
        ('Mul', 's a', 'swish'),
        ('Clip', 'swish low high', 'clipped'),
        ('Mul', 'x swish', 'gated'),
        ('Conv', 'gated w', 'b'),
        ('Relu', 'b', 'end'),
    )
    assert with_activations(toy, ['a']) == ['a', 's', 'swish', 'clipped']
    assert with_activations(toy, ['b']) == ['b', 'end']
    assert with_activations(toy, []) == []


QDQ = (
    ('DequantizeLinear', 'x8', 'x'),
    ('DequantizeLinear', 'w8', 'w'),
    ('Conv', 'x w', 'good'),
    ('QuantizeLinear', 'good', 'good8'),
    ('Conv', 'x w', 'open'),
    ('Relu', 'open', 'float'),
    ('Conv', 'float w', 'fed'),
    ('QuantizeLinear', 'fed', 'fed8'),
    ('ConvTranspose', 'float w', 'up'),
    ('Gemm', 'x w', 'gemm'),
    ('MatMul', 'x float', 'end'),
)


@pytest.mark.parametrize('reasons', [{}, {'m.fed': 'why not'}])
def test_coverage_of_a_quantized_graph(reasons):
    layers = {name: f'm.{name}' for name in ('good', 'open', 'fed', 'up', 'gemm')}
    model = helper.make_model(graph(*QDQ))
    coverage = qdq_coverage(model, layers, reasons, {'QLinearConv': 1})
    assert [layer.name for layer in coverage.converted] == ['m.good', 'm.gemm']
    assert coverage.operations == {'QLinearConv': 1}
    assert {layer.name: layer.reason for layer in coverage.kept} == {
        'm.open': 'its result is not quantized',
        'm.fed': reasons.get('m.fed', 'what it takes is not quantized'),
        'm.up': 'ONNX Runtime has no INT8 ConvTranspose on a CPU',
    }


def test_layers_are_nodes_with_constant_weights():
    toy = graph(
        ('Conv', 'x w', 'a'), ('MatMul', 'a x', 'b'), ('Gemm', 'b v', 'end'),
        weights=('w', 'v'),
    )  # fmt: skip
    found = layers_of(helper.make_model(toy), {'a': 'backbone.conv'})
    assert found == {'a': 'backbone.conv', 'end': 'end'}
