# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""ONNX files made of text, and what is counted of them."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hpml_mm.predictor.graphs.onnx.reader import onnx_graph

#: A convolution of 108 parameters; on 8x8 it has 36 places without padding.
CONV = 'y = Conv (x, w)'
W = (4, 3, 3, 3)


def counts_of(folder, nodes, shape=(1, 3, 8, 8), opset=13, weights=None, **options):
    """Parameters and MACs of nodes that make ``y`` of ``x``, written as text.

    ``weights`` are initializers by name, each a shape or an array.
    """
    return counted(made(nodes, shape, opset, weights or {}, **options), folder)


def counted(model, folder):
    path = folder / 'made.onnx'
    path.write_bytes(model.SerializeToString())
    graph = onnx_graph(path)
    return graph.total_params, graph.total_macs


def made(nodes, shape, opset, weights, ir=8, functions='', kind='float'):
    dims = ','.join(map(str, shape))
    model = onnx.parser.parse_model(
        f'<ir_version: {ir}, opset_import: ["": {opset}, "other": 1]>\n'
        f'g ({kind}[{dims}] x) => (float y) {{ {nodes} }} {functions}'
    )
    for name, value in weights.items():
        if isinstance(value, tuple):
            value = np.ones(value, np.float32)
        tensor = numpy_helper.from_array(np.asarray(value), name)
        model.graph.initializer.append(tensor)
        if ir < 4:
            info = helper.make_tensor_value_info(name, tensor.data_type, tensor.dims)
            model.graph.input.append(info)
    return model
