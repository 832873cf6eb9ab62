# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""ONNX files with the shapes of all tensors, for one image."""

from __future__ import annotations

import math
from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING

from hpml_mm.compat import require

from .constants import drop_weights_, fold_numbers_

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, ValueInfoProto

_WEIGHT_TYPES = ('FLOAT', 'FLOAT16', 'BFLOAT16', 'DOUBLE', 'INT8', 'UINT8', 'INT32')


class OnnxNetwork:
    """A file's graph, read for a batch of one.

    Args:
        path: The file. Weights that it keeps in another file are not read.

    Attributes:
        graph: Its ``GraphProto``.
        source: Name of its only input.
        outputs: Names of the tensors that it returns, constants among them.
        weights: Number of elements of each initializer that may be a parameter.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no ONNX file, is inconsistent, or lacks a fixed shape.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        model = _load(path)
        self.graph = model.graph
        self.source = _fix_input(model.graph, path)
        self.outputs = [output.name for output in model.graph.output]
        drop_weights_(model.graph)
        types = [require('onnx').TensorProto.DataType.Value(t) for t in _WEIGHT_TYPES]
        self.weights = {
            tensor.name: math.prod(tensor.dims)
            for tensor in self.graph.initializer
            if tensor.data_type in types and tensor.dims
        }
        self._shapes = _inferred(model, path, self.weights)

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


def _load(path: str | Path) -> ModelProto:
    onnx = require('onnx')
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: there is no such ONNX file')
    # A damaged file can end anywhere within, in an error of protobuf or of Unicode.
    try:
        model = onnx.load(str(path), format='protobuf', load_external_data=False)
    except Exception as error:
        raise ValueError(f'{path} is no ONNX file, or a damaged one') from error
    if not model.graph.node:
        raise ValueError(f'{path} is no ONNX file, or one without a single node')
    return model


def _fix_input(graph: GraphProto, path: str | Path) -> str:
    """Set the batch to 1, and make sure that the rest is fixed."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise ValueError(
            f'{path} has {len(inputs)} inputs; a graph is that of a network with one'
        )
    (source,) = inputs
    dims = _dims(source)
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


def _inferred(
    model: ModelProto, path: str | Path, weights: Container[str]
) -> dict[str, tuple | None]:
    """Shapes by tensor; None for one, or a dimension of one, that is not known."""
    onnx = require('onnx')
    # What the file notes of them was written for another batch. Outputs too: that of a
    # weight which is returned as well would stand for what the weight itself says.
    del model.graph.value_info[:], model.graph.output[:]
    shapes: dict[str, tuple | None] = {}
    # A number that is worked out may tell the shape on which the next one depends.
    while fold_numbers_(model.graph, shapes, weights) or not shapes:
        try:
            graph = onnx.shape_inference.infer_shapes(
                model, strict_mode=True, data_prop=True
            ).graph
        except onnx.shape_inference.InferenceError as error:
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(
                f'{path}: the shapes do not fit together: {reason}'
            ) from error
        values = (*graph.input, *graph.value_info)
        shapes = {value.name: _dims(value) for value in values}
        shapes |= {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    return shapes


def _dims(value: ValueInfoProto) -> tuple | None:
    tensor = value.type.tensor_type
    if not tensor.HasField('shape'):
        return None
    return tuple(
        dim.dim_value if dim.HasField('dim_value') and dim.dim_value > 0 else None
        for dim in tensor.shape.dim
    )


def _text(dims: tuple) -> str:
    return f'({", ".join("?" if dim is None else str(dim) for dim in dims)})'
