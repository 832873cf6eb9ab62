# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Conversion of an ONNX file to a computational graph.

Rules and words are those of a trace. Besides, as ONNX has no such operators, x times
sigmoid(x) is read as one 'swish', and what is multiplied by its own error function as
one 'gelu'. Layer normalisation is one node from opset 17 on.

Parameters are the constants of floats or quantized numbers that nodes take as data and
that have at least one dimension, but for single factors of a product. Each counts once.
A constant may be an initializer, a node, or a shape that a node fills. Running means
and variances are no parameters, as in PyTorch. Exporters fold batch normalisations:
then a convolution has a bias instead, and the file fewer parameters than the module.
Tables that an exporter worked out of parameters, as a Swin transformer's biases of
positions, count as they are in the file; so do buffers that are data.

What no output needs is not counted. A recurrent layer is one product of matrices, an
Attention the products that ONNX defines it by.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from hpml_mm.predictor.graphs import node_kinds
from hpml_mm.predictor.graphs.builder import CONSTANT, GraphBuilder, Value, merged
from hpml_mm.predictor.graphs.graph import Graph, Node
from hpml_mm.predictor.graphs.layout import axis_after, default_axis

from .load import OnnxNetwork
from .ops import (
    CONSTANTS,
    DATA,
    DECIDING,
    INDEXED,
    KNOWN,
    LABELS,
    MOVEMENTS,
    PICTURES,
    PRODUCTS,
    SCALED,
    STRAIGHT,
)
from .step import Step

if TYPE_CHECKING:
    from onnx import NodeProto

_MERGES = frozenset({'add', 'mul', 'concat'})


def onnx_graph(path: str | Path) -> Graph:
    """Read the graph of an ONNX file, for one image; a dynamic batch is 1.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no ONNX file, lacks a fixed shape, or has an operator whose
            cost cannot be counted; the message names the tensor or the operator.
    """
    network = OnnxNetwork(path)
    reader = _Reader(network)
    for node in network.graph.node:
        reader.read(node)
    return reader.finish()


