# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Every leaf config loads, builds, and is what its file name says."""

import ast
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.optim import build_optim_wrapper
from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    FUNCTIONS,
    HOOKS,
    MODELS,
    PARAM_SCHEDULERS,
    VISBACKENDS,
    VISUALIZERS,
    init_default_scope,
)

from hpml_mm.config.names import parse_leaf_name
from hpml_mm.datasets.fer_classes import FER_CLASSES

CONFIGS = Path(__file__).parents[1] / 'configs'
LEAVES = sorted(
    path.relative_to(CONFIGS).as_posix()
    for path in CONFIGS.rglob('*.py')
    if '_base_' not in path.parts
)
every_leaf = pytest.mark.parametrize('leaf', LEAVES)

MODEL_OF = {'MiniXception': 'mini-xception', 'EfficientNet': 'efficientnet-b0'}
DEFAULT_OPTIMIZER = {'mini-xception': 'sgd-nesterov', 'efficientnet-b0': 'adam'}
DEFAULT_WORKERS = {'mini-xception': 2, 'efficientnet-b0': 4}
DATASET_OF = {
    ('FERFolderDataset', 'splits', 'fer2013'): 'fer2013',
    ('FERFolderDataset', 'single', 'fer2013_single'): 'fer2013-single',
    ('FERCSVDataset', 'splits', 'fer2013'): 'fer2013-csv',
    ('DemoFaceDataset', 'splits', ''): 'demo-faces',
}
PRECISION_OF = {'bfloat16': 'bf16', 'float16': 'fp16', 'auto': 'amp'}
STEPS_OF = {(80, 5, 0.9): 'step', (100, 15, 0.85): 'step-tuned'}


@cache
def load(leaf):
    return Config.fromfile(CONFIGS / leaf)


def kind(part):
    """The name of a part's class without its scope."""
    return part.type.split('.')[-1]


def hook(cfg, name):
    return next((h for h in cfg.custom_hooks if kind(h) == name), None)


# --- what a config does, in the words of the names -------------------------------


def precision(cfg):
    amp = hook(cfg, 'AmpHook')
    return amp and PRECISION_OF[amp.get('dtype', 'auto')]


def optimizer(cfg):
    settings = cfg.optim_wrapper.optimizer
    name = settings.type.lower() + ('-nesterov' if settings.get('nesterov') else '')
    return None if name == DEFAULT_OPTIMIZER[model(cfg)] else name


def memory_format(cfg):
    speed = hook(cfg, 'SpeedHook')
    return 'channels-last' if speed and speed.get('channels_last', True) else None


def class_balance(cfg):
    if kind(cfg.train_dataloader.sampler) == 'ClassBalancedSampler':
        return 'balanced'
    return 'weighted-loss' if hook(cfg, 'ClassWeightHook') else None


def augmentation(cfg):
    for step in cfg.train_dataloader.dataset.pipeline:
        if kind(step) == 'RandomApply':
            names = [inner.type for inner in step.transforms]
            assert names == ['torchvision/ColorJitter', 'torchvision/GaussianBlur']
            return 'jitter-blur'
        if kind(step) == 'Rotate':
            assert (step.prob, step.magnitude_range) == (1.0, (0, 10))
            return 'rotate'
    return None


def schedule(cfg):
    if [s.type for s in cfg.param_scheduler] != ['StepLR']:
        return None
    (step,) = cfg.param_scheduler
    return STEPS_OF[step.begin, step.step_size, step.gamma]


def workers(cfg):
    number = cfg.train_dataloader.num_workers
    return None if number == DEFAULT_WORKERS[model(cfg)] else f'workers{number}'


