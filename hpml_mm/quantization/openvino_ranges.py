# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Ranges of an OpenVINO model's activations, observed on real images.

NNCF would hold all activations of a batch, copy them, and sort each of them twice, for
every conversion anew. With HRNet-W32 and 32 images that is 6 GB, and nearly all of the
time goes into memory that has to be fetched. Here they are observed once, a few images
at a time, in memory that is used again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from hpml_mm.compat.extras import require
from hpml_mm.compat.signal_stack import keep_signal_stack

from .grid import activation_grid
from .onnx_ranges import PIECE, ends

EXTRA = 'openvino'
#: A tensor: the name of the operation that gives it, and which of its outputs it is.
Source = tuple[str, int]
Range = tuple[float, float]


def activation_rounding(model: Any) -> dict[Source, Any]:
    """The operations that round activations, by the tensor that they round."""
    found = {}
    for operation in model.get_ordered_ops():
        if operation.get_type_name() != 'FakeQuantize':
            continue
        value = operation.input_value(0)
        if value.get_node().get_type_name() not in ('Constant', 'Convert'):
            found[value.get_node().get_friendly_name(), value.get_index()] = operation
    return found


def observe(
    model: Any, sources: Iterable[Source], batches: Sequence[Tensor], percentile: float
) -> dict[Source, Range]:
    """Extremes of the percentiles of pieces of the batches, for each tensor.

    Args:
        model: In FP32; it gets more outputs.
        sources: The tensors.
        batches: Images of shape (N, C, H, W).
        percentile: How many of a tensor's values are within its range, in percent.
    """
    openvino = require('openvino', EXTRA)
    sources = list(sources)
    nodes = {node.get_friendly_name(): node for node in model.get_ordered_ops()}
    # What is an input or an output already could not be told from the new ones.
    model = openvino.Model(
        [nodes[name].output(index) for name, index in sources],
        model.get_parameters(),
    )
    settings = {'INFERENCE_PRECISION_HINT': 'f32'}
    ranges: dict[Source, Range] = {}
    with keep_signal_stack():
        request = (
            openvino.Core().compile_model(model, 'CPU', settings).create_infer_request()
        )
        for piece in (part for batch in batches for part in batch.split(PIECE)):
            found = request.infer(
                [piece.numpy()], share_inputs=True, share_outputs=True
            )
            for index, source in enumerate(sources):
                low, high = (float(end) for end in ends(found[index], percentile))
                before = ranges.get(source, (low, high))
                ranges[source] = min(low, before[0]), max(high, before[1])
    return ranges


def set_ranges_(model: Any, ranges: Mapping[Source, Range]) -> None:
    """Give the operations that round activations these ranges, in place.

    Where several had one range from NNCF, as before a concatenation, they share one
    here too: the widest.

    Args:
        model: As NNCF has quantized it.
        ranges: Of all tensors that it rounds.
    """
    shared: dict[tuple[bytes, bytes], list[Source]] = {}
    rounding = activation_rounding(model)
    for source, operation in rounding.items():
        bounds = (operation.input_value(i).get_node().data.tobytes() for i in (1, 2))
        shared.setdefault(tuple(bounds), []).append(source)
    for sources in shared.values():
        low = min(ranges[source][0] for source in sources)
        high = max(ranges[source][1] for source in sources)
        for source in sources:
            _set_range(rounding[source], low, high)


def _set_range(operation: Any, low: float, high: float) -> None:
    opset = require('openvino.opset13', EXTRA)
    levels = operation.get_attributes()['levels'] - 1
    scale, zero_point = activation_grid(low, high)
    bounds = -zero_point * scale, (levels - zero_point) * scale
    for index, bound in zip((1, 2, 3, 4), bounds * 2, strict=True):
        shape = operation.input_value(index).get_shape()
        constant = opset.constant(np.full(shape, bound, np.float32))
        operation.input(index).replace_source_output(constant.output(0))
