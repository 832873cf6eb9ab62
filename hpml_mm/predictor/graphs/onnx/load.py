# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""ONNX files with the shapes of all tensors, for one image."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from hpml_mm.compat import require
from hpml_mm.utils.file_kind import why_unreadable
from hpml_mm.utils.messages import shortened

from .branches import CONTROL, drop_unused_, take_branches_
from .constants import drop_weights_, fold_numbers_, is_weight, store_constants_

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, ValueInfoProto

# Older ones broadcast by an attribute.
_FIRST_OPSET = 7
_OWN = ('', 'ai.onnx')
# Operators that ONNX defines by others, among them products that must be counted.
_DEFINED = ('Attention', 'LinearAttention', 'CausalConvWithState', 'AffineGrid')


class OnnxNetwork:
    """A file's graph, read for a batch of one, without what never runs.

    Functions of the file are written out, branches that are always taken replace their
    ``If``, and sizes that are computed are constants.

    Args:
        path: The file. Weights that it keeps in another file are not read.

    Attributes:
        graph: Its ``GraphProto``.
        source: Name of its only input.
        outputs: Names of the tensors that it returns, constants among them.
        weights: Number of elements of each constant that may be a parameter.
        filled: Names of those of which the file holds shape and value alone.
        copies: True if a copy of a weight stands for one that was equal to it.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no ONNX file, is inconsistent, or lacks a fixed shape.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        model = _load(path)
        self._opset = _opset(model, path)
        # Before all else: protobuf copies no more than 2 GB.
        drop_weights_(model.graph)
        model = _written_out(model, path)
        drop_weights_(model.graph)
        self.copies = model.producer_name == 'pytorch'
        # Before this version, initializers had to be inputs as well.
        model.ir_version = max(model.ir_version, 4)
        self.graph = model.graph
        self.source = _fix_input(model.graph, path)
        self.outputs = [output.name for output in model.graph.output]
        # What the file notes of shapes was written for another batch. Outputs too: that
        # of a weight which is returned as well would stand for what the weight says.
        del model.graph.value_info[:], model.graph.output[:]
        self.weights: dict[str, int] = {}
        self.filled: set[str] = set()
        self._shapes = self._settle(model)

    def shape(self, tensor: str, node: str) -> tuple[int, ...]:
        """Shape of a tensor.

        Args:
            tensor: Its name.
            node: Who needs it, for the error.

        Raises:
            ValueError: The file does not say, nor does it follow from its input.
        """
        dims = self._shapes.get(tensor)
        if dims is None or None in dims:
            known = 'of no known shape' if dims is None else f'of shape {_text(dims)}'
            raise ValueError(
                f'{self.path}: tensor {tensor!r} at node {node!r} is {known}; only the '
                'batch may be dynamic, so export the network for one image size'
            )
        return dims

    def _settle(self, model: ModelProto) -> dict[str, tuple | None]:
        """Remove what never runs, and infer the shapes of the rest."""
        graph, changed, folded = model.graph, True, set[str]()
        # A number that is worked out may tell the shape on which the next one depends.
        while changed:
            drop_unused_(graph, self.outputs)
            try:
                self.filled |= store_constants_(graph, self._opset, folded)
            except ValueError as error:
                raise ValueError(f'{self.path}: {error}') from error
            self.weights = {
                tensor.name: math.prod(tensor.dims)
                for tensor in graph.initializer
                if is_weight(tensor) and tensor.name not in folded
            }
            self._check_order()
            shapes = _inferred(model, self.path)
            new = fold_numbers_(graph, shapes, self.weights, self._opset)
            folded |= new
            changed = take_branches_(graph) or bool(new)
        for node in graph.node:
            if node.op_type in CONTROL:
                name = node.name or next(filter(None, node.output))
                raise ValueError(
                    f'{self.path}: the cost of operator {node.op_type} of node '
                    f'{name!r} cannot be counted: what it runs, or how often, is not '
                    'in the file'
                )
        return shapes

    def _check_order(self) -> None:
        """Refuse a node that reads what no constant and no node before it gives."""
        known = {self.source, ''} | {tensor.name for tensor in self.graph.initializer}
        for node in self.graph.node:
            if missing := sorted(set(node.input) - known):
                name = node.name or next(filter(None, node.output))
                raise ValueError(
                    f'{self.path}: node {name!r} reads {missing[0]!r}, which nothing '
                    'before it gives'
                )
            known |= set(node.output)


def _load(path: str | Path) -> ModelProto:
    onnx = require('onnx')
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: there is no such ONNX file')
    # A damaged file can end anywhere within, in an error of protobuf or of Unicode.
    try:
        model = onnx.load(str(path), format='protobuf', load_external_data=False)
    except Exception as error:
        reason = why_unreadable(path, 'it is none, or truncated', ('onnx',))
        raise ValueError(f'{path} cannot be read as ONNX: {reason}') from error
    if not model.graph.node:
        reason = why_unreadable(path, 'it has no nodes', ('onnx',))
        raise ValueError(f'{path} cannot be read as ONNX: {reason}')
    return model


def _opset(model: ModelProto, path: str | Path) -> int:
    """Version of ONNX's own operators."""
    own = [each.version for each in model.opset_import if each.domain in _OWN]
    (version,) = own or [1]
    newest = require('onnx').defs.onnx_opset_version()
    if not _FIRST_OPSET <= version <= newest:
        remedy = 'export it again' if version < newest else 'update the package onnx'
        raise ValueError(
            f'{path} is of opset {version}; from {_FIRST_OPSET} to {newest} they are '
            f'read: {remedy}'
        )
    return version


