# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Models that predict a network's score from its graph."""

from hpml_mm.predictor.models.ada_proxy import AdaProxyRegressor
from hpml_mm.predictor.models.adapters import KAdapterRegressor
from hpml_mm.predictor.models.encoders import GraphConvEncoder, ResidualEncoder
from hpml_mm.predictor.models.ensembles import EnsembleRegressor
from hpml_mm.predictor.models.graph_batch import GraphBatch
from hpml_mm.predictor.models.heads import AIOPHead, SkipHead
from hpml_mm.predictor.models.regressor import GraphRegressor, ScoreModel

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
