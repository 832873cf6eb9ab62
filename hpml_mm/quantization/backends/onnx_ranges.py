# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Ranges of an ONNX model's activations, observed on real images."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from hpml_mm.compat import require

from .onnx_graph import INT8_OPERATORS, before_clipping, before_swish

if TYPE_CHECKING:
    from onnx import ModelProto

#: Parts of an activation's values, in percent, that are within its range; half of the
#: others are cut off at each end. Fewer outliers make finer levels: with 99.9
#: classifiers with swish gain, and the peaks of heatmaps are cut off.
PERCENTILES = {'percentile': 99.99, 'percentile-99.9': 99.9}
#: Without any care, to compare: extremes, swish not cut off, one scale for a whole
#: weight, and gates in INT8 too.
NAIVE = 'naive'
RANGES = (*PERCENTILES, 'entropy', 'minmax', NAIVE)
# swish(-6) is -.015: less than one of 256 levels of what comes out of most layers.
_SWISH_LOW = -6.0
#: So many images are looked at together: all their activations are held at once.
PIECE = 8
# So many values of an activation of theirs.
_SAMPLE = 400_000


def check_ranges(ranges: str, known: Sequence[str] = RANGES) -> None:
    """Refuse a way to find ranges that is not there.

    Raises:
        ValueError: It is none of the known.
    """
    if ranges not in known:
        raise ValueError(f'ranges {ranges!r} are unknown: use {", ".join(known)}')


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
            Kullback-Leibler divergence (``entropy``), one of :data:`PERCENTILES`, or
            :data:`NAIVE`.
        path: Where to.
    """
    calibrate = require('onnxruntime.quantization.calibrate')
    onnx = require('onnx')
    methods = calibrate.CalibrationMethod
    extremes = {'minmax': methods.MinMax, NAIVE: methods.MinMax}
    method = {**extremes, 'entropy': methods.Entropy}.get(ranges, methods.Percentile)
    calibrator = calibrate.create_calibrator(
        model_path,
        list(INT8_OPERATORS),
        augmented_model_path=str(path.with_name('augmented.onnx')),
        calibrate_method=method,
    )
    name = calibrator.infer_session.get_inputs()[0].name
    pieces = [{name: part.numpy()} for batch in batches for part in batch.split(PIECE)]
    model = onnx.load(model_path, load_external_data=False)
    if ranges in PERCENTILES:
        clipped = before_clipping(model.graph)
        found = _percentiles(
            calibrate, calibrator, pieces, PERCENTILES[ranges], clipped
        )
    else:
        with silent():
            for piece in pieces:
                calibrator.collect_data(_reader(calibrate, piece))
            found = calibrator.compute_data()
    if ranges != NAIVE:
        _cut_before_swish(model, found)
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
        calibrator: Of the model.
        pieces: Inputs, by the name of the input.
        percentile: How many values are within a range.
        same: Tensors that have the range of another one, which is looked at instead.
    """
    session = calibrator.infer_session
    wanted = set(calibrator.tensors_to_calibrate)
    same = {name: other for name, other in same.items() if {name, other} <= wanted}
    names = sorted(wanted - same.keys())
    ranges: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for piece in pieces:
        for name, values in zip(names, session.run(names, piece), strict=True):
            low, high = ends(values, percentile)
            before = ranges.get(name, (low, high))
            ranges[name] = np.minimum(low, before[0]), np.maximum(high, before[1])
    data = {
        name: calibrate.TensorData(lowest=low, highest=high)
        for name, (low, high) in ranges.items()
    }
    for name in sorted(same):
        last = name
        while last in same:
            last = same[last]
        data[name] = data[last]
    return calibrate.TensorsData(calibrate.CalibrationMethod.Percentile, data)


def ends(values: np.ndarray, percentile: float) -> tuple[np.ndarray, np.ndarray]:
    """The ends of a range that holds so many percent of the values.

    Args:
        values: Of any shape; of many, some are taken at regular distances.
        percentile: How many; 100 for all of them.
    """
    if percentile == 100:
        return values.min(), values.max()
    values = values.ravel()[:: -(-values.size // _SAMPLE)]
    last = values.size - 1
    beyond = round(values.size * (1 - percentile / 100) / 2)
    ordered = np.partition(values, (beyond, last - beyond))
    return np.asarray(ordered[beyond]), np.asarray(ordered[last - beyond])


def _cut_before_swish(model: ModelProto, found: Any) -> None:
    for name in before_swish(model.graph):
        if name in found:
            low = found[name].lowest
            found[name].lowest = low.clip(min=low.dtype.type(_SWISH_LOW))


def _reader(calibrate: Any, piece: dict[str, np.ndarray]) -> Any:
    """ONNX Runtime's reader of one batch."""

    class Reader(calibrate.CalibrationDataReader):
        def __init__(self) -> None:
            self._left = [piece]

        def get_next(self) -> dict | None:
            return self._left.pop() if self._left else None

    return Reader()


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Calibrators print what they do, a line for each batch."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
