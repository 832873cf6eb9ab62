# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Map from nodes of an ONNX graph to modules of the exported network."""

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

#: Operators with weights, as their second input.
WEIGHTED = ('Conv', 'ConvTranspose', 'Gemm', 'MatMul')
_WEIGHT = '.weight'
# Note of PyTorch's exporter on the modules around a node, the outermost first and the
# node's own operator last.
_SCOPES = 'pkg.torch.onnx.name_scopes'


def node_modules(model: 'ModelProto') -> dict[str, str]:
    """Module name of each convolution and matrix product, by the name of its node.

    The name is that of the weight, which is looked for behind ``DequantizeLinear`` as
    well, so that it works for quantized networks. Products of two activations have
    none and are left out.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    weights = {weight.name for weight in model.graph.initializer}
    found = {}
    for node in model.graph.node:
        name = _weight_name(node, weights, makers)
        if name is not None and _WEIGHT in name:
            found[node.name] = name.rpartition(_WEIGHT)[0]
    return found


def name_weights_(graph: 'GraphProto') -> None:
    """Name each weight after its module where the exporter has not, in place.

    It transposes the weight of a linear layer over more than rows, and gives the
    product a number for a name. Needs the exporter's notes on the nodes.
    """
    weights = {weight.name: weight for weight in graph.initializer}
    new_names: dict[str, str] = {}
    for node in graph.node:
        name = _weight_name(node, weights, {})
        if name is None or name.endswith(_WEIGHT) or name in new_names:
            continue
        scopes = [note.value for note in node.metadata_props if note.key == _SCOPES]
        module = ast.literal_eval(scopes[0])[-2] if scopes else ''
        new = f'{module}{_WEIGHT}'
        if module and new not in weights and new not in new_names.values():
            new_names[name] = new
    for old, new in new_names.items():
        weights[old].name = new
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = new_names.get(name, name)


def drop_notes_(graph: 'GraphProto') -> None:
    """Remove the exporter's metadata from each node, in place.

    These are stack traces with paths of the machine that exported; of a small network
    they make half of the file.
    """
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        del part.metadata_props[:]
    for weight in graph.initializer:
        del weight.metadata_props[:]


def _weight_name(
    node: 'NodeProto',
    weights: Mapping[str, object] | set[str],
    makers: Mapping[str, 'NodeProto'],
) -> str | None:
    """Name of the initializer with a node's weights, behind their dequantization."""
    if node.op_type not in WEIGHTED:
        return None
    name = node.input[1]
    while name not in weights and name in makers:
        if makers[name].op_type not in ('DequantizeLinear', 'QuantizeLinear'):
            return None
        name = makers[name].input[0]
    return name if name in weights else None
