# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Graph neural networks that predict a network's score."""

from .encoders import GraphConvEncoder, GraphEncoder, ResidualEncoder
from .readout import AIOPHead, SkipHead
from .regressor import GraphRegressor, ScoreModel, TargetScalingHook

__all__ = [
    'AIOPHead',
    'GraphConvEncoder',
    'GraphEncoder',
    'GraphRegressor',
    'ResidualEncoder',
    'ScoreModel',
    'SkipHead',
    'TargetScalingHook',
]
