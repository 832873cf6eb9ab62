# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""One class for each inference engine that runs INT8 models."""

from collections.abc import Mapping

from .base import Backend
from .onnxruntime import OnnxRuntime
from .openvino import OpenVino
from .pytorch import PyTorch

#: The backends by the name that settings and commands use.
BACKENDS: Mapping[str, type[Backend]] = {
    each.name: each for each in (OnnxRuntime, OpenVino, PyTorch)
}


def backend_class(name: str) -> type[Backend]:
    """Look up a backend.

    Raises:
        ValueError: If there is none of this name.
    """
    if name not in BACKENDS:
        raise ValueError(f'backend {name!r} is unknown: use {", ".join(BACKENDS)}')
    return BACKENDS[name]
