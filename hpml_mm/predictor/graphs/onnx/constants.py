# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Constants of an ONNX file, and the sizes that it computes.

Weights may be initializers or the results of nodes. PyTorch's older exporter writes a
padding, or one half of the channels, as a chain of nodes through which the inference of
shapes does not see.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from hpml_mm.compat import require

from .ops import DATA

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto, TensorProto

_NAMES = """Cast CastLike Concat Expand Flatten Gather GatherND Identity Range
Reshape Slice Squeeze Tile Transpose Unsqueeze Where Add Sub Mul Div Mod Neg Abs Pow
Max Min Floor Ceil Round Sqrt ReduceProd ReduceSum ReduceMax ReduceMin Equal Less
LessOrEqual Greater GreaterOrEqual Not And Or Xor ConstantOfShape"""
_FOLDED = frozenset(_NAMES.split())
# A few numbers in may become many.
_GROWING = frozenset({'ConstantOfShape', 'Expand', 'Range', 'Tile'})
_NO_WEIGHTS = frozenset(
    ['INT64', 'UINT64', 'UINT32', 'BOOL', 'STRING', 'COMPLEX64', 'COMPLEX128']
)
# Longer lists are no shapes.
_MOST = 64


def is_weight(tensor: TensorProto) -> bool:
    """Return whether a constant may be a parameter, by its type and dimensions."""
    types = require('onnx').TensorProto.DataType
    return bool(tensor.dims) and types.Name(tensor.data_type) not in _NO_WEIGHTS


def drop_weights_(graph: GraphProto) -> None:
    """Drop the data of large weights, of which only shapes matter, in place."""
    for tensor in _tensors(graph):
        if is_weight(tensor) and math.prod(tensor.dims) > _MOST:
            for field in ('raw_data', 'float_data', 'int32_data', 'double_data'):
                tensor.ClearField(field)


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    """All dense constants of a graph and of those within its nodes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField('t'):
                yield attribute.t
            if attribute.HasField('g'):
                yield from _tensors(attribute.g)


def store_constants_(
    graph: GraphProto, opset: int, computed: Container[str]
) -> set[str]:
    """Replace nodes that hold a constant, or fill one of a stored shape, in place.

    Args:
        graph: The file's graph; it is changed.
        opset: Version of the operators.
        computed: Names of initializers that the file computes; what is filled to such
            a shape is no constant of its own.

    Returns:
        Names of those that were filled.

    Raises:
        ValueError: A constant is sparse.
    """
    stored = {t.name: t for t in graph.initializer if t.name not in computed}
    filled, kept = set(), []
    if graph.sparse_initializer:
        name = graph.sparse_initializer[0].values.name
        raise ValueError(
            f'initializer {name!r} is sparse, and only dense ones are read'
        )
    for node in graph.node:
        name = node.output[0]
        if node.op_type == 'Constant' and node.domain in ('', 'ai.onnx'):
            tensor = _constant(node, opset)
        elif node.op_type == 'ConstantOfShape' and node.input[0] in stored:
            tensor = _filled(node, stored[node.input[0]])
            filled.add(name)
        else:
            kept.append(node)
            continue
        tensor.name = name
        stored[name] = graph.initializer.add()
        stored[name].CopyFrom(tensor)
    del graph.node[:]
    graph.node.extend(kept)
    return filled


def _constant(node: NodeProto, opset: int) -> TensorProto:
    (attribute,) = node.attribute
    if attribute.name == 'value':
        return attribute.t
    if attribute.name == 'sparse_value':
        name = node.name or node.output[0]
        raise ValueError(f'constant {name!r} is sparse, and only dense ones are read')
    return require('onnx').numpy_helper.from_array(_evaluated(node, {}, opset))


def _filled(node: NodeProto, shape: TensorProto) -> TensorProto:
    onnx = require('onnx')
    value = np.zeros(1, np.float32)
    for attribute in node.attribute:
        value = onnx.numpy_helper.to_array(attribute.t)
    dims = onnx.numpy_helper.to_array(shape).tolist()
    if math.prod(dims) <= _MOST:
        return onnx.numpy_helper.from_array(np.full(dims, value[0]))
    kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
    return onnx.TensorProto(data_type=kind, dims=dims)


def fold_numbers_(
    graph: GraphProto,
    shapes: Mapping[str, tuple | None],
    weights: Container[str],
    opset: int,
) -> set[str]:
    """Replace nodes that compute a few numbers from constants by initializers.

    Nodes that work on parameters stay, so that these are counted where they lead to;
    who needs their result to know a shape gets it as an initializer.

    Args:
        graph: The file's graph; it is changed.
        shapes: Shape of each tensor, None for what is not known.
        weights: Names of initializers that may be parameters.
        opset: Version of the operators.

    Returns:
        Names of the new initializers.
    """
    known = _small_constants(graph)
    stored = {tensor.name for tensor in graph.initializer}
    tainted = {name for name in known if name in weights}
    kept, new = [], {}
    for node in graph.node:
        result = _result(node, known, shapes, opset)
        if result is not None:
            known[node.output[0]] = result
            if tainted.isdisjoint(node.input):
                new[node.output[0]] = result
                continue
            tainted.add(node.output[0])
        elif node.op_type in DATA:
            for place, name in enumerate(node.input):
                if place not in DATA[node.op_type] and name in tainted - stored:
                    node.input[place] = f'{name}/value'
                    new[node.input[place]] = known[name]
        kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)
    graph.initializer.extend(
        require('onnx').numpy_helper.from_array(value, name)
        for name, value in new.items()
        if name not in stored
    )
    return set(new)


def _small_constants(graph: GraphProto) -> dict[str, np.ndarray]:
    onnx = require('onnx')
    return {
        tensor.name: onnx.numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if math.prod(tensor.dims) <= _MOST
        and tensor.data_location != onnx.TensorProto.EXTERNAL
    }


def _result(
    node: NodeProto,
    known: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple | None],
    opset: int,
) -> np.ndarray | None:
    names = [name for name in node.input if name]
    if node.domain not in ('', 'ai.onnx') or len(node.output) != 1:
        return None
    if node.op_type in ('Shape', 'Size'):
        dims = shapes.get(names[0])
        if dims is None or None in dims:
            return None
        # The numbers within do not matter, only how many there are.
        inputs = {names[0]: np.broadcast_to(np.float32(0), dims)}
    elif node.op_type in _FOLDED and all(name in known for name in names):
        inputs = {name: known[name] for name in names}
        if node.op_type in _GROWING:
            dims = shapes.get(node.output[0])
            if dims is None or None in dims or math.prod(dims) > _MOST:
                return None
    else:
        return None
    result = _evaluated(node, inputs, opset)
    return result if result.size <= _MOST else None


def _evaluated(
    node: NodeProto, inputs: Mapping[str, np.ndarray], opset: int
) -> np.ndarray:
    """Result of one node, by the rules of the file's version of its operator."""
    onnx = require('onnx')
    helper, untyped = onnx.helper, onnx.TypeProto()
    graph = helper.make_graph(
        [node],
        'node',
        [helper.make_value_info(name, untyped) for name in inputs],
        [helper.make_value_info(node.output[0], untyped)],
    )
    evaluator = require('onnx.reference').ReferenceEvaluator(graph, {'': opset})
    return np.asarray(evaluator.run(None, dict(inputs))[0])
