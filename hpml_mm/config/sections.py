# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Keys that each part of a config may hold, read from MMEngine's signatures.

Only what MMEngine takes out of a dict by hand, before a signature sees it, is
written down here by name.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch.distributed
from mmengine import registry as reg
from mmengine.config import Config
from mmengine.dist import init_dist
from mmengine.evaluator import Evaluator
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.model import (
    ExponentialMovingAverage,
    MomentumAnnealingEMA,
    StochasticWeightAverage,
)
from mmengine.registry import Registry
from mmengine.runner import (
    EpochBasedTrainLoop,
    IterBasedTrainLoop,
    LogProcessor,
    Runner,
    TestLoop,
    ValLoop,
)
from mmengine.utils.dl_utils import set_multi_processing
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.utils.data import DataLoader

from .signature import accepted


@dataclass(frozen=True)
class Section:
    """A part of a config that a registry builds.

    Attributes:
        registry: MMEngine's root registry of such parts.
        extra: Keys taken out before the class sees them.
        default: The class where ``type`` is absent, or a function of the dict
            that gives it.
        certain: True if ``registry`` builds every dict under this name; else a
            type that it does not know may be another library's.
    """

    registry: Registry
    extra: frozenset[str] = frozenset()
    default: Any = None
    certain: bool = False


def _train_loop(cfg: Mapping) -> Callable:
    by_epoch = cfg.get('by_epoch', 'max_epochs' in cfg)
    return EpochBasedTrainLoop if by_epoch else IterBasedTrainLoop


def entries(value: Any, path: str) -> Iterator[tuple[Mapping, str]]:
    """Iterate over the dicts of a dict or a (nested) list, each with its place."""
    if isinstance(value, Mapping):
        yield value, path
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from entries(item, f'{path}.{index}')


def schedules_of(
    value: Any, path: str = 'param_scheduler'
) -> Iterator[tuple[Mapping, str]]:
    """Iterate over the schedules of one or several optimizers, each with its place."""
    if isinstance(value, Mapping) and 'type' not in value:  # one list per optimizer
        for key, part in value.items():
            yield from schedules_of(part, f'{path}.{key}')
    else:
        yield from entries(value, path)


def hooks_of(cfg: Config) -> Iterator[tuple[Mapping, str, Any]]:
    """Iterate over a config's hooks, each with its place and its type."""
    for name, hook in (cfg.get('default_hooks') or {}).items():
        if isinstance(hook, Mapping):
            kind = hook.get('type', DEFAULT_HOOKS.get(name))
            yield hook, f'default_hooks.{name}', kind
    for hook, path in entries(cfg.get('custom_hooks'), 'custom_hooks'):
        yield hook, path, hook.get('type')


IMPLIED = frozenset({'type', '_scope_', '_delete_'})
RUNNER_KEYS = (accepted(Runner).names - {'cfg'}) | {
    'activation_checkpointing',
    'compile',
    'custom_imports',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'runner_type',
    'sync_bn',
}
#: Remedy for a key that one type of a base leaves to another.
OF_A_BASE = 'if it comes from a base, add _delete_=True beside type'
# Usual names of variables that look like a Runner's key.
LOOKALIKES = frozenset({'dataset', 'data_preprocessors', 'train_dataset'})

DATALOADER_KEYS = accepted(DataLoader).names | {
    'disable_subprocess_warning',
    'num_batch_per_epoch',
}

DEFAULT_CONSTRUCTOR = 'DefaultOptimWrapperConstructor'
OPTIM_WRAPPER = Section(
    reg.OPTIM_WRAPPERS, frozenset({'constructor', 'paramwise_cfg'}), 'OptimWrapper'
)
CUSTOM_KEYS = frozenset({'lr_mult', 'decay_mult', 'lr', 'weight_decay', 'momentum'})
PARAMWISE_KEYS = frozenset(
    {
        'bias_decay_mult',
        'bias_lr_mult',
        'bypass_duplicate',
        'custom_keys',
        'dcn_offset_lr_mult',
        'dwconv_decay_mult',
        'flat_decay_mult',
        'norm_decay_mult',
    }
)
PARAM_SCHEDULER = Section(
    reg.PARAM_SCHEDULERS, frozenset({'convert_to_iter_based', 'epoch_length'})
)


def clip_keys(cfg: Mapping) -> set[str]:
    """Keys that ``clip_grad`` hands to torch's clipping function."""
    by_value = cfg.get('type', 'norm') == 'value'
    function = clip_grad_value_ if by_value else clip_grad_norm_
    return set(inspect.signature(function).parameters) - {'parameters'} | {'type'}


