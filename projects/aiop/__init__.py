# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""AIO-P's protocol: predictors compared on published tables, adapters, AdaProxy.

``custom_imports = dict(imports=['projects.aiop'])`` in a config registers the models.
"""

from .ada_proxy import AdaProxyRegressor
from .adapters import KAdapterRegressor
from .ensembles import EnsembleRegressor

__all__ = ['AdaProxyRegressor', 'EnsembleRegressor', 'KAdapterRegressor']
