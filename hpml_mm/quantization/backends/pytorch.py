# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""PyTorch's dynamic quantization: INT8 weights, ranges of activations in each call.

It needs no calibration and was made for linear layers. It is here to be compared.
"""

import copy
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hpml_mm.deploy.engines import EagerEngine
from hpml_mm.quantization.coverage import Coverage, LayerCoverage, require_converted
from hpml_mm.quantization.rounding import weighted_layers

from .base import Backend, Quantized


class PyTorch(Backend):
    """Eager dynamic quantization, asked for linear layers and convolutions.

    Convolutions are passed over without a word, whatever is asked for. BatchNorm is not
    folded, and nothing is written.
    """

    name = 'torch'
    methods = ('dynamic',)
    remedy = (
        'dynamic quantization of PyTorch converts linear and recurrent layers only; '
        "use method 'ptq' of another backend for convolutions"
    )

    def prepare(self, folded: nn.Module | None) -> None:
        """Nothing: BatchNorm stays, and ranges are found in each call."""

    def convert(
        self, keep: Sequence[str] | Mapping[str, str] = (), out: Path | None = None
    ) -> Quantized:
        """Quantize a copy on the CPU; see :class:`Backend`."""
        reasons = self.reasons_of(keep)
        network = copy.deepcopy(self.network).cpu().eval()
        wanted: Any = {nn.Linear, nn.Conv2d}
        if reasons:
            names = [name for name in self.layers if name not in reasons]
            wanted = dict.fromkeys(names, torch.ao.quantization.default_dynamic_qconfig)
        with warnings.catch_warnings():
            # It is deprecated, and here because others have used it.
            warnings.simplefilter('ignore', DeprecationWarning)
            converted = torch.ao.quantization.quantize_dynamic(
                network, wanted, dtype=torch.qint8
            )
        coverage = require_converted(
            _coverage(network, converted, reasons), self.remedy
        )
        return Quantized(EagerEngine(converted), coverage)

    def fp32_engine(self, path: Path, reference: nn.Module | None = None) -> None:
        """Eager PyTorch itself."""
        return


def _coverage(
    network: nn.Module, converted: nn.Module, reasons: Mapping[str, str]
) -> Coverage:
    modules, layers = dict(converted.named_modules()), []
    for name, layer in weighted_layers(network).items():
        why_not = f'PyTorch has no dynamic INT8 {type(layer).__name__}'
        quantized = '.quantized.' in type(modules[name]).__module__
        reason = None if quantized else reasons.get(name, why_not)
        layers.append(LayerCoverage(name, reason))
    return Coverage(tuple(layers))
