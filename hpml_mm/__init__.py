# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Measured, fast and comparable training for MMEngine, MMPretrain and MMPose."""

from .compat import (
    MENDS,
    install_mends,
    install_mmcv_ops,
    install_panopticapi,
    install_xtcocotools,
)
from .version import __version__

__all__ = ['__version__']

# The one piece of work at import: mmpose looks for MMCV's compiled ops when it is
# imported, so whoever names hpml_mm in a config needs them answered by then. The mends
# wait for their modules, and nothing is imported for them.
install_mmcv_ops()
install_xtcocotools()
install_panopticapi()
install_mends(MENDS)
