# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""PyTorch's dynamic quantization: INT8 weights, ranges of activations in each call.

It needs no calibration and was made for linear layers. It is here to be compared.
"""

import copy
import warnings
from collections.abc import Sequence

import torch
from torch import nn

from hpml_mm.quantization.coverage import (
    ASKED_FOR,
    Coverage,
    module_coverage,
    require_converted,
)
from hpml_mm.quantization.layers import weighted_layers

_REMEDY = (
    'dynamic quantization of PyTorch converts linear and recurrent layers only; use '
    "method 'ptq' for convolutions"
)


def dynamic_torch(
    network: nn.Module, keep: Sequence[str] = ()
) -> tuple[nn.Module, Coverage]:
    """PyTorch's eager dynamic quantization, asked for linear layers and convolutions.

    Args:
        network: Stays as it is.
        keep: Names of layers that stay in FP32.

    Returns:
        The converted network, on the CPU, and what became of its layers.

    Raises:
        NothingConverted: It has no linear layer: convolutions are passed over without
            a word, whatever is asked for.
    """
    network = copy.deepcopy(network).cpu().eval()
    wanted = {nn.Linear, nn.Conv2d}
    if keep:
        names = [name for name in weighted_layers(network) if name not in keep]
        wanted = dict.fromkeys(names, torch.ao.quantization.default_dynamic_qconfig)
    with warnings.catch_warnings():
        # It is deprecated, and here because others have used it.
        warnings.simplefilter('ignore', DeprecationWarning)
        converted = torch.ao.quantization.quantize_dynamic(
            network, wanted, dtype=torch.qint8
        )
    reasons = dict.fromkeys(keep, ASKED_FOR)
    coverage = module_coverage(network, converted, reasons)
    return converted, require_converted(coverage, _REMEDY)