def _written_out(model: ModelProto, path: str | Path) -> ModelProto:
    """Replace calls of the file's functions, and of some of ONNX's, by their nodes."""
    onnx, inliner = require('onnx'), require('onnx.inliner')
    try:
        if model.functions:
            model = inliner.inline_local_functions(model, convert_version=True)
        if any(node.op_type in _DEFINED for node in model.graph.node):
            # How ONNX defines them depends on the types of what they take.
            model = onnx.shape_inference.infer_shapes(model)
            model.graph.value_info.extend(
                onnx.helper.make_tensor_value_info(one.name, one.data_type, one.dims)
                for one in model.graph.initializer
            )
            names = [('', name) for name in _DEFINED]
            model = inliner.inline_selected_functions(
                model, names, inline_schema_functions=True
            )
    except RuntimeError as error:  # of its C++ code
        reason = shortened(str(error).strip().splitlines()[-1])
        raise ValueError(f'{path}: its functions cannot be read: {reason}') from error
    return model


def _fix_input(graph: GraphProto, path: str | Path) -> str:
    """Set the batch to 1, and make sure that the rest is fixed."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise ValueError(
            f'{path} has {len(inputs)} inputs; a graph is that of a network with one'
        )
    # Of newer files, an initializer that is listed as an input could be replaced.
    del graph.input[:]
    graph.input.extend(inputs)
    (source,) = graph.input
    # Old exporters write 0 for a batch of any size.
    dims = tuple(dim or None for dim in _dims(source) or ())
    if not dims or None in dims[1:]:
        known = _text(dims) if dims else 'unknown'
        raise ValueError(
            f'{path}: the shape of input {source.name!r} is {known}; only the batch '
            'may be dynamic, so export the network for one image size'
        )
    if dims[0] not in (None, 1):
        raise ValueError(
            f'{path}: input {source.name!r} is a batch of {dims[0]}; export the '
            'network for a dynamic batch or for one image'
        )
    source.type.tensor_type.shape.dim[0].dim_value = 1
    return source.name


def _inferred(model: ModelProto, path: str | Path) -> dict[str, tuple | None]:
    """Shapes by tensor; None for one, or a dimension of one, that is not known."""
    onnx = require('onnx')
    # A branch that is not taken may well be wrong.
    strict = all(node.op_type not in CONTROL for node in model.graph.node)
    try:
        graph = onnx.shape_inference.infer_shapes(
            model, strict_mode=strict, data_prop=True
        ).graph
    except onnx.shape_inference.InferenceError as error:
        reason = shortened(str(error).strip().splitlines()[-1])
        raise ValueError(f'{path}: the shapes do not fit together: {reason}') from error
    shapes = {value.name: _dims(value) for value in (*graph.input, *graph.value_info)}
    return shapes | {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}


def _dims(value: ValueInfoProto) -> tuple | None:
    tensor = value.type.tensor_type
    if not tensor.HasField('shape'):
        return None
    return tuple(
        dim.dim_value if dim.HasField('dim_value') and dim.dim_value >= 0 else None
        for dim in tensor.shape.dim
    )


def _text(dims: tuple) -> str:
    return f'({", ".join("?" if dim is None else str(dim) for dim in dims)})'
