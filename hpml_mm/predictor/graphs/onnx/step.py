# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Nodes of an ONNX file, and graph nodes of those that multiply matrices."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

from hpml_mm.compat import require
from hpml_mm.predictor.graphs import node_kinds
from hpml_mm.predictor.graphs.builder import Value
from hpml_mm.predictor.graphs.graph import Node
from hpml_mm.predictor.graphs.layout import resolution

from .load import OnnxNetwork
from .ops import BIAS

if TYPE_CHECKING:
    from onnx import NodeProto


@dataclasses.dataclass(frozen=True)
class Step:
    """A node of a file.

    Attributes:
        network: The file.
        inputs: Names of the tensors that it works on.
        values: Origins of the inputs.
        main: Position in ``inputs`` of the first one that was computed; None if there
            is none.
    """

    network: OnnxNetwork
    node: NodeProto
    inputs: list[str]
    values: list[Value]
    main: int | None

    @property
    def op(self) -> str:
        """Operator."""
        return self.node.op_type

    @property
    def output(self) -> str:
        """The first result that is read."""
        return next(filter(None, self.node.output))

    @property
    def name(self) -> str:
        """Name for messages."""
        return self.node.name or self.output

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute, or its default."""
        for attribute in self.node.attribute:
            if attribute.name == name:
                return require('onnx').helper.get_attribute_value(attribute)
        return default

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Shape of a tensor; ValueError where it is not known."""
        return self.network.shape(tensor, self.name)

    def product(self) -> tuple[Node, int]:
        """Make the graph node of a matrix product.

        Returns:
            The node, and the dimension of its result's channels.

        Raises:
            ValueError: It has three dimensions, or more operands than two.
        """
        try:
            if 'Conv' in self.op:
                return self._convolution(), 1
            out = self.shape(self.output)
            if self.op in ('LSTM', 'GRU', 'RNN'):
                return self._recurrent(out), len(out) - 1
            if self.op == 'Einsum':
                inner = self._summed()
                left = self.shape(self.inputs[self.main or 0])
            else:
                left = self.shape(self.inputs[0])
                if self.attribute('transA', 0):
                    left = left[::-1]
                inner = left[-1]
        except ValueError as error:
            raise self.error(str(error)) from error
        node = node_kinds.product(
            self.name, left, out or (1,), inner=inner, biased=self._biased()
        )
        return node, max(len(out) - 1, 0)

    def error(self, reason: str) -> ValueError:
        """An error that names file and node, once."""
        start = f'{self.network.path}: '
        if reason.startswith(start):
            return ValueError(reason)
        return ValueError(f'{start}node {self.name!r}: {reason}')

    def _biased(self) -> bool:
        place = BIAS.get(self.op, len(self.node.input))
        return any(self.node.input[place : place + 1])

    def _convolution(self) -> Node:
        source, weight = (self.shape(name) for name in self.inputs[:2])
        return node_kinds.convolution(
            self.name,
            source,
            weight,
            self.shape(self.output),
            strides=self.attribute('strides', [1]),
            groups=self.attribute('group', 1),
            transposed=self.op == 'ConvTranspose',
            biased=self._biased(),
        )

    def _recurrent(self, out: tuple[int, ...]) -> Node:
        """One product for all gates, steps and directions, over input and state."""
        source, weight, state = (self.shape(name) for name in self.inputs[:3])
        per_step = math.prod(weight) + math.prod(state)
        last, channels = len(source) - 1, len(out) - 1
        return Node(
            'matmul',
            self.name,
            resolution(source, last, out, channels),
            shape=(weight[2] + state[2], weight[0] * weight[1], 0, 0),
            biased=self._biased(),
            macs=source[0] * source[1] * per_step,
        )

    def _summed(self) -> int:
        """Length over which an Einsum of two operands sums their products."""
        text = self.attribute('equation', b'').decode().replace(' ', '')
        terms, arrow, result = text.partition('->')
        parts = terms.replace('...', '.').split(',')
        if len(parts) != 2:
            raise ValueError(f'Einsum {text!r} of {len(parts)} operands is not counted')
        if not arrow:
            result = ''.join(one for one in terms if terms.count(one) == 1)
        length, sizes = 1, self.shape(self.inputs[0])
        for letter in set(parts[0]) & set(parts[1]) - set(result) - {'.'}:
            place = parts[0].index(letter)
            # Behind an ellipsis they are counted from the end.
            behind = '.' in parts[0][:place]
            length *= sizes[place - len(parts[0]) if behind else place]
        return length
