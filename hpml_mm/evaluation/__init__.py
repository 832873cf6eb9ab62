# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Metrics of faces and poses, and their arithmetic."""

from hpml_mm.compat import has_mmpose

from .confusion_counter import ConfusionCounter
from .fer_metric import FERMetric

if has_mmpose():
    from .pck_metric import KeypointPCK

__all__ = ['ConfusionCounter', 'FERMetric', 'KeypointPCK']
