# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Every leaf config loads, its parts build, and the tree is as it should be.

What the models and pipelines of a task do is in its own file beside this one.
"""

import ast
import json

import pytest
import torch
from leaves import CONFIGS, LEAVES, kind, load
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.optim import build_optim_wrapper
from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    FUNCTIONS,
    HOOKS,
    PARAM_SCHEDULERS,
    VISBACKENDS,
    VISUALIZERS,
    init_default_scope,
)

from hpml_mm.config.names import parse_leaf_name
from hpml_mm.config.overrides import load_config

every_leaf = pytest.mark.parametrize('leaf', LEAVES)


def test_there_are_leaves():
    assert len(LEAVES) > 80


def resolves(registry, name):
    """Whether a name is found from the default scope, as a build would look."""
    with registry.switch_scope_and_registry(None) as scoped:
        return scoped.get(name) is not None


@every_leaf
def test_other_parts_build(leaf):
    cfg = load(leaf)
    init_default_scope(cfg.default_scope)
    for settings in [*cfg.default_hooks.values(), *cfg.custom_hooks]:
        assert isinstance(HOOKS.build(dict(settings)), Hook)
    layer = torch.nn.Linear(1, 1)
    wrapper = build_optim_wrapper(layer, cfg.optim_wrapper.to_dict())
    for settings in cfg.param_scheduler:
        PARAM_SCHEDULERS.build(
            dict(settings), default_args={'optimizer': wrapper, 'epoch_length': 10}
        )
    for mode in ('val', 'test'):
        assert Evaluator(cfg.to_dict()[f'{mode}_evaluator']).metrics
    for mode in ('train', 'val', 'test'):
        loader = cfg[f'{mode}_dataloader']
        assert resolves(DATASETS, loader.dataset.type)
        assert resolves(DATA_SAMPLERS, loader.sampler.type)
        if 'collate_fn' in loader:
            assert resolves(FUNCTIONS, loader.collate_fn.type)
    assert resolves(VISUALIZERS, cfg.visualizer.type)
    assert all(resolves(VISBACKENDS, b.type) for b in cfg.visualizer.vis_backends)


@every_leaf
def test_no_key_is_unknown(leaf):
    load_config(str(CONFIGS / leaf))


# --- the tree --------------------------------------------------------------------


def bases(path):
    """Our own files that a config names in ``_base_``, and whether it is a list."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_':
            value = ast.literal_eval(node.value)
            names = [value] if isinstance(value, str) else value
            return [(path.parent / n).resolve() for n in names if '::' not in n]
    return []


def depth(path):
    return 1 + max((depth(base) for base in bases(path)), default=0)


@every_leaf
def test_leaf_is_short_and_at_most_three_levels_deep(leaf):
    path = CONFIGS / leaf
    assert depth(path) <= 3
    assert len(path.read_text().splitlines()) <= 25


# Where a config may differ from another that makes all claims but one alike. A part
# of a list of hooks or visualizers is addressed by its type.
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
PLACES = {
    'batch_size': [
        *(f'{loader}.batch_size' for loader in LOADERS),
        'auto_scale_lr.base_batch_size',
    ],
    'gpus': ['auto_scale_lr.base_batch_size'],
    'epochs': ['train_cfg.max_epochs', 'param_scheduler'],
    'dataset': [
        *(
            f'{loader}.dataset.{key}'
            for loader in LOADERS
            for key in ('type', 'data_root', 'ann_file', 'layout', 'split')
        ),
        'val_evaluator.split_names',
        'test_evaluator.split_names',
    ],
    'weights': ['model.backbone.init_cfg', 'data_preprocessor'],
    'precision': ['custom_hooks.AmpHook'],
    'optimizer': ['optim_wrapper', 'param_scheduler'],
    'lr': ['optim_wrapper.optimizer.lr'],
    'memory_format': ['custom_hooks.SpeedHook'],
    'averaging': ['custom_hooks.EMAHook'],
    'batch_norm': ['model.backbone.bn_momentum'],
    'selection': [
        'train_dataloader.dataset.drop_crossing',
        'train_dataloader.dataset.max_images',
    ],
    'boxes': [
        *(f'{mode}_dataloader.dataset.bbox_file' for mode in ('val', 'test')),
        *(f'{mode}_evaluator' for mode in ('val', 'test')),
        'custom_hooks.PoseSheetHook',
    ],
    'class_balance': ['train_dataloader.sampler', 'custom_hooks.ClassWeightHook'],
    'augmentation': ['train_dataloader.dataset.pipeline'],
    'scaling': ['model.scaling'],
    'loss': ['model.loss'],
    'schedule': ['param_scheduler', 'optim_wrapper.optimizer.lr'],
    'input': ['custom_hooks.FastPoseInputHook', 'input_hooks'],
    'workers': [
        f'{loader}.{key}'
        for loader in LOADERS
        for key in ('num_workers', 'persistent_workers')
    ],
}


def settings(part, place=''):
    """Every value of a config by its dotted place."""
    if place == 'custom_hooks':
        part = {kind(hook): hook for hook in part}
    if isinstance(part, list | tuple):
        part = dict(enumerate(part))
    if not isinstance(part, dict) or not part:
        return {place: part}
    inner = (settings(v, f'{place}.{k}' if place else str(k)) for k, v in part.items())
    return {key: value for values in inner for key, value in values.items()}


def differing(one, other):
    absent = object()
    keys = one.keys() | other.keys()
    return {key for key in keys if one.get(key, absent) != other.get(key, absent)}


CHILDREN = [
    (leaf, parent.relative_to(CONFIGS).as_posix())
    for leaf in LEAVES
    for parent in bases(CONFIGS / leaf)
    if '_base_' not in parent.parts
]


@pytest.mark.parametrize(('leaf', 'parent'), CHILDREN)
def test_a_child_of_a_leaf_changes_one_claim_and_what_belongs_to_it(leaf, parent):
    claims = [
        {**vars(name), **name.variants, 'variants': None}
        for name in (parse_leaf_name(leaf), parse_leaf_name(parent))
    ]
    (axis,) = differing(*claims) - {'experiment'}  # its number in the source
    changed = differing(
        settings(load(leaf)._cfg_dict), settings(load(parent)._cfg_dict)
    )
    allowed = tuple(f'{place}.' for place in PLACES[axis])
    other = {key for key in changed if not f'{key}.'.startswith(allowed)}
    assert changed
    assert not other, f'{leaf} claims another {axis} only'


def test_no_two_leaves_are_the_same():
    seen = {}
    for leaf in LEAVES:
        content = json.dumps(load(leaf).to_dict(), sort_keys=True, default=str)
        assert content not in seen, f'{leaf} is {seen[content]} again'
        seen[content] = leaf
