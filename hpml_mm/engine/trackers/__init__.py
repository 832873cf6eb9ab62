# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Names, steps, runs and pictures that experiment trackers get of a training."""

from .prepare import prepare_trackers
from .run import trained_iters

__all__ = ['prepare_trackers', 'trained_iters']
