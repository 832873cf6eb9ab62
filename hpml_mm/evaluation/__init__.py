# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Metrics of faces, poses and maps, and their arithmetic."""

from hpml_mm.compat import has_mmpose

from .confusion_counter import ConfusionCounter
from .fer_metric import FERMetric
from .mean_iou import MeanIoU

if has_mmpose():
    from .heatmap_pck import HeatmapPCK
    from .pck_metric import KeypointPCK

__all__ = ['ConfusionCounter', 'FERMetric', 'HeatmapPCK', 'KeypointPCK', 'MeanIoU']
