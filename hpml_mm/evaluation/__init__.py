# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Metrics and their pure arithmetic."""

from .fer_metric import FERMetric

__all__ = ['FERMetric']
