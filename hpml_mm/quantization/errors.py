# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Errors of quantization that callers may want to tell from others."""


class NothingConverted(ValueError):
    """A conversion ran through and left every layer in FP32.

    Attributes:
        layers: How many there are.
    """

    def __init__(self, message: str, layers: int) -> None:
        super().__init__(message)
        self.layers = layers
