# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Turn the operators of a running network into nodes, as they come."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from hpml_mm.predictor.graphs.builder import GraphBuilder, Value, merged
from hpml_mm.predictor.graphs.graph import Graph
from hpml_mm.predictor.graphs.layout import axis_after, default_axis

from . import nodes as trace_nodes
from .modules import ModulePaths
from .ops import CONSTANTS, LABELS, MERGES, MOVEMENTS, SAME_SHAPE, UNCOUNTED, plain_name
from .values import Values

_GATES = frozenset({'sigmoid', 'hardsigmoid'})
# Their result does not depend on what they overwrite.
_OVERWRITES = frozenset({'copy', 'fill', 'zero'})
# What PyTorch itself brings; the cost of others' operators cannot be known.
_NAMESPACES = frozenset({'aten', 'prim', 'prims'})


@dataclasses.dataclass(frozen=True)
class _Call:
    """An operator that has run.

    Attributes:
        op: Its plain name.
        inputs: The tensors that its result depends on, with their values.
        main: Position in ``inputs`` of the first one that was computed from the
            network's input; None if there is none.
    """

    func: Any
    op: str
    args: tuple
    inputs: list[Tensor]
    values: list[Value]
    main: int | None


class Recorder(TorchDispatchMode):
    """Records each operator that runs while it is the active mode.

    Attributes:
        running: The operator that is being run, or that failed; None between them.
    """

    def __init__(
        self, weights: Sequence[nn.Parameter], paths: ModulePaths, source: Tensor
    ) -> None:
        super().__init__()
        self.running: Any = None
        self._paths = paths
        self._values = Values(list(weights))
        # The tensor of which each sigmoid was taken, by identity: all are kept alive.
        self._gates: dict[int, int] = {}
        axis = default_axis(source.shape)
        sizes = [weight.numel() for weight in weights]
        self._builder = GraphBuilder(sizes, source.shape, axis)
        self._values.set(source, Value(frozenset([0]), axis=axis))

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run an operator, and note what it did."""
        self.running = func
        kwargs = kwargs or {}
        out = _known(func, args)
        if out is None:
            out = func(*args, **kwargs)
        outputs = list(_tensors([out]))
        if outputs:
            self._record(func, args, list(_tensors([*args, *kwargs.values()])), outputs)
        self.running = None
        return out

    def finish(self, outputs: Iterable[Tensor]) -> Graph:
        """The graph of what was recorded, closed by one 'output' node.

        Args:
            outputs: What the network returned.

        Raises:
            ValueError: Nothing that it returned depends on its input.
        """
        return self._builder.close(
            [(tensor.shape, self._values.get(tensor)) for tensor in outputs]
        )

    def _record(
        self, func: Any, args: tuple, inputs: list[Tensor], outputs: list[Tensor]
    ) -> None:
        op, writes = _operator(func)
        if op in CONSTANTS:
            inputs = []
        elif writes and op in _OVERWRITES:
            inputs = [tensor for tensor in inputs if tensor is not args[0]]
        values = [self._values.get(tensor) for tensor in inputs]
        main = next((i for i, value in enumerate(values) if value.sources), None)
        call = _Call(func, op, args, inputs, values, main)
        known = func.namespace in _NAMESPACES and op not in UNCOUNTED
        if main is not None and not known:
            raise ValueError('what it costs is not known')
        value = self._node(call, outputs[0])
        for tensor in outputs:
            self._values.set(tensor, value or _passed(call, tensor))
        if writes and isinstance(args[0], Tensor):
            self._values.write(args[0], self._values.get(outputs[0]))

    def _node(self, call: _Call, out: Tensor) -> Value | None:
        """Add a node for a call, and say where its result comes from; None without."""
        if call.op == 'convolution':
            node = trace_nodes.convolution(self._name('conv'), call.args, out)
            axis = 1
        elif call.op in trace_nodes.PRODUCTS:
            node = trace_nodes.product(self._name('matmul'), call.args, out)
            axis = out.dim() - 1
        elif _says_nothing(call) or self._is_bias(call):
            return None
        else:
            if gate := self._gate(call):
                return gate
            source, before = call.inputs[call.main], call.values[call.main].axis
            if call.op in _GATES:
                self._gates[id(out)] = id(source)
            name = self._name(LABELS.get(call.op, call.op))
            node, axis = trace_nodes.regular(
                name, call.op, call.args, source, before, out
            )
        return self._builder.add(node, call.values, axis)

    def _gate(self, call: _Call) -> Value | None:
        """The activation that a product closes: x times sigmoid(x)."""
        if call.op != 'mul' or len(call.inputs) != 2:
            return None
        for gate, data in ((0, 1), (1, 0)):
            same = self._gates.get(id(call.inputs[gate])) == id(call.inputs[data])
            pair = call.values[gate], call.values[data]
            if same and self._builder.merge_gate(*pair):
                return pair[0]
        return None

    def _is_bias(self, call: _Call) -> bool:
        data = call.values[call.main]
        return (
            call.op == 'add'
            and sum(bool(value.sources) for value in call.values) == 1
            and self._builder.merge_bias(data, call.values)
        )

    def _name(self, op: str) -> str:
        return self._paths.node_name(op)


@functools.cache
def _operator(func: Any) -> tuple[str, bool]:
    """Plain name of an operator, and whether it writes into its first argument."""
    schema = func._schema
    alias = schema.arguments[0].alias_info if schema.arguments else None
    return plain_name(schema.name), alias is not None and alias.is_write


def _known(func: Any, args: tuple) -> Tensor | tuple[Tensor, ...] | None:
    """What an operator gives, if it is plain; None if PyTorch has to find out.

    PyTorch finds the shape of a batch normalisation by taking it apart, which takes
    longer than all the rest of a small block.
    """
    op, writes = _operator(func)
    if op not in SAME_SHAPE or writes or not args[0].is_floating_point():
        return None
    out = torch.empty_like(args[0])
    if op != 'native_batch_norm':
        return out
    # It saves no statistics unless it trains.
    return None if args[5] else (out, out.new_empty(0), out.new_empty(0))


def _says_nothing(call: _Call) -> bool:
    """Whether a call gets no node of its own."""
    if call.main is None or call.func.is_view:
        return True
    if call.op in MOVEMENTS or call.op in _OVERWRITES:
        return True
    if call.op == 'constant_pad_nd' and not any(call.args[1]):
        return True
    if LABELS.get(call.op) not in MERGES or trace_nodes.is_zero(call.op, call.args):
        return False
    computed = [value for value in call.values if value.sources]
    return len(computed) == 1 and not any(
        value.weights for value in call.values if not value.sources
    )


def _passed(call: _Call, out: Tensor) -> Value:
    """Where a result comes from that has no node of its own."""
    axis = default_axis(out.shape)
    if call.main is not None:
        before, known = call.inputs[call.main].shape, call.values[call.main].axis
        axis = axis_after(call.op, call.args, before, known, out.shape)
    return dataclasses.replace(merged(call.values), axis=axis)


def _tensors(values: Iterable[Any]) -> Iterable[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
