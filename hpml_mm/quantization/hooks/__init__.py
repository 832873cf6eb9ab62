# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Hooks that quantize during or after a training."""

from .ptq_hook import PTQHook
from .qat_hook import QATHook

__all__ = ['PTQHook', 'QATHook']
