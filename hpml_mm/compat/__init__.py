# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Compatibility with installed OpenMMLab packages: checks, stand-ins, workarounds."""

from .import_hooks import install_mends
from .mends import MENDS
from .mmcv_ops import install_mmcv_ops
from .packages import PackagesError, check_packages, has_mmpose, require
from .panopticapi import install_panopticapi
from .workarounds import keep_signal_stack, let_mmpose_read_bfloat16
from .xtcocotools import install_xtcocotools

__all__ = [
    'MENDS',
    'PackagesError',
    'check_packages',
    'has_mmpose',
    'install_mends',
    'install_mmcv_ops',
    'install_panopticapi',
    'install_xtcocotools',
    'keep_signal_stack',
    'let_mmpose_read_bfloat16',
    'require',
]
