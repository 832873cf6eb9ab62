# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Measured, fast and comparable training for MMEngine, MMPretrain and MMPose."""

from .version import __version__

__all__ = ['__version__']
