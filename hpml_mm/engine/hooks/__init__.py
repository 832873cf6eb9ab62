# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Hooks for any MMEngine runner."""

from .confusion_matrix_hook import ConfusionMatrixHook

__all__ = ['ConfusionMatrixHook']
