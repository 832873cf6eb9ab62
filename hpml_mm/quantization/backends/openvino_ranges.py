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

from hpml_mm.compat import keep_signal_stack, require
from hpml_mm.quantization.rounding import PIECE, Range, activation_grid, widen_

EXTRA = 'openvino'
#: A tensor: the name of the operation that gives it, and which of its outputs it is.
Source = tuple[str, int]
#: Operations that give values which they take: NNCF rounds before them.
MOVING = (
    *('AdaptiveMaxPool', 'BatchToSpace', 'Broadcast', 'ConvertLike', 'DepthToSpace'),
    *('Gather', 'GatherElements', 'GatherND', 'Interpolate', 'MaxPool', 'Pad'),
    *('ReduceMax', 'Reshape', 'ShuffleChannels', 'Slice', 'SpaceToBatch'),
    *('SpaceToDepth', 'Split', 'Squeeze', 'StridedSlice', 'Tile', 'Transpose'),
    *('Unsqueeze', 'VariadicSplit'),
)
# As these, of more than one tensor.
_JOINING = (
    *('Concat', 'Maximum', 'Minimum', 'ScatterElementsUpdate', 'ScatterNDUpdate'),
    'ScatterUpdate',
)


def activation_rounding(model: Any) -> dict[Source, list[Any]]:
    """FakeQuantize operations of activations, by the tensor that they round.

    There are several of one tensor where something else needs it as it is: NNCF then
    rounds before each use, not once for all.
    """
    found: dict[Source, list[Any]] = {}
    for operation in model.get_ordered_ops():
        if operation.get_type_name() != 'FakeQuantize':
            continue
        value = operation.input_value(0)
        if value.get_node().get_type_name() not in ('Constant', 'Convert'):
            source = value.get_node().get_friendly_name(), value.get_index()
            found.setdefault(source, []).append(operation)
    return found


def observe(
    model: Any, sources: Iterable[Source], batches: Sequence[Tensor], percentile: float
) -> dict[Source, Range]:
    """Extremes of the percentiles of pieces of the batches, for each tensor.

    Args:
        model: In FP32; it gets more outputs.
        sources: The tensors.
        batches: Images of shape (N, C, H, W).
        percentile: Percentage of a tensor's values within its range.
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
                widen_(ranges, source, found[index], percentile)
    return ranges


def set_ranges_(model: Any, ranges: Mapping[Source, Range]) -> None:
    """Set the ranges of the operations that round activations, in place.

    What is concatenated for a layer must have one scale, and NNCF gives it one range:
    it shares one here too, the widest. So does what is rounded, moved (as by nearest
    neighbours) and rounded again, which changes nothing then. Sums share none, and
    ranges that happen to be equal say nothing: all saturated ReLU6 end at 6.

    Args:
        model: As NNCF has quantized it.
        ranges: Ranges of all tensors that it rounds.
    """
    sources = {
        operation.get_friendly_name(): (source, operation)
        for source, operations in activation_rounding(model).items()
        for operation in operations
    }
    for names in _sharing(model, list(sources)):
        low = min(ranges[sources[name][0]][0] for name in names)
        high = max(ranges[sources[name][0]][1] for name in names)
        for name in names:
            _set_range(sources[name][1], low, high)


def _sharing(model: Any, names: Sequence[str]) -> list[set[str]]:
    """Groups of rounding operations that must share one range, by name.

    NNCF shares only where a layer with weights takes what was concatenated: that its
    ranges are equal tells it from a concatenation without such a layer.
    """
    groups = {name: {name} for name in names}
    for operation in model.get_ordered_ops():
        if operation.get_type_name() not in ('Concat', 'FakeQuantize'):
            continue
        equal: dict[tuple[bytes, ...], set[str]] = {}
        for rounding in (operation, *_rounding_before(operation)):
            name = rounding.get_friendly_name()
            if name not in groups:  # the concatenation, or of a weight
                continue
            bounds = (rounding.input_value(i).get_node() for i in (1, 2))
            key = tuple(bound.data.tobytes() for bound in bounds)
            equal.setdefault(key, set()).add(name)
        for found in equal.values():
            # A tensor may be in several concatenations, which all share then.
            together = set().union(*(groups[name] for name in found))
            groups.update(dict.fromkeys(together, together))
    return list({id(group): group for group in groups.values()}.values())


def _rounding_before(operation: Any) -> list[Any]:
    """The operations that round what it takes, maybe before that was moved."""
    found, seen, waiting = [], set(), [operation]
    while waiting:
        node = waiting.pop()
        for value in node.input_values():
            before = value.get_node()
            kind, name = before.get_type_name(), before.get_friendly_name()
            if name in seen:
                continue
            seen.add(name)
            if kind == 'FakeQuantize':
                found.append(before)
            elif kind in MOVING or kind in _JOINING:
                waiting.append(before)
    return found


def _set_range(operation: Any, low: float, high: float) -> None:
    opset = require('openvino.opset13', EXTRA)
    levels = operation.get_attributes()['levels'] - 1
    scale, zero_point = activation_grid(low, high)
    bounds = -zero_point * scale, (levels - zero_point) * scale
    for index, bound in zip((1, 2, 3, 4), bounds * 2, strict=True):
        shape = operation.input_value(index).get_shape()
        constant = opset.constant(np.full(shape, bound, np.float32))
        operation.input(index).replace_source_output(constant.output(0))
