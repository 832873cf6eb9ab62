# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Conversion of an ONNX file to a computational graph.

Rules and words are those of a trace. Besides, as ONNX has no such operators, x times
sigmoid(x) is read as one 'swish', and what is multiplied by its own error function as
one 'gelu'. Layer normalisation is one node from opset 17 on.

Parameters are the initializers of floats or quantized numbers that nodes take as data
and that have at least one dimension, but for single factors of a product. Running means
and variances are no parameters, as in PyTorch. Exporters fold batch normalisations:
then a convolution has a bias instead, and the file fewer parameters than the module.
Tables that an exporter worked out of parameters, as a Swin transformer's biases of
positions, count as they are in the file.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpml_mm.compat import require
from hpml_mm.predictor.graphs import node_kinds
from hpml_mm.predictor.graphs.builder import CONSTANT, GraphBuilder, Value, merged
from hpml_mm.predictor.graphs.graph import Graph, Node
from hpml_mm.predictor.graphs.layout import axis_after, default_axis

from .load import OnnxNetwork
from .ops import CONSTANTS, FIRST_INPUT, LABELS, MOVEMENTS, PICTURES, UNCOUNTED

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


@dataclasses.dataclass(frozen=True)
class _Step:
    """A node of the file.

    Attributes:
        inputs: Names of the tensors that it works on.
        values: Origins of the inputs.
        main: Position in ``inputs`` of the first one that was computed; None if there
            is none.
    """

    node: 'NodeProto'
    inputs: list[str]
    values: list[Value]
    main: int | None

    @property
    def op(self) -> str:
        return self.node.op_type

    @property
    def name(self) -> str:
        return self.node.name or self.node.output[0]

    @property
    def foreign(self) -> bool:
        return self.node.domain not in ('', 'ai.onnx')


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
        self._sizes = network.weights | copies
        self._values = {
            name: Value(weights=frozenset([number]))
            for number, name in enumerate(self._sizes)
        }
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
        computed = step.main is not None
        if computed and (step.foreign or step.op in UNCOUNTED):
            operator = f'{node.domain}.{step.op}' if step.foreign else step.op
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

    def _step(self, node: 'NodeProto') -> _Step:
        inputs = [name for name in node.input if name]
        if node.op_type in CONSTANTS:
            inputs = []
        elif node.op_type in FIRST_INPUT:
            inputs = inputs[:1]
        elif node.op_type == 'BatchNormalization':
            # Behind them come the running mean and variance.
            inputs = inputs[:3]
        values = [self._values.get(name, CONSTANT) for name in inputs]
        if LABELS.get(node.op_type) == 'mul':
            # A single factor is a scale: the newer exporter writes it with a dimension.
            values = [
                CONSTANT if self._sizes.get(name) == 1 else value
                for name, value in zip(inputs, values, strict=True)
            ]
        main = next((i for i, value in enumerate(values) if value.sources), None)
        return _Step(node, inputs, values, main)

    def _node(self, step: _Step) -> Value | None:
        """Add a node for a step and return its value; None if it has no node."""
        if step.op in ('Conv', 'ConvTranspose'):
            return self._builder.add(self._convolution(step), step.values, axis=1)
        if step.op in ('Gemm', 'MatMul'):
            node = self._product(step)
            last = len(self._shape(step, step.node.output[0])) - 1
            return self._builder.add(node, step.values, last)
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

    def _says_nothing(self, step: _Step) -> bool:
        if step.main is None or step.op in MOVEMENTS:
            return True
        if step.op == 'Pad':
            return self._shape(step, step.inputs[0]) == self._shape(
                step, step.node.output[0]
            )
        computed = [value for value in step.values if value.sources]
        if LABELS.get(step.op) not in _MERGES or len(computed) > 1:
            return False
        if not any(value.weights for value in step.values if not value.sources):
            return True
        return step.op == 'Add' and self._builder.merge_bias(computed[0], step.values)

    def _gate(self, step: _Step) -> Value | None:
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

    def _convolution(self, step: _Step) -> Node:
        source, weight = (self._shape(step, name) for name in step.inputs[:2])
        try:
            return node_kinds.convolution(
                step.name,
                source,
                weight,
                self._shape(step, step.node.output[0]),
                strides=_attribute(step.node, 'strides', [1]),
                groups=_attribute(step.node, 'group', 1),
                transposed=step.op == 'ConvTranspose',
                biased=len(step.inputs) > 2,
            )
        except ValueError as error:
            raise ValueError(
                f'{self._network.path}: node {step.name!r}: {error}'
            ) from error

    def _product(self, step: _Step) -> Node:
        left = self._shape(step, step.inputs[0])
        if _attribute(step.node, 'transA', 0):
            left = left[::-1]
        return node_kinds.product(
            step.name,
            left,
            self._shape(step, step.node.output[0]),
            inner=left[-1],
            biased=step.op == 'Gemm' and len(step.inputs) > 2,
        )

    def _regular(self, step: _Step, main: int) -> tuple[Node, int]:
        source = self._shape(step, step.inputs[main])
        out = self._shape(step, step.node.output[0])
        before = step.values[main].axis
        if step.op in PICTURES or step.op in ('Resize', 'Upsample'):
            before = after = min(1, len(out) - 1)
        elif step.op == 'LayerNormalization':
            before = after = len(out) - 1
        else:
            after = axis_after(step.op, (), source, before, out)
        label = LABELS.get(step.op, 'OOV')
        pools = step.op in ('MaxPool', 'AveragePool')
        strides = _attribute(step.node, 'strides', [1]) if pools else (1, 1)
        return node_kinds.regular(
            step.name, label, source, before, out, after, strides
        ), after

    def _passed(self, step: _Step, tensor: str) -> Value:
        """Follow an output that has no node of its own to its origin."""
        value = merged(step.values)
        if step.main is None:
            return value
        known = step.values[step.main].axis
        before = self._shape(step, step.inputs[step.main])
        after = self._shape(step, tensor)
        if step.op == 'Transpose':
            order = _attribute(step.node, 'perm', [*range(len(before))][::-1])
            axis = axis_after('permute', (None, order), before, known, after)
        else:
            axis = axis_after(step.op, (), before, known, after)
        return dataclasses.replace(value, axis=axis)

    def _shape(self, step: _Step, tensor: str) -> tuple[int, ...]:
        return self._network.shape(tensor, step.name)


def _attribute(node: 'NodeProto', name: str, default: Any) -> Any:
    for attribute in node.attribute:
        if attribute.name == name:
            return require('onnx').helper.get_attribute_value(attribute)
    return default
