# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Transforms that MMCV, MMPretrain and MMPose lack."""

from .albumentation import Albumentation
from .load_face import LoadFace

__all__ = ['Albumentation', 'LoadFace']
