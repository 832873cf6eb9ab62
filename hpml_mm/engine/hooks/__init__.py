# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Hooks for any MMEngine runner."""

from hpml_mm.compat import has_mmpose

from .amp_hook import AmpHook
from .checkpoint_hook import CheckpointHook
from .class_weight_hook import ClassWeightHook
from .data_load_ratio_hook import DataLoadRatioHook
from .divergence_hook import DivergenceHook
from .energy_hook import EnergyHook
from .graceful_stop_hook import GracefulStopHook
from .load_from_hook import LoadFromHook
from .monitored_metric_hook import MonitoredMetricHook
from .progress_hook import ProgressHook
from .pruning_hook import PruningHook
from .resume_hook import ResumeHook
from .runtime_info_hook import RuntimeInfoHook
from .sample_seed_hook import SampleSeedHook
from .screen_hook import ScreenHook
from .speed_hook import SpeedHook
from .summary_hook import SummaryHook
from .throughput_hook import ThroughputHook
from .torch_profiler_hook import TorchProfilerHook

if has_mmpose():
    from .fast_pose_input_hook import FastPoseInputHook

__all__ = [
    'AmpHook',
    'CheckpointHook',
    'ClassWeightHook',
    'DataLoadRatioHook',
    'DivergenceHook',
    'EnergyHook',
    'FastPoseInputHook',
    'GracefulStopHook',
    'LoadFromHook',
    'MonitoredMetricHook',
    'ProgressHook',
    'PruningHook',
    'ResumeHook',
    'RuntimeInfoHook',
    'SampleSeedHook',
    'ScreenHook',
    'SpeedHook',
    'SummaryHook',
    'ThroughputHook',
    'TorchProfilerHook',
]
