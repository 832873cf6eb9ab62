# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Work out the whole numbers that an ONNX file computes from constants.

PyTorch's older exporter writes a padding as a chain of eight nodes, through which the
inference of shapes does not see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hpml_mm.compat.extras import require

if TYPE_CHECKING:
    from onnx import GraphProto

_FOLDED = frozenset(
    {
        *('Constant', 'ConstantOfShape', 'Cast', 'Concat', 'Gather', 'Identity'),
        *('Reshape', 'Slice', 'Squeeze', 'Transpose', 'Unsqueeze'),
        *('Add', 'Sub', 'Mul', 'Neg'),
    }
)
# Longer lists are no shapes.
_MOST = 64


def fold_integers_(graph: GraphProto) -> None:
    """Replace nodes that compute a few integers from constants by initializers."""
    onnx = require('onnx')
    evaluator = require('onnx.reference').ReferenceEvaluator
    known = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if tensor.data_type in (onnx.TensorProto.INT64, onnx.TensorProto.INT32)
        and np.prod(tensor.dims) <= _MOST
        and tensor.data_location != onnx.TensorProto.EXTERNAL
    }
    kept = []
    for node in graph.node:
        names = [name for name in node.input if name]
        if node.op_type in _FOLDED and all(name in known for name in names):
            (result,) = evaluator(node).run(None, {name: known[name] for name in names})
            result = np.asarray(result)
            if result.dtype in (np.int64, np.int32) and result.size <= _MOST:
                known[node.output[0]] = result
                tensor = onnx.numpy_helper.from_array(result, node.output[0])
                graph.initializer.append(tensor)
                continue
        kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