def variants(cfg):
    backbone = cfg.model.backbone
    pretrained = backbone.get('init_cfg', {}).get('type') == 'Pretrained'
    crossing = cfg.train_dataloader.dataset.get('drop_crossing')
    found = {
        'weights': 'pretrained' if pretrained else None,
        'precision': precision(cfg),
        'optimizer': optimizer(cfg),
        'memory_format': memory_format(cfg),
        'averaging': 'ema' if hook(cfg, 'EMAHook') else None,
        'batch_norm': 'bn99' if backbone.get('bn_momentum') == 0.99 else None,
        'selection': 'no-crossing' if crossing else None,
        'class_balance': class_balance(cfg),
        'augmentation': augmentation(cfg),
        'schedule': schedule(cfg),
        'workers': workers(cfg),
    }
    return {axis: variant for axis, variant in found.items() if variant}


def model(cfg):
    backbone = cfg.model.backbone
    assert backbone.get('arch') in (None, 'b0')
    return MODEL_OF[kind(backbone)]


def dataset(cfg):
    data = cfg.train_dataloader.dataset
    root = data.get('data_root', '').rpartition('/')[2]
    return DATASET_OF[kind(data), data.get('layout', 'splits'), root]


# --- the tests -------------------------------------------------------------------


def test_there_are_leaves():
    assert len(LEAVES) > 30


@every_leaf
def test_name_tells_the_truth(leaf):
    cfg, name = load(leaf), parse_leaf_name(leaf)
    assert model(cfg) == name.model
    assert dataset(cfg) == name.dataset
    assert cfg.train_dataloader.batch_size == name.batch_size
    assert cfg.auto_scale_lr.base_batch_size == name.gpus * name.batch_size
    assert cfg.train_cfg.max_epochs == name.epochs
    assert variants(cfg) == name.variants


@every_leaf
def test_loaders_belong_together(leaf):
    cfg = load(leaf)
    train, val, test = (cfg[f'{mode}_dataloader'] for mode in ('train', 'val', 'test'))
    assert val.batch_size == train.batch_size
    assert val.num_workers == train.num_workers
    assert val.dataset.pipeline == test.dataset.pipeline
    assert train.dataset.split == 'train'
    assert val.dataset.split == 'val'
    assert kind(train.dataset) == kind(val.dataset) == kind(test.dataset)
    assert not any(loader.sampler.shuffle for loader in (val, test))


@every_leaf
@pytest.mark.parametrize('mode', ['train', 'val', 'test'])
def test_pipeline_gives_the_size_in_the_name(leaf, mode):
    cfg, name = load(leaf), parse_leaf_name(leaf)
    init_default_scope(cfg.default_scope)
    pipeline = cfg[f'{mode}_dataloader'].dataset.pipeline
    face = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    for _ in range(4):  # A transform may be left out at random.
        packed = Compose(pipeline)({'img': face, 'gt_label': 3, 'split': mode})
        channels = len(cfg.data_preprocessor.mean)
        assert packed['inputs'].shape == (channels, name.px, name.px)
        assert packed['inputs'].dtype == torch.uint8
        assert packed['data_samples'].gt_label.item() == 3
        assert packed['data_samples'].split == mode


@cache
def build(settings):
    init_default_scope('mmpretrain')
    return MODELS.build(json.loads(settings)).eval()


@every_leaf
def test_model_builds_and_knows_the_classes(leaf):
    cfg, name = load(leaf), parse_leaf_name(leaf)
    assert cfg.model.head.num_classes == len(FER_CLASSES)
    settings = {**cfg.model.to_dict(), 'data_preprocessor': cfg.data_preprocessor}
    network = build(json.dumps(settings))
    faces = torch.zeros(2, len(cfg.data_preprocessor.mean), name.px, name.px)
    with torch.inference_mode():
        assert network(faces).shape == (2, len(FER_CLASSES))


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
        assert Evaluator(cfg[f'{mode}_evaluator'].to_dict()).metrics
    for mode in ('train', 'val', 'test'):
        loader = cfg[f'{mode}_dataloader']
        assert resolves(DATASETS, loader.dataset.type)
        assert resolves(DATA_SAMPLERS, loader.sampler.type)
        assert resolves(FUNCTIONS, loader.collate_fn.type)
    assert resolves(VISUALIZERS, cfg.visualizer.type)
    assert all(resolves(VISBACKENDS, b.type) for b in cfg.visualizer.vis_backends)


