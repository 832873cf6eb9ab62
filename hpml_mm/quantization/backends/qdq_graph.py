# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Queries on an ONNX graph: producers, consumers, layers, and INT8 coverage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hpml_mm.compat import require
from hpml_mm.deploy.onnx_names import WEIGHTED
from hpml_mm.quantization.coverage import Coverage, LayerCoverage

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

#: Those that ONNX Runtime's CPU provider computes in INT8 when what they take and give
#: is quantized. ``ConvTranspose`` is none of them: it would be rounded for nothing.
INT8_OPERATORS = (
    *('Add', 'AveragePool', 'Clip', 'Concat', 'Conv', 'DepthToSpace', 'Flatten'),
    *('Gemm', 'GlobalAveragePool', 'LeakyRelu', 'MatMul', 'MaxPool', 'Mul', 'Pad'),
    *('Relu', 'Reshape', 'Resize', 'Sigmoid', 'Slice', 'Split', 'Squeeze'),
    *('Transpose', 'Unsqueeze'),
)
_ACTIVATIONS = (
    *('Clip', 'HardSigmoid', 'HardSwish', 'LeakyRelu', 'Mul', 'Relu', 'Sigmoid'),
)


def producers(graph: GraphProto) -> dict[str, NodeProto]:
    """Producer of each tensor, by the tensor's name."""
    return {name: node for node in graph.node for name in node.output}


def consumers(graph: GraphProto) -> dict[str, list[NodeProto]]:
    """Consumers of each tensor, by the tensor's name."""
    found: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in dict.fromkeys(node.input):
            found.setdefault(name, []).append(node)
    return found


def with_activations(graph: GraphProto, names: Iterable[str]) -> list[str]:
    """Nodes, and the activations whose only inputs are their outputs.

    An activation between an FP32 layer and the next rounding stays in FP32 with it:
    rounding its input as well would lose precision and save nothing.

    Args:
        graph: Graph that they are in.
        names: Names of nodes with weights.
    """
    chosen = dict.fromkeys(names)
    made = {out for node in graph.node if node.name in chosen for out in node.output}
    for node in graph.node:  # in an order in which they can run
        inputs = [name for name in node.input if name]
        if (
            node.op_type in _ACTIVATIONS
            and inputs
            and made.issuperset(inputs[:1] if node.op_type == 'Clip' else inputs)
        ):
            chosen[node.name] = None
            made.update(node.output)
    return list(chosen)


def before_swish(graph: GraphProto) -> list[str]:
    """Tensors ``x`` that go into ``x * sigmoid(x)`` and nowhere else."""
    makers, takers = producers(graph), consumers(graph)
    found = []
    for name, nodes in takers.items():
        kinds = sorted(node.op_type for node in nodes)
        if kinds == ['Swish']:
            found.append(name)
        elif kinds == ['Mul', 'Sigmoid']:
            product = next(node for node in nodes if node.op_type == 'Mul')
            other = [tensor for tensor in product.input if tensor != name]
            maker = makers.get(other[0]) if len(other) == 1 else None
            if maker is not None and maker.op_type == 'Sigmoid' and name in maker.input:
                found.append(name)
    return found


def before_clipping(graph: GraphProto) -> dict[str, str]:
    """Tensors that go into ``Relu`` or ``Clip`` and nowhere else, and what comes out.

    ONNX Runtime gives both the range of what comes out.
    """
    given = {value.name for value in graph.output}
    return {
        name: nodes[0].output[0]
        for name, nodes in consumers(graph).items()
        if len(nodes) == 1
        and nodes[0].op_type in ('Relu', 'Clip')
        and name == nodes[0].input[0]
        and name not in given
    }


def layers_of(model: ModelProto, modules: Mapping[str, str]) -> dict[str, str]:
    """Module names of the nodes whose weights are constants, by the node's name.

    Args:
        model: As exported.
        modules: Module names by node name, where they are known.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    return {
        node.name: modules.get(node.name, node.name)
        for node in model.graph.node
        if node.op_type in WEIGHTED and constants.intersection(node.input[1:2])
    }


def qdq_coverage(
    model: ModelProto,
    layers: Mapping[str, str],
    reasons: Mapping[str, str],
    operations: Mapping[str, int],
) -> Coverage:
    """Layers in INT8 of a graph with QuantizeLinear and DequantizeLinear nodes.

    A layer is INT8 where both its operands come out of a DequantizeLinear and, for a
    convolution, its result goes into a QuantizeLinear: a runtime turns this into one
    integer operation.

    Args:
        model: The quantized model.
        layers: Module names by node name.
        reasons: Why a layer was left in FP32 on purpose, by module name.
        operations: Counts of the operations that ONNX Runtime executes.
    """
    graph = model.graph
    makers, takers = producers(graph), consumers(graph)

    def reason(node: NodeProto) -> str | None:
        name = layers[node.name]
        operands = [makers.get(tensor) for tensor in node.input[:2]]
        if any(one is None or one.op_type != 'DequantizeLinear' for one in operands):
            return reasons.get(name, _why_not(node))
        after = [n for out in node.output for n in takers.get(out, [])]
        given = all(n.op_type == 'QuantizeLinear' for n in after) and after
        if node.op_type not in ('Gemm', 'MatMul') and not given:
            return 'its result is not quantized'
        return None

    found = tuple(
        LayerCoverage(layers[node.name], reason(node))
        for node in graph.node
        if node.name in layers
    )
    return Coverage(found, dict(operations))


def _why_not(node: NodeProto) -> str:
    if node.op_type not in INT8_OPERATORS:
        return f'ONNX Runtime has no INT8 {node.op_type} on a CPU'
    return 'what it takes is not quantized'


def executed_operations(path: str | Path) -> dict[str, int]:
    """Count the operations of a model after ONNX Runtime's graph optimizations."""
    onnx, ort = require('onnx'), require('onnxruntime')
    with TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        # Beyond "extended" it is written for this very machine, with a warning.
        options.graph_optimization_level = (
            ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        )
        options.optimized_model_filepath = str(Path(folder, 'optimized.onnx'))
        ort.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
        model = onnx.load(options.optimized_model_filepath)
    return dict(sorted(Counter(node.op_type for node in model.graph.node).items()))
