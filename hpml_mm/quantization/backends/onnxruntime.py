# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Static and dynamic INT8 models for ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from torch import Tensor

from hpml_mm.compat import require
from hpml_mm.quantization.coverage import Coverage, LayerCoverage, require_converted

from .cpu_features import needs_reduced_range
from .onnx_graph import (
    INT8_OPERATORS,
    WEIGHTED,
    executed_operations,
    layers_of,
    qdq_coverage,
    with_activations,
)
from .onnx_ranges import NAIVE, check_ranges, write_ranges

if TYPE_CHECKING:
    from onnx import ModelProto

_REMEDY = 'keep fewer layers in FP32, or use another backend'


class OnnxPTQ:
    """Turns an FP32 ONNX model into INT8 ones.

    Weights get a scale for each output channel, symmetric about zero, but for naive
    ranges; activations one scale and zero point for a tensor. Layers are left out by
    their module's name. Ranges are observed once, however many conversions follow.

    Args:
        model_path: The FP32 model.
        modules: Module names by node name, as of :func:`hpml_mm.deploy.node_modules`.
        batches: Images for calibration, of shape (N, C, H, W).
        ranges: How ranges of activations are found, see
            :func:`~hpml_mm.quantization.backends.onnx_ranges.write_ranges`.

    Raises:
        ImportError: ONNX Runtime is not installed.
        ValueError: The ranges are unknown.
    """

    def __init__(
        self,
        model_path: Path,
        modules: Mapping[str, str],
        batches: Sequence[Tensor],
        ranges: str = 'percentile',
    ) -> None:
        check_ranges(ranges)
        self._per_channel = ranges != NAIVE
        self._folder = TemporaryDirectory(prefix='hpml_mm-ptq-')
        folder = Path(self._folder.name)
        prepared = folder / 'prepared.onnx'
        self._model = _prepare(model_path, prepared)
        self._ranges = folder / 'ranges.json'
        write_ranges(prepared, batches, ranges, self._ranges)
        self._layers = layers_of(self._model, modules)

    @property
    def layers(self) -> list[str]:
        """Module names of all layers with weights."""
        return list(self._layers.values())

    def convert(self, path: Path, keep: Mapping[str, str] | None = None) -> Coverage:
        """Write an INT8 model.

        Args:
            path: Where to; overwritten.
            keep: Why a layer stays in FP32, by its module's name.

        Raises:
            NothingConverted: No layer is INT8; nothing is left at ``path``.
        """
        onnx = require('onnx')
        ort = require('onnxruntime.quantization')
        keep = dict(keep or {})
        nodes = [node for node, name in self._layers.items() if name in keep]
        ort.quantize_static(
            self._model,
            path,
            calibration_cache_path=self._ranges,
            quant_format=ort.QuantFormat.QDQ,
            op_types_to_quantize=list(INT8_OPERATORS),
            per_channel=self._per_channel,
            reduce_range=needs_reduced_range(),
            activation_type=ort.QuantType.QUInt8,
            weight_type=ort.QuantType.QInt8,
            nodes_to_exclude=with_activations(self._model.graph, nodes),
            calibrate_method=self._method(ort),
            # It can give floats, and a classifier's logits need not be rounded.
            extra_options={'OpTypesToExcludeOutputQuantization': ['Gemm']},
        )
        coverage = qdq_coverage(
            onnx.load(path), self._layers, keep, executed_operations(path)
        )
        return _required(coverage, path)

    def _method(self, ort: object) -> object:
        """The cache must be asked for by the method that it was made with."""
        calibrate = require('onnxruntime.quantization.calibrate')
        return calibrate.load_tensors_data(self._ranges).calibration_method


def dynamic_onnx(
    model_path: Path,
    path: Path,
    modules: Mapping[str, str],
    keep: Mapping[str, str] | None = None,
) -> Coverage:
    """Write a model whose activations get their ranges anew in each call.

    Args:
        model_path: The FP32 model.
        path: Where to; overwritten.
        modules: Module names by node name.
        keep: Why a layer stays in FP32, by its module's name.

    Raises:
        NothingConverted: No layer is INT8; nothing is left at ``path``.
    """
    onnx = require('onnx')
    ort = require('onnxruntime.quantization')
    keep = dict(keep or {})
    with TemporaryDirectory() as folder:
        prepared = Path(folder, 'prepared.onnx')
        model = _prepare(model_path, prepared)
        layers = layers_of(model, modules)
        ort.quantize_dynamic(
            prepared,
            path,
            op_types_to_quantize=['Conv', 'MatMul', 'Gemm'],
            # ONNX Runtime has no ConvInteger of signed weights on a CPU.
            weight_type=ort.QuantType.QUInt8,
            nodes_to_exclude=[node for node, name in layers.items() if name in keep],
        )
    left = {
        node.name for node in onnx.load(path).graph.node if node.op_type in WEIGHTED
    }
    kinds = {node.name: node.op_type for node in model.graph.node}
    found = tuple(
        LayerCoverage(
            name,
            kinds[node],
            keep.get(name, f'no dynamic INT8 {kinds[node]}') if node in left else None,
        )
        for node, name in layers.items()
    )
    return _required(Coverage(found, executed_operations(path)), path)


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


def _required(coverage: Coverage, path: Path) -> Coverage:
    if not coverage.converted:
        path.unlink(missing_ok=True)
    return require_converted(coverage, _REMEDY)
