# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Hooks that draw."""

from hpml_mm.compat import has_mmpose

from .confusion_matrix_hook import ConfusionMatrixHook

if has_mmpose():
    from .pose_sheet_hook import PoseSheetHook

__all__ = ['ConfusionMatrixHook', 'PoseSheetHook']
