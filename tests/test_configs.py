# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Every leaf config is what its name says, its parts build, and the tree is in order.

The models and pipelines of a task are tested in its own file beside this one.
"""

import json

import pytest
import torch
from leaf_content import kind
from leaf_names import parse_leaf_name
from leaves import CONFIGS, LEAVES, bases, depth, load, name_problems
from mmengine.evaluator import Evaluator
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

from hpml_mm.config.check import check_config
from hpml_mm.config.schedule import schedule_problems


def test_there_are_leaves():
    assert len(LEAVES) > 80


@pytest.mark.slow
@pytest.mark.parametrize('leaf', LEAVES)
def test_name_tells_the_truth(leaf):
    problems = name_problems(CONFIGS / leaf)
    assert not problems, '\n'.join(problems)


def failures(check, cases):
    """A line for each case that a check refuses."""
    found = []
    for name, arguments in cases.items():
        try:
            check(*arguments)
        except Exception as error:
            found.append(f'{name}: {type(error).__name__}: {error}')
    return '\n'.join(found)


@pytest.mark.slow
def test_no_key_is_unknown_and_no_schedule_ends_elsewhere():
    def check(cfg):
        check_config(cfg)
        assert not schedule_problems(cfg)

    assert not failures(check, {leaf: (load(leaf),) for leaf in LEAVES})


# --- parts -----------------------------------------------------------------------


def build_optimizer(settings, schedulers, epochs):
    wrapper = build_optim_wrapper(torch.nn.Linear(1, 1), settings)
    for scheduler in schedulers:
        arguments = {'optimizer': wrapper, 'epoch_length': 10, 'end': epochs}
        PARAM_SCHEDULERS.build(dict(scheduler), default_args=arguments)


def resolve(registry, name):
    """Find a name from the default scope, as a build would look."""
    with registry.switch_scope_and_registry(None) as scoped:
        assert scoped.get(name) is not None, name


def parts(cfg):
    """The builder and the settings of each part."""
    for settings in [*cfg.default_hooks.values(), *cfg.custom_hooks]:
        yield HOOKS.build, settings
    schedule = cfg.param_scheduler, cfg.train_cfg.max_epochs
    yield build_optimizer, cfg.optim_wrapper.to_dict(), *schedule
    for mode in ('val', 'test'):
        yield Evaluator, cfg.to_dict()[f'{mode}_evaluator']
    for mode in ('train', 'val', 'test'):
        loader = cfg[f'{mode}_dataloader']
        yield resolve, DATASETS, loader.dataset.type
        yield resolve, DATA_SAMPLERS, loader.sampler.type
        if 'collate_fn' in loader:
            yield resolve, FUNCTIONS, loader.collate_fn.type
    yield resolve, VISUALIZERS, cfg.visualizer.type
    for backend in cfg.visualizer.vis_backends:
        yield resolve, VISBACKENDS, backend.type


@pytest.mark.parametrize('scope', ['mmengine', 'mmpretrain', 'mmpose', 'mmdet'])
def test_every_part_builds(scope):
    init_default_scope(scope)
    cases = {}  # each once, whoever has it
    for leaf in LEAVES:
        if load(leaf).default_scope == scope:
            for build, *settings in parts(load(leaf)):
                case = f'{build.__name__} {settings}'
                cases.setdefault(case, (leaf, lambda b=build, s=settings: b(*s)))
    assert len(cases) > 15
    assert not failures(lambda make: make(), {k: (v[1],) for k, v in cases.items()})


# --- the tree --------------------------------------------------------------------


def test_leaves_are_short_and_at_most_five_levels_deep():
    for leaf in LEAVES:
        path = CONFIGS / leaf
        assert depth(path) <= 5, leaf
        assert len(path.read_text().splitlines()) <= 25, leaf
        # A leaf that said its own defaults would have no claim to check.
        assert 'name_defaults' not in path.read_text(), leaf


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
    'fp32_layers': ['custom_hooks.AmpHook', 'speed_hooks'],
    'optimizer': ['optim_wrapper', 'param_scheduler'],
    'lr': ['optim_wrapper.optimizer.lr'],
    'memory_format': ['custom_hooks.SpeedHook'],
    'averaging': ['custom_hooks.EMAHook'],
    'batch_norm': ['model.backbone.bn_momentum'],
    'head': ['model.head', 'model.backbone.out_indices'],
    'selection': [
        'train_dataloader.dataset.source.drop_crossing',
        'train_dataloader.dataset.max_images',
    ],
    'boxes': [
        *(f'{mode}_dataloader.dataset.bbox_file' for mode in ('val', 'test')),
        *(f'{mode}_evaluator' for mode in ('val', 'test')),
        # Of test-dev, for COCO's server.
        *(f'test_dataloader.dataset.{key}' for key in ('ann_file', 'data_prefix')),
        'custom_hooks.PoseSheetHook',
    ],
    'class_balance': ['train_dataloader.sampler', 'custom_hooks.ClassWeightHook'],
    'augmentation': [
        *(f'train_dataloader.dataset.{key}' for key in ('pipeline', 'augment')),
        'augmentation',
    ],
    'scaling': ['model.scaling'],
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


def test_a_child_of_a_leaf_changes_one_claim_and_what_belongs_to_it():
    assert len(CHILDREN) > 40
    for leaf, parent in CHILDREN:
        claims = [
            {**vars(name), **name.variants, 'variants': None}
            for name in (parse_leaf_name(leaf), parse_leaf_name(parent))
        ]
        # The number in the source is no claim; a network's fast input has its layout.
        axes = differing(*claims) - {'experiment'}
        assert len(axes - {'memory_format'}) == 1 or axes == {'memory_format'}, leaf
        changed = differing(
            settings(load(leaf)._cfg_dict), settings(load(parent)._cfg_dict)
        )
        allowed = tuple(f'{place}.' for axis in axes for place in PLACES[axis])
        other = {key for key in changed if not f'{key}.'.startswith(allowed)}
        assert changed, leaf
        assert not other, f'{leaf} claims another {axes} only'


def test_no_two_leaves_are_the_same():
    seen = {}
    for leaf in LEAVES:
        content = json.dumps(load(leaf).to_dict(), sort_keys=True, default=str)
        assert content not in seen, f'{leaf} is {seen[content]} again'
        seen[content] = leaf
