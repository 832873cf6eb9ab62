# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Recording of the operators of a running network as nodes of a graph."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode

from hpml_mm.predictor.graphs import node_kinds
from hpml_mm.predictor.graphs.builder import GraphBuilder, Value, merged
from hpml_mm.predictor.graphs.graph import Graph, Node
from hpml_mm.predictor.graphs.layout import axis_after, default_axis

from .modules import ModulePaths
from .ops import (
    CONSTANTS,
    LABELS,
    MERGES,
    MOVEMENTS,
    PICTURES,
    SAME_SHAPE,
    UNCOUNTED,
    plain_name,
)
from .values import Values

_PRODUCTS = frozenset({'mm', 'addmm', 'bmm', 'baddbmm'})
_DEFORMABLE = 'deform_conv2d'  # of torchvision
_GATES = frozenset({'sigmoid', 'hardsigmoid'})
# Their result does not depend on what they overwrite.
_OVERWRITES = frozenset({'copy', 'fill', 'zero'})
# Numbers at most in a tensor of sizes.
_SIZES = 64
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
        """Run an operator and record it."""
        self.running = func
        kwargs = kwargs or {}
        out = _known(func, args)
        if out is None:
            # A network's own tensors are not written to.
            sizes = not _operator(func)[1] and _are_sizes([*args, *kwargs.values()])
            with unset_fake_temporarily() if sizes else nullcontext():
                out = func(*args, **kwargs)
        outputs = list(_tensors([out]))
        if outputs:
            self._record(func, args, list(_tensors([*args, *kwargs.values()])), outputs)
        self.running = None
        return out

    def finish(self, outputs: Iterable[Tensor]) -> Graph:
        """Make the graph of the recorded nodes, with one 'output' node.

        Args:
            outputs: Outputs of the network.

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
        known = op == _DEFORMABLE or func.namespace in _NAMESPACES
        known = known and op not in UNCOUNTED
        if main is not None and not known:
            raise ValueError('what it costs is not known')
        value = self._node(call, outputs[0])
        for tensor in outputs:
            self._values.set(tensor, value or _passed(call, tensor))
        if writes and isinstance(args[0], Tensor):
            self._values.write(args[0], self._values.get(outputs[0]))

    def _node(self, call: _Call, out: Tensor) -> Value | None:
        """Add a node for a call and return its value; None if it has no node."""
        if call.op in ('convolution', _DEFORMABLE):
            node, axis = self._convolution(call, out), 1
        elif call.op in _PRODUCTS:
            left, biased = call.args[-2].shape, len(call.args) == 3
            node = node_kinds.product(
                self._name('matmul'), left, out.shape, inner=left[-1], biased=biased
            )
            axis = out.dim() - 1
        elif call.main is None or _says_nothing(call) or self._is_bias(call):
            return None
        elif gate := self._gate(call):
            return gate
        else:
            if call.op in _GATES:
                self._gates[id(out)] = id(call.inputs[call.main])
            name = self._name(LABELS.get(call.op, call.op))
            node, axis = _regular(name, call, call.main, out)
        return self._builder.add(node, call.values, axis)

    def _convolution(self, call: _Call, out: Tensor) -> Node:
        source, weight, bias = call.args[:3]
        if call.op == _DEFORMABLE:
            # Without a bias it adds zeros.
            bias, *stride = call.args[4:7]
            groups, transposed = call.args[11], False
            bias = bias if self._values.get(bias).weights else None
        else:
            stride, transposed, groups = call.args[3], call.args[6], call.args[8]
        return node_kinds.convolution(
            self._name('conv'),
            source.shape,
            weight.shape,
            out.shape,
            strides=stride,
            groups=groups,
            transposed=transposed,
            biased=bias is not None,
        )

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
        computed = [value for value in call.values if value.sources]
        return (
            call.op == 'add'
            and len(computed) == 1
            and self._builder.merge_bias(computed[0], call.values)
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
    """Result of a simple operator, made without PyTorch; None for other operators.

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


def _are_sizes(arguments: Iterable[Any]) -> bool:
    """Find calls on a few whole numbers that are known, as the sizes of maps are."""
    tensors = list(_tensors(arguments))
    return bool(tensors) and all(
        type(tensor) is Tensor
        and tensor.dtype in (torch.int64, torch.bool)
        and tensor.numel() <= _SIZES
        for tensor in tensors
    )


def _says_nothing(call: _Call) -> bool:
    """Find calls that get no node of their own."""
    if call.func.is_view:
        return True
    if call.op in MOVEMENTS or call.op in _OVERWRITES:
        return True
    if call.op == 'constant_pad_nd' and not any(call.args[1]):
        return True
    if LABELS.get(call.op) not in MERGES or _is_zero(call):
        return False
    computed = [value for value in call.values if value.sources]
    return len(computed) == 1 and not any(
        value.weights for value in call.values if not value.sources
    )


def _regular(name: str, call: _Call, main: int, out: Tensor) -> tuple[Node, int]:
    """Make the node of any other operator, and find the channels of its result."""
    source, before = call.inputs[main].shape, call.values[main].axis
    if call.op in PICTURES:
        before = after = min(1, out.dim() - 1)
    elif call.op == 'native_layer_norm':
        before = after = out.dim() - 1
    else:
        after = axis_after(call.op, call.args, source, before, out.shape)
    label = 'zero' if _is_zero(call) else LABELS.get(call.op, 'OOV')
    strides: Sequence[int] = (1, 1)
    if call.op.startswith(('max_pool', 'avg_pool')):
        # Without a stride of its own, a pool moves by its kernel.
        given = call.args[2:3]
        strides = given[0] if given and given[0] else call.args[1]
    node = node_kinds.regular(name, label, source, before, out.shape, after, strides)
    return node, after


def _is_zero(call: _Call) -> bool:
    """Find products with the number 0, as in NAS-Bench-201's 'none'."""
    return call.op == 'mul' and any(
        isinstance(factor, int | float) and factor == 0 for factor in call.args[1:]
    )


def _passed(call: _Call, out: Tensor) -> Value:
    """Follow a result that has no node of its own to its origin."""
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
