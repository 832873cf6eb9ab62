# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Metrics and their pure arithmetic."""

from .fer_metric import FERMetric
from .pck_metric import KeypointPCK

__all__ = ['FERMetric', 'KeypointPCK']
