# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Ranges of an ONNX model's activations, observed on real images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from torch import Tensor

from hpml_mm.compat import require
from hpml_mm.quantization.rounding import PERCENTILES, PIECE, Range, widen_

from .base import NAIVE, silent
from .qdq_graph import INT8_OPERATORS, before_clipping, before_swish

# swish(-6) is -.015: less than one of 256 levels of what comes out of most layers.
_SWISH_LOW = -6.0


def write_ranges(
    model_path: Path, batches: Sequence[Tensor], ranges: str, path: Path
) -> None:
    """Observe all activations and write their ranges as ONNX Runtime reads them.

    What goes into ``x * sigmoid(x)`` only is cut off below -6, as nothing but a zero
    comes out for it. Such tensors reach far below zero (BatchNorm centres them), and
    with the whole of their range the few levels that matter would be wide: this is
    what EfficientNet collapses by, together with depthwise weights of a single scale.

    Args:
        model_path: The FP32 model, with the shapes of its tensors.
        batches: Images of shape (N, C, H, W).
        ranges: Extremes (``minmax``), the histogram's cut with the least
            Kullback-Leibler divergence (``entropy``), one of
            :data:`~hpml_mm.quantization.rounding.PERCENTILES`, or
            :data:`~hpml_mm.quantization.backends.base.NAIVE`.
        path: File to write.
    """
    calibrate = require('onnxruntime.quantization.calibrate')
    methods = calibrate.CalibrationMethod
    extremes = {'minmax': methods.MinMax, NAIVE: methods.MinMax}
    calibrator = calibrate.create_calibrator(
        model_path,
        list(INT8_OPERATORS),
        augmented_model_path=str(path.with_name('augmented.onnx')),
        calibrate_method={**extremes, 'entropy': methods.Entropy}.get(
            ranges, methods.Percentile
        ),
    )
    name = calibrator.infer_session.get_inputs()[0].name
    pieces = [{name: part.numpy()} for batch in batches for part in batch.split(PIECE)]
    graph = require('onnx').load(model_path, load_external_data=False).graph
    if ranges in PERCENTILES:
        same = before_clipping(graph)
        found = _percentiles(calibrate, calibrator, pieces, PERCENTILES[ranges], same)
    else:
        with silent():
            for piece in pieces:
                reader = SimpleNamespace(get_next=iter([piece, None]).__next__)
                calibrator.collect_data(reader)
            found = calibrator.compute_data()
    for tensor in before_swish(graph) if ranges != NAIVE else ():
        if tensor in found:
            low = found[tensor].lowest
            found[tensor].lowest = low.clip(min=low.dtype.type(_SWISH_LOW))
    calibrate.save_tensors_data(found, path)


def _percentiles(
    calibrate: Any,
    calibrator: Any,
    pieces: Sequence[dict[str, np.ndarray]],
    percentile: float,
    same: Mapping[str, str],
) -> Any:
    """Extremes of the percentiles of all pieces.

    ONNX Runtime would sort every value into a histogram, which takes ten times as long
    as running the network.

    Args:
        calibrate: ONNX Runtime's module.
        calibrator: Calibrator of the model.
        pieces: Inputs, by the name of the input.
        percentile: Percentage of the values within a range.
        same: Tensors that have the range of another one, which is observed instead.
    """
    session = calibrator.infer_session
    wanted = set(calibrator.tensors_to_calibrate)
    same = {name: other for name, other in same.items() if {name, other} <= wanted}
    names = sorted(wanted - same.keys())
    ranges: dict[str, Range] = {}
    for piece in pieces:
        for name, values in zip(names, session.run(names, piece), strict=True):
            widen_(ranges, name, values, percentile)
    data = {
        name: calibrate.TensorData(lowest=np.float32(low), highest=np.float32(high))
        for name, (low, high) in ranges.items()
    }
    for name in sorted(same):
        last = name
        while last in same:
            last = same[last]
        data[name] = data[last]
    return calibrate.TensorsData(calibrate.CalibrationMethod.Percentile, data)