class _Reader:
    """Turns one node of a file after another into nodes of a graph."""

    def __init__(self, network: OnnxNetwork) -> None:
        self._network = network
        # The older exporter writes equal weights once, and copies of them as
        # 'Identity': each of these is a parameter of its own.
        copies = {
            node.output[0]: network.weights[node.input[0]]
            for node in network.graph.node
            if node.op_type == 'Identity' and node.input[0] in network.weights
        }
        self._sizes = network.weights | (copies if network.copies else {})
        stored = (tensor.name for tensor in network.graph.initializer)
        self._values = dict.fromkeys(stored, CONSTANT) | {
            name: Value(weights=frozenset([number]))
            for number, name in enumerate(self._sizes)
        }
        numbers = {name: number for number, name in enumerate(self._sizes)}
        self._single = {
            numbers[name] for name, size in self._sizes.items() if size == 1
        }
        self._filled = {numbers[name] for name in network.filled & numbers.keys()}
        shape = network.shape(network.source, 'input')
        axis = default_axis(shape)
        self._builder = GraphBuilder([*self._sizes.values()], shape, axis)
        self._values[network.source] = Value(frozenset([0]), axis=axis)
        # The tensor of which each sigmoid was taken, and the nodes of error functions.
        self._gates = {
            node.output[0]: node.input[0]
            for node in network.graph.node
            if node.op_type in ('Sigmoid', 'HardSigmoid')
        }
        self._errors: frozenset[int] = frozenset()

    def read(self, node: 'NodeProto') -> None:
        """Record the origin of each output of a node.

        Raises:
            ValueError: Its cost cannot be counted, or a shape is missing.
        """
        step = self._step(node)
        foreign = node.domain not in ('', 'ai.onnx')
        if foreign or step.op not in KNOWN:
            operator = f'{node.domain}.{step.op}' if foreign else step.op
            raise ValueError(
                f'{self._network.path}: the cost of operator {operator} of node '
                f'{step.name!r} cannot be counted'
            )
        value = self._node(step)
        for tensor in filter(None, node.output):
            if tensor not in self._sizes:
                self._values[tensor] = value or self._passed(step, tensor)

    def finish(self) -> Graph:
        """Make the graph of all that was read.

        Raises:
            ValueError: Nothing that the file returns depends on its input.
        """
        # A file may also return constants, as the size of its image.
        values = {
            name: self._values.get(name, CONSTANT) for name in self._network.outputs
        }
        outputs = [
            (self._network.shape(name, 'output'), value)
            for name, value in values.items()
            if value.sources
        ]
        try:
            # Running means and bounds of a clip are initializers too.
            return self._builder.close(outputs, count_unused=False)
        except ValueError as error:
            raise ValueError(f'{self._network.path}: {error}') from error

    def _step(self, node: 'NodeProto') -> Step:
        op = node.op_type
        places = range(len(node.input)) if op not in DATA else DATA[op]
        if op in CONSTANTS:
            places = ()
        pairs = [(place, node.input[place]) for place in places if node.input[place:]]
        inputs = [name for _, name in pairs if name]
        values = [self._value(op, place, name) for place, name in pairs if name]
        main = next((i for i, value in enumerate(values) if value.sources), None)
        return Step(self._network, node, inputs, values, main)

    def _value(self, op: str, place: int, name: str) -> Value:
        """Origin of an input, with the parameters that count at this operator."""
        value = self._values[name]
        if value.sources or not value.weights:
            return value
        if op in DECIDING or (op in INDEXED and place == 1):
            return CONSTANT
        return Value(weights=value.weights - (self._single if op in SCALED else set()))

    def _node(self, step: Step) -> Value | None:
        """Add a node for a step and return its value; None if it has no node."""
        if step.op in PRODUCTS and not (step.op == 'Einsum' and len(step.inputs) == 1):
            node, axis = step.product()
            return self._builder.add(node, step.values, axis)
        if self._says_nothing(step):
            return None
        if gate := self._gate(step):
            return gate
        assert step.main is not None
        node, axis = self._regular(step, step.main)
        value = self._builder.add(node, step.values, axis)
        if step.op == 'Erf':
            self._errors |= value.sources
        return value

    def _says_nothing(self, step: Step) -> bool:
        if step.main is None or step.op in MOVEMENTS:
            return True
        if step.op == 'Pad':
            return step.shape(step.inputs[0]) == step.shape(step.output)
        computed = [value for value in step.values if value.sources]
        if LABELS.get(step.op) not in _MERGES or len(computed) > 1:
            return False
        if not any(value.weights for value in step.values if not value.sources):
            return True
        return step.op == 'Add' and self._builder.merge_bias(computed[0], step.values)

    def _gate(self, step: Step) -> Value | None:
        """The activation that a product closes: x times sigmoid(x)."""
        if step.op != 'Mul' or len(step.inputs) != 2:
            return None
        for gate, data in ((0, 1), (1, 0)):
            known = self._gates.get(step.inputs[gate])
            pair = step.values[gate], step.values[data]
            # What goes into an error function was divided before.
            same = known == step.inputs[data] or pair[0].sources <= self._errors
            computed = all(value.sources for value in pair)
            if same and computed and self._builder.merge_gate(*pair):
                return pair[0]
        return None

    def _regular(self, step: Step, main: int) -> tuple[Node, int]:
        source = step.shape(step.inputs[main])
        out = step.shape(step.output)
        before = step.values[main].axis
        if step.op in PICTURES:
            before = after = min(1, len(out) - 1)
        elif step.op == 'LayerNormalization':
            before = after = len(out) - 1
        else:
            after = axis_after(step.op, (), source, before, out)
        label = LABELS.get(step.op, 'OOV')
        pools = step.op in ('MaxPool', 'AveragePool')
        strides = step.attribute('strides', [1]) if pools else (1, 1)
        return node_kinds.regular(
            step.name, label, source, before, out, after, strides
        ), after

    def _passed(self, step: Step, tensor: str) -> Value:
        """Follow an output that has no node of its own to its origin."""
        value = merged(step.values)
        if step.main is None:
            if step.op not in STRAIGHT:
                value = dataclasses.replace(value, weights=value.weights - self._filled)
            return value
        known = step.values[step.main].axis
        before = step.shape(step.inputs[step.main])
        after = step.shape(tensor)
        if step.op == 'Transpose':
            order = step.attribute('perm', [*range(len(before))][::-1])
            axis = axis_after('permute', (None, order), before, known, after)
        else:
            axis = axis_after(step.op, (), before, known, after)
        return dataclasses.replace(value, axis=axis)
