# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Static and dynamic INT8 models for ONNX Runtime."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from hpml_mm.compat import require
from hpml_mm.deploy.engines import OnnxEngine
from hpml_mm.deploy.onnx_names import WEIGHTED
from hpml_mm.quantization.coverage import Coverage, LayerCoverage
from hpml_mm.quantization.rounding import PERCENTILES

from .base import NAIVE, FileBackend, needs_reduced_range
from .onnx_ranges import write_ranges
from .qdq_graph import (
    INT8_OPERATORS,
    executed_operations,
    layers_of,
    qdq_coverage,
    with_activations,
)
from .subpixel import can_replace, replace_deconvolutions_

if TYPE_CHECKING:
    from onnx import ModelProto


class OnnxRuntime(FileBackend):
    """QDQ models of ONNX Runtime.

    Weights get a scale for each output channel, symmetric about zero, but for naive
    ranges; activations one scale and zero point for a tensor. Ways to find ranges are
    explained in :func:`~hpml_mm.quantization.backends.onnx_ranges.write_ranges`.
    """

    name = 'onnxruntime'
    methods = ('ptq', 'qat', 'dynamic')
    known_ranges = (*PERCENTILES, 'entropy', 'minmax', NAIVE)
    suffixes = ('.onnx',)
    engine = OnnxEngine

    def adapt(self, folded: nn.Module) -> nn.Module:
        """Make ordinary convolutions of transposed ones, of which it has no INT8."""
        if any(map(can_replace, folded.modules())):
            folded = copy.deepcopy(folded)
            replace_deconvolutions_(folded)
        return folded

    def calibrate(self, modules: Mapping[str, str]) -> None:
        """Write the ranges as ONNX Runtime reads them."""
        self._prepared = self.folder / 'prepared.onnx'
        self._model = _prepare(self.fp32, self._prepared)
        self._nodes = layers_of(self._model, modules)
        self._ranges = self.folder / 'ranges.json'
        if self.ranges:
            write_ranges(self._prepared, self.batches, self.ranges, self._ranges)

    def write(self, path: Path, keep: Mapping[str, str]) -> Coverage:
        """Write a model, and read from it what was converted."""
        kept = [node for node, name in self._nodes.items() if name in keep]
        if not self.ranges:
            return self._write_dynamic(path, kept, keep)
        calibrate = require('onnxruntime.quantization.calibrate')
        ort = require('onnxruntime.quantization')
        ort.quantize_static(
            self._model,
            path,
            calibration_cache_path=self._ranges,
            quant_format=ort.QuantFormat.QDQ,
            op_types_to_quantize=list(INT8_OPERATORS),
            per_channel=self.ranges != NAIVE,
            reduce_range=needs_reduced_range(),
            activation_type=ort.QuantType.QUInt8,
            weight_type=ort.QuantType.QInt8,
            nodes_to_exclude=with_activations(self._model.graph, kept),
            # The cache must be asked for by the method that it was made with.
            calibrate_method=calibrate.load_tensors_data(
                self._ranges
            ).calibration_method,
            # It can give floats, and a classifier's logits need not be rounded.
            extra_options={'OpTypesToExcludeOutputQuantization': ['Gemm']},
        )
        model = require('onnx').load(path)
        return qdq_coverage(model, self._nodes, keep, executed_operations(path))

    def _write_dynamic(
        self, path: Path, kept: list[str], keep: Mapping[str, str]
    ) -> Coverage:
        """Write a model whose activations get their ranges anew in each call."""
        ort = require('onnxruntime.quantization')
        ort.quantize_dynamic(
            self._prepared,
            path,
            op_types_to_quantize=['Conv', 'MatMul', 'Gemm'],
            # ONNX Runtime has no ConvInteger of signed weights on a CPU.
            weight_type=ort.QuantType.QUInt8,
            nodes_to_exclude=kept,
        )
        graph = require('onnx').load(path).graph
        left = {node.name for node in graph.node if node.op_type in WEIGHTED}
        kinds = {node.name: node.op_type for node in self._model.graph.node}
        found = []
        for node, name in self._nodes.items():
            reason = keep.get(name, f'no dynamic INT8 {kinds[node]}')
            found.append(LayerCoverage(name, reason if node in left else None))
        return Coverage(tuple(found), executed_operations(path))


def _prepare(model_path: Path, path: Path) -> ModelProto:
    """Write the model with the shapes of all tensors, as ONNX Runtime wants it."""
    onnx = require('onnx')
    shapes = require('onnxruntime.quantization.shape_inference')
    model = onnx.load(model_path)
    # PyTorch notes the shapes of weights as well. They would be wrong as soon as a
    # weight is transposed, which ONNX Runtime does.
    weights = {weight.name for weight in model.graph.initializer}
    noted = [value for value in model.graph.value_info if value.name not in weights]
    del model.graph.value_info[:]
    model.graph.value_info.extend(noted)
    # Its optimizer would fuse and rename; the graph is folded and plain as it is.
    shapes.quant_pre_process(
        model, path, skip_optimization=True, skip_symbolic_shape=True
    )
    return onnx.load(path)
