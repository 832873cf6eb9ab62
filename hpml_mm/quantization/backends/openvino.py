# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Static INT8 models for OpenVINO, through NNCF."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from hpml_mm.compat import keep_signal_stack, require
from hpml_mm.deploy.engines import OpenVinoEngine
from hpml_mm.deploy.spec import METADATA_KEY
from hpml_mm.quantization.coverage import Coverage, LayerCoverage
from hpml_mm.quantization.rounding import PERCENTILES, PIECE, Range

from .base import FileBackend, needs_reduced_range, silent
from .openvino_ranges import (
    EXTRA,
    MOVING,
    Source,
    activation_rounding,
    observe,
    set_ranges_,
)

_WEIGHTED = (
    *('Convolution', 'GroupConvolution', 'ConvolutionBackpropData'),
    *('GroupConvolutionBackpropData', 'MatMul'),
)
# Between a weight and its use.
_ON_WEIGHTS = ('Convert', 'FakeQuantize', 'Multiply', 'Reshape', 'Subtract')


class OpenVino(FileBackend):
    """Models of OpenVINO.

    NNCF decides what is rounded where. Ranges are observed here, once however many
    conversions follow, but for ``histogram``, which is NNCF's own: the cut with the
    least squared error. It has no entropy.
    """

    name = 'openvino'
    methods = ('ptq', 'qat')
    known_ranges = (*PERCENTILES, 'histogram', 'minmax')
    suffixes = ('.xml', '.bin')
    extras = ('openvino', 'nncf')
    engine = OpenVinoEngine

    def calibrate(self, modules: Mapping[str, str]) -> None:
        """Find the layers; ranges are observed when NNCF has said which."""
        self._openvino = require('openvino', EXTRA)
        self._nncf = require('nncf', EXTRA)
        self._observed: dict[Source, Range] = {}
        names = [each.get_friendly_name() for each in _weighted(self._read())]
        # OpenVINO takes a node of ONNX apart into a product and a sum.
        nodes = {name: name.removesuffix('/WithoutBiases') for name in names}
        self._nodes = {name: modules.get(node, node) for name, node in nodes.items()}

    def write(self, path: Path, keep: Mapping[str, str]) -> Coverage:
        """Write ``path`` and a ``.bin`` beside it, with the description in it."""
        ignored = [name for name, module in self._nodes.items() if module in keep]
        if len(ignored) == len(self._nodes):  # NNCF has an error of its own for it
            model = self._read()
        else:
            model = self._quantized(ignored)
        model.set_rt_info(self.spec.to_json(), [METADATA_KEY])
        self._openvino.save_model(model, str(path), compress_to_fp16=False)
        return self._coverage(model, keep)

    def _read(self) -> Any:
        """Read the model, without the operations that compute shapes.

        There are eight for each bias, most of what NNCF would search for patterns.
        """
        passes = require('openvino.passes', EXTRA)
        model = self._openvino.Core().read_model(str(self.fp32))
        manager = passes.Manager()
        manager.register_pass(passes.ConstantFolding())
        manager.run_passes(model)
        for operation in _weighted(model):
            # Of a transposed convolution, the sum with the bias has the node's name.
            if 'Backprop' in operation.get_type_name():
                for use in operation.output(0).get_target_inputs():
                    if use.get_node().get_type_name() == 'Add':
                        name = use.get_node().get_friendly_name()
                        operation.set_friendly_name(f'{name}/WithoutBiases')
        return model

    def _quantized(self, ignored: list[str]) -> Any:
        if self.ranges == 'histogram':
            pieces = [part for batch in self.batches for part in batch.split(PIECE)]
            return self._placed(ignored, pieces)
        model = self._placed(ignored, [self.batches[0][:2]])
        missing = activation_rounding(model).keys() - self._observed.keys()
        if missing:
            percentile = PERCENTILES.get(self.ranges, 100.0)
            self._observed |= observe(self._read(), missing, self.batches, percentile)
        set_ranges_(model, self._observed)
        return model

    def _placed(self, ignored: list[str], pieces: Sequence[Tensor]) -> Any:
        """Model with NNCF's rounding operations and their ranges of a few images."""
        nncf = self._nncf
        logging.getLogger('nncf').setLevel(logging.ERROR)
        overflow = nncf.quantization.advanced_parameters.OverflowFix
        known = require('nncf.quantization.range_estimator', EXTRA)
        kinds = known.RangeEstimatorParametersSet
        histogram = self.ranges == 'histogram'
        advanced = nncf.AdvancedQuantizationParameters(
            overflow_fix=overflow.ENABLE if needs_reduced_range() else overflow.DISABLE,
            activations_range_estimator_params=(
                kinds.HISTOGRAM if histogram else kinds.MINMAX
            ),
            # It would correct for ranges that are not those of the end.
            disable_bias_correction=True,
        )
        with silent(), keep_signal_stack():
            return nncf.quantize(
                self._read(),
                nncf.Dataset([piece.numpy() for piece in pieces]),
                # Weights symmetric, activations with a zero point.
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=len(pieces),
                ignored_scope=nncf.IgnoredScope(names=ignored),
                advanced_parameters=advanced,
            )

    def _coverage(self, model: Any, keep: Mapping[str, str]) -> Coverage:
        found = []
        for operation in _weighted(model):
            name = operation.get_friendly_name()
            module = self._nodes.get(name, name)
            weight = 'FakeQuantize' in _weight(operation)
            rounded = weight and _is_rounded(operation.input_value(0))
            reason = None if rounded else keep.get(module, 'NNCF left it out')
            found.append(LayerCoverage(module, reason))
        counts = Counter(op.get_type_name() for op in model.get_ordered_ops())
        return Coverage(tuple(found), dict(sorted(counts.items())))


def _weighted(model: Any) -> list[Any]:
    """Operations with a constant as their second operand, in an order to run them."""
    return [
        operation
        for operation in model.get_ordered_ops()
        if operation.get_type_name() in _WEIGHTED
        and _weight(operation)[-1] == 'Constant'
    ]


def _weight(operation: Any) -> list[str]:
    """Kinds of operations that a weight comes through, from where it is used."""
    node = operation.input_value(1).get_node()
    kinds = [node.get_type_name()]
    while kinds[-1] in _ON_WEIGHTS:
        node = node.input_value(0).get_node()
        kinds.append(node.get_type_name())
    if kinds[-1] == 'Constant' and node.get_element_type().to_string() in ('i8', 'u8'):
        kinds.insert(0, 'FakeQuantize')  # and applied already
    return kinds


def _is_rounded(value: Any) -> bool:
    """True if an activation is rounded, maybe before it was moved to where it is."""
    node = value.get_node()
    kind = node.get_type_name()
    if kind == 'Concat':
        return all(
            _is_rounded(node.input_value(i)) for i in range(node.get_input_size())
        )
    if kind in MOVING:
        return _is_rounded(node.input_value(0))
    return kind == 'FakeQuantize'
