# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Stand-ins for what an installed OpenMMLab package lacks, and checks of it."""

from .extras import has_mmpose, require
from .mmcv_ops import install_mmcv_ops
from .mmpose_numpy import let_mmpose_read_bfloat16
from .versions import check_packages

__all__ = [
    'check_packages',
    'has_mmpose',
    'install_mmcv_ops',
    'let_mmpose_read_bfloat16',
    'require',
]
