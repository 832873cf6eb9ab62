# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Models that predict a network's score from its graph."""

from .ada_proxy import AdaProxyRegressor
from .adapters import KAdapterRegressor
from .encoders import GraphConvEncoder, ResidualEncoder
from .ensembles import EnsembleRegressor
from .graph_batch import GraphBatch
from .heads import AIOPHead, SkipHead
from .regressor import GraphRegressor, ScoreModel

__all__ = [
    'AIOPHead',
    'AdaProxyRegressor',
    'EnsembleRegressor',
    'GraphBatch',
    'GraphConvEncoder',
    'GraphRegressor',
    'KAdapterRegressor',
    'ResidualEncoder',
    'ScoreModel',
    'SkipHead',
]