@every_leaf
def test_no_key_is_unknown(leaf):
    from hpml_mm.config.check import check_config

    check_config(load(leaf))


@every_leaf
def test_schedule_ends_with_the_training(leaf):
    cfg = load(leaf)
    ends = [s.get('end') for s in cfg.param_scheduler]
    assert not ends or ends[-1] in (None, cfg.train_cfg.max_epochs)


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


def test_a_child_of_a_leaf_changes_one_claim():
    for leaf in LEAVES:
        parents = [base for base in bases(CONFIGS / leaf) if '_base_' not in base.parts]
        if not parents:
            continue
        (parent,) = parents
        own, other = (
            {**vars(name), **name.variants, 'variants': None}
            for name in (parse_leaf_name(leaf), parse_leaf_name(parent))
        )
        changed = {key for key in own | other if own.get(key) != other.get(key)}
        assert len(changed) == 1, f'{leaf} changes {changed} of {parent.name}'


def test_no_two_leaves_are_the_same():
    seen = {}
    for leaf in LEAVES:
        content = json.dumps(load(leaf).to_dict(), sort_keys=True, default=str)
        assert content not in seen, f'{leaf} is {seen[content]} again'
        seen[content] = leaf


# --- schedules -------------------------------------------------------------------


def learning_rates(leaf, steps, epoch_length):
    """The learning rate of each epoch, or of each step where steps are scheduled."""
    cfg = load(leaf)
    init_default_scope(cfg.default_scope)
    wrapper = build_optim_wrapper(torch.nn.Linear(1, 1), cfg.optim_wrapper.to_dict())
    schedulers = [
        PARAM_SCHEDULERS.build(
            dict(settings),
            default_args={'optimizer': wrapper, 'epoch_length': epoch_length},
        )
        for settings in cfg.param_scheduler
    ]
    rates = []
    for _ in range(steps):
        rates += wrapper.get_lr()['lr']
        wrapper.step()
        for scheduler in schedulers:
            scheduler.step()
    return rates


@pytest.mark.parametrize(
    ('variant', 'lr', 'start', 'every', 'rate'),
    [('step', 0.01, 80, 5, 0.9), ('step-tuned', 0.005, 100, 15, 0.85)],
)
def test_delayed_step_decay_of_every_epoch(variant, lr, start, every, rate):
    leaf = f'fer/mini-xception_1xb128-sgd-{variant}-300e_fer2013-44px.py'
    expected = [
        lr * rate ** ((epoch - start) // every) if epoch > start else lr
        for epoch in range(300)
    ]
    assert learning_rates(leaf, 300, epoch_length=225) == pytest.approx(expected)


@pytest.mark.parametrize(
    'leaf',
    [leaf for leaf in LEAVES if leaf.startswith('fer/mini') and 'step' not in leaf],
)
def test_one_cycle_peaks_at_the_learning_rate_of_the_optimizer(leaf):
    epochs, lr = parse_leaf_name(leaf).epochs, load(leaf).optim_wrapper.optimizer.lr
    rates = np.array(learning_rates(leaf, 100 * epochs, epoch_length=100)) / lr
    peak = int(0.3 * epochs * 100)
    assert rates[0] == pytest.approx(0.04)
    assert rates.max() == pytest.approx(1)
    np.testing.assert_allclose(rates[[peak - 1, peak]], 1)
    assert (np.diff(rates[:peak]) > 0).all()
    assert (np.diff(rates[peak:]) < 0).all()
    assert rates[-1] < 1e-5
    # Half way down the cosine.
    assert rates[65 * epochs] == pytest.approx(0.5, rel=0.01)
