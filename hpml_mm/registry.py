# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Child registries of MMEngine's, one for each kind of component here.

``locations`` makes ``type='hpml_mm.ThroughputHook'`` resolve without
``custom_imports``. An import error in this file is swallowed by MMEngine and
surfaces as "not in the registry", so it imports nothing but MMEngine.
"""

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import PARAM_SCHEDULERS as MMENGINE_PARAM_SCHEDULERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

HOOKS = Registry(
    'hook',
    parent=MMENGINE_HOOKS,
    scope='hpml_mm',
    locations=[
        'hpml_mm.engine.hooks',
        'hpml_mm.visualization.hooks',
        'hpml_mm.quantization.hooks',
        'hpml_mm.predictor.gnn',
    ],
)
OPTIM_WRAPPERS = Registry(
    'optimizer_wrapper',
    parent=MMENGINE_OPTIM_WRAPPERS,
    scope='hpml_mm',
    locations=['hpml_mm.engine.amp'],
)
PARAM_SCHEDULERS = Registry(
    'parameter scheduler',
    parent=MMENGINE_PARAM_SCHEDULERS,
    scope='hpml_mm',
    locations=['hpml_mm.engine.schedulers'],
)
DATASETS = Registry(
    'dataset',
    parent=MMENGINE_DATASETS,
    scope='hpml_mm',
    locations=['hpml_mm.datasets', 'hpml_mm.predictor.data.graph_dataset'],
)
DATA_SAMPLERS = Registry(
    'data sampler',
    parent=MMENGINE_DATA_SAMPLERS,
    scope='hpml_mm',
    locations=['hpml_mm.datasets'],
)
FUNCTIONS = Registry(
    'function',
    parent=MMENGINE_FUNCTIONS,
    scope='hpml_mm',
    locations=['hpml_mm.datasets'],
)
TRANSFORMS = Registry(
    'transform',
    parent=MMENGINE_TRANSFORMS,
    scope='hpml_mm',
    locations=['hpml_mm.datasets.transforms'],
)
MODELS = Registry(
    'model',
    parent=MMENGINE_MODELS,
    scope='hpml_mm',
    locations=[
        'hpml_mm.models',
        'hpml_mm.predictor.gnn',
        'hpml_mm.predictor.spaces.ofa_net',
    ],
)
METRICS = Registry(
    'metric',
    parent=MMENGINE_METRICS,
    scope='hpml_mm',
    locations=['hpml_mm.evaluation', 'hpml_mm.predictor.metrics'],
)
