# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Constant folding of the sizes that an ONNX file computes.

PyTorch's older exporter writes a padding, or one half of the channels, as a chain of
nodes through which the inference of shapes does not see.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING

import numpy as np

from hpml_mm.compat import require

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

_NAMES = """Constant ConstantOfShape Cast Concat Expand Gather Identity Range Reshape
Slice Split Squeeze Tile Transpose Unsqueeze Where Add Sub Mul Div Mod Neg Max Min Floor
Ceil Sqrt ReduceProd Equal Less Greater Not And Or"""
_FOLDED = frozenset(_NAMES.split())
# Longer lists are no shapes.
_MOST = 64


def drop_weights_(graph: GraphProto) -> None:
    """Drop the data of large weights, of which only shapes matter, in place."""
    for tensor in graph.initializer:
        if np.prod(tensor.dims) > _MOST:
            for field in ('raw_data', 'float_data', 'int32_data', 'int64_data'):
                tensor.ClearField(field)


def fold_numbers_(
    graph: GraphProto,
    shapes: Mapping[str, tuple | None],
    weights: Container[str],
) -> bool:
    """Replace nodes that compute a few numbers from whole ones by initializers.

    Args:
        graph: The file's graph; it is changed.
        shapes: Shape of each tensor, None for what is not known.
        weights: Names of initializers that are parameters, and stay.

    Returns:
        True if there were any.
    """
    onnx = require('onnx')
    known = {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if tensor.name not in weights
        and np.prod(tensor.dims) <= _MOST
        and tensor.data_location != onnx.TensorProto.EXTERNAL
    }
    kept = []
    for node in graph.node:
        result = _result(node, known, shapes)
        if result is None:
            kept.append(node)
        else:
            known[node.output[0]] = result
            tensor = onnx.numpy_helper.from_array(result, node.output[0])
            graph.initializer.append(tensor)
    folded = len(kept) < len(graph.node)
    del graph.node[:]
    graph.node.extend(kept)
    return folded


def _result(
    node: NodeProto,
    known: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple | None],
) -> np.ndarray | None:
    names = [name for name in node.input if name]
    if node.op_type == 'Shape':
        dims = shapes.get(names[0])
        if dims is None or None in dims:
            return None
        # The numbers within do not matter, only how many there are.
        inputs = {names[0]: np.broadcast_to(np.int64(0), dims)}
    elif node.op_type in _FOLDED and all(name in known for name in names):
        inputs = {name: known[name] for name in names}
    else:
        return None
    evaluator = require('onnx.reference').ReferenceEvaluator(node)
    result = np.asarray(evaluator.run(None, inputs)[0])
    return result if result.size <= _MOST else None