HOOK = Section(reg.HOOKS, frozenset({'priority'}))
DEFAULT_HOOKS = {
    'runtime_info': 'RuntimeInfoHook',
    'timer': 'IterTimerHook',
    'sampler_seed': 'DistSamplerSeedHook',
    'logger': 'LoggerHook',
    'param_scheduler': 'ParamSchedulerHook',
    'checkpoint': 'CheckpointHook',
}

BUILT = {
    'model': Section(reg.MODELS, frozenset({'data_preprocessor'})),
    'data_preprocessor': Section(reg.MODELS),
    'train_cfg': Section(reg.LOOPS, frozenset({'by_epoch'}), _train_loop),
    'val_cfg': Section(reg.LOOPS, default=ValLoop),
    'test_cfg': Section(reg.LOOPS, default=TestLoop),
    'visualizer': Section(reg.VISUALIZERS, frozenset({'name'}), 'Visualizer'),
    'log_processor': Section(reg.LOG_PROCESSORS, default=LogProcessor),
    'model_wrapper_cfg': Section(
        reg.MODEL_WRAPPERS, frozenset({'module'}), 'MMDistributedDataParallel'
    ),
}
METRIC = Section(reg.METRICS)
EVALUATOR = Section(reg.EVALUATOR, default=Evaluator)
# Parts that are called with, as keywords: the names, and whether these are all.
CALLED = {
    'auto_scale_lr': (frozenset({'enable', 'base_batch_size'}), True),
    'randomness': (accepted(Runner.set_randomness).names - {'self'}, True),
}
ENV_KEYS = frozenset({'cudnn_benchmark', 'dist_cfg', 'mp_cfg', 'resource_limit'})
ENV_PARTS = {
    'mp_cfg': (accepted(set_multi_processing).names, True),
    'dist_cfg': (
        (accepted(init_dist).names - {'launcher'})
        | accepted(torch.distributed.init_process_group).names,
        True,
    ),
}

# Registry by the name of the key that holds the dict.
_TRANSFORM = Section(reg.TRANSFORMS)
_DATASET = Section(reg.DATASETS)
_SAMPLER = Section(reg.DATA_SAMPLERS)
_FUNCTION = Section(reg.FUNCTIONS)
_LAYER = Section(reg.MODELS)
BY_NAME = {
    'pipeline': _TRANSFORM,
    'transforms': _TRANSFORM,
    'policies': Section(reg.TRANSFORMS, frozenset({'magnitude_key'})),
    'dataset': _DATASET,
    'datasets': _DATASET,
    'sampler': _SAMPLER,
    'batch_sampler': _SAMPLER,
    'collate_fn': _FUNCTION,
    'worker_init_fn': _FUNCTION,
    'optimizer': Section(reg.OPTIMIZERS, certain=True),
    'metrics': Section(reg.METRICS),
    'vis_backends': Section(reg.VISBACKENDS, certain=True),
    'init_cfg': Section(reg.WEIGHT_INITIALIZERS, frozenset({'override'})),
    'norm_cfg': Section(reg.MODELS, frozenset({'requires_grad'})),
    'conv_cfg': _LAYER,
    'act_cfg': _LAYER,
    'backbone': _LAYER,
    'neck': _LAYER,
    'head': _LAYER,
    'loss': _LAYER,
    'data_preprocessor': _LAYER,
    'vision_encoder': Section(reg.MODELS, frozenset({'pretrained'})),
}
# Dicts whose ``type`` is not a registry's, or that are merged into others.
UNCHECKED = frozenset({'override', 'clip_grad', 'paramwise_cfg', 'metainfo'})
# Names of albumentations, some of which (Resize, Rotate) others have as well.
UNCHECKED_OF = dict.fromkeys(
    ('Albumentation', 'Albumentations'), frozenset({'transforms'})
)

# Misspelt in recipes that MMPretrain (Twins) and MMPose (ViTPose) ship; who
# inherits from these cannot mend them. Errors in files of one's own.
UPSTREAM_SLIPS = {'_delete': '_delete_', 'decay_multi': 'decay_mult'}

# Whom a class hands the ``**kwargs`` to that it keeps for later.
PASSED_ON = {
    CheckpointHook: (Runner.save_checkpoint,),
    EMAHook: (ExponentialMovingAverage, MomentumAnnealingEMA, StochasticWeightAverage),
}
