# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Values that a run could only fail with are refused, and no others."""

import math

import pytest
from mmengine.config import ConfigDict
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, OPTIMIZERS
from torch.optim import SGD
from toy_tools import toy_config

from hpml_mm.config.check import check_config
from hpml_mm.config.overrides import apply_options
from hpml_mm.config.run import configure_training

LOADER = 'train_dataloader'
OPTIMIZER = 'optim_wrapper.optimizer'
NAN = float('nan')
CHECKPOINT = 'default_hooks.checkpoint'


@pytest.fixture
def toy(tmp_path):
    return toy_config(tmp_path)


SLIPS = [
    (f'{LOADER}.batch_size', -3, 'is -3: it must be a whole number from 1'),
    (f'{LOADER}.batch_size', 0, 'is 0: it must be'),
    (f'{LOADER}.batch_size', 1.5, 'is 1.5: it must be'),
    (f'{LOADER}.batch_size', True, 'is True: it must be'),
    (f'{LOADER}.batch_size', '16', "is '16': .*; without quotation marks, 16"),
    ('val_dataloader.batch_size', 0, 'val_dataloader.batch_size is 0'),
    ('test_dataloader.num_workers', -1, 'test_dataloader.num_workers is -1'),
    (f'{LOADER}.num_workers', 2.0, 'is 2.0: it must be a whole number from 0'),
    (f'{LOADER}.persistent_workers', True, 'num_workers is 0: set .*workers=False'),
    (f'{LOADER}.prefetch_factor', 2, 'num_workers is 0: set .*prefetch_factor=None'),
    (f'{LOADER}.timeout', -1, 'is -1: it must be a number from 0'),
    ('train_cfg.max_epochs', 0, 'train_cfg.max_epochs is 0: .* from 1'),
    ('train_cfg.max_epochs', 2.5, 'train_cfg.max_epochs is 2.5'),
    ('train_cfg.max_epochs', '3', "is '3': .*; without quotation marks, 3"),
    ('train_cfg.val_interval', 0, 'train_cfg.val_interval is 0: .*a number, not 0'),
    ('train_cfg.val_interval', 'never', "val_interval is 'never'"),
    ('train_cfg.val_begin', '2', 'val_begin is .* without quotation marks, 2'),
    (f'{OPTIMIZER}.lr', 'abc', r"optimizer.lr is 'abc': it must be a number from 0$"),
    (f'{OPTIMIZER}.lr', '1e-3', 'lr is .*without quotation marks, 1e-3'),
    (f'{OPTIMIZER}.lr', -0.1, 'lr is -0.1: it must be a number from 0'),
    (f'{OPTIMIZER}.lr', NAN, 'lr is nan'),
    (f'{OPTIMIZER}.lr', None, 'lr is None'),
    (f'{OPTIMIZER}.momentum', -0.9, 'momentum is -0.9'),
    (f'{OPTIMIZER}.weight_decay', '1e-4', "weight_decay is '1e-4'"),
    (OPTIMIZER, dict(type='AdamW', lr=0.1, betas=(0.9, 1.2)), 'AdamW says .*1.2'),
    (OPTIMIZER, dict(type='SGD', lr=0.1, nesterov=True), 'SGD says Nesterov'),
    ('optim_wrapper.accumulative_counts', 0, 'accumulative_counts is 0'),
    ('optim_wrapper.clip_grad', 1.0, r'clip_grad is 1.0: .*dict\(max_norm=1.0\)'),
    ('optim_wrapper.clip_grad', dict(max_norm='1'), "max_norm is '1'"),
    ('optim_wrapper.paramwise_cfg', dict(bias_lr_mult='2'), "bias_lr_mult is '2'"),
    (
        'optim_wrapper.paramwise_cfg',
        dict(custom_keys=dict(out=dict(lr_mult='0.1'))),
        "custom_keys.out.lr_mult is '0.1'",
    ),
    ('optim_wrapper', dict(type='AmpOptimWrapper', dtype='fp16'), "dtype is 'fp16'"),
    ('optim_wrapper', dict(type='AmpOptimWrapper', loss_scale=512), 'scale is 512'),
    ('param_scheduler.1.milestones', 8, 'milestones is 8: it must be a list'),
    ('param_scheduler.1.gamma', '0.1', "gamma is '0.1'"),
    ('param_scheduler.0.begin', 5, 'LinearLR says .*end should be larger than begin'),
    ('param_scheduler.0.start_factor', 2.0, 'LinearLR says .*between 0 and 1'),
    ('param_scheduler', [dict(type='hpml_mm.OneCycle', end=1)], 'has one rate'),
    ('param_scheduler', [dict(type='StepLR', step_size=0)], 'step_size is 0'),
    ('param_scheduler', [dict(type='CosineAnnealingLR', T_max=0)], 'T_max is 0'),
    (f'{CHECKPOINT}.interval', 0, 'checkpoint.interval is 0: it must be a number'),
    (f'{CHECKPOINT}.interval', 'epoch', "interval is 'epoch'"),
    (f'{CHECKPOINT}.filename_tmpl', 'a_{}_{}.pth', 'filename_tmpl is'),
    (f'{CHECKPOINT}.priority', 'FIRST', "priority is 'FIRST'"),
    (f'{CHECKPOINT}.save_begin', -1, 'CheckpointHook says save_begin'),
    (
        f'{CHECKPOINT}.rule',
        'best',
        'CheckpointHook says rule must be greater',
    ),
    (f'{CHECKPOINT}.save_best', 'score', 'CheckpointHook says Cannot infer the rule'),
    ('default_hooks.logger.interval', 0, 'logger.interval is 0'),
    ('default_hooks.logger.interval', -1, 'LoggerHook says interval must be greater'),
    ('custom_hooks.0.interval', 0, r'custom_hooks\.0\.interval is 0'),
    ('custom_hooks.0.warmup_iters', -1, r'custom_hooks\.0: ThroughputHook says'),
    (
        'custom_hooks',
        [dict(type='EarlyStoppingHook', monitor='accuracy/top1', rule='more')],
        'EarlyStoppingHook says',
    ),
    ('randomness.seed', 'abc', "randomness.seed is 'abc'"),
    ('randomness.seed', -1, 'randomness.seed is -1'),
    ('auto_scale_lr', dict(enable=True), 'base_batch_size is None'),
    ('auto_scale_lr', dict(enable=True, base_batch_size=0), 'base_batch_size is 0'),
]


@pytest.mark.parametrize(('key', 'value', 'message'), SLIPS)
def test_a_slip_is_one_line_with_place_value_and_remedy(toy, key, value, message):
    if isinstance(value, dict):
        value = ConfigDict(value)
    if key == 'optim_wrapper':
        toy.optim_wrapper = ConfigDict(optimizer=toy.optim_wrapper.optimizer, **value)
    elif key == OPTIMIZER:
        toy.optim_wrapper.optimizer = value
    else:
        toy.default_hooks.checkpoint.save_best = 'accuracy/top1'
        apply_options(toy, {key: value})
    with pytest.raises(ValueError, match=message) as error:
        check_config(toy)
    assert str(error.value).startswith(key.split('.')[0])
    assert '\n' not in str(error.value)


RIGHT = [
    {f'{LOADER}.batch_size': None},
    {f'{LOADER}.num_workers': 1, f'{LOADER}.persistent_workers': True},
    {f'{LOADER}.persistent_workers': False, f'{LOADER}.prefetch_factor': None},
    {'train_cfg.max_epochs': 2.0},
    {'train_cfg.val_interval': 10**9},
    {'train_cfg.val_interval': math.inf},
    {'train_cfg.val_interval': -1},
    {f'{OPTIMIZER}.lr': 0},
    {f'{OPTIMIZER}.lr': 10},
    {f'{OPTIMIZER}.weight_decay': 0},
    {f'{OPTIMIZER}.momentum': 1.5},
    {'optim_wrapper.clip_grad': None},
    {'optim_wrapper.clip_grad': {'max_norm': 35, 'norm_type': 2}},
    {'optim_wrapper.clip_grad': {'max_norm': math.pi, 'error_if_nonfinite': True}},
    {f'{CHECKPOINT}.interval': -1},
    {f'{CHECKPOINT}.interval': 1.0},
    {f'{CHECKPOINT}.max_keep_ckpts': 0},
    {f'{CHECKPOINT}.save_best': 'auto'},
    {f'{CHECKPOINT}.save_best': ['accuracy/top1', 'topmost']},
    {f'{CHECKPOINT}.filename_tmpl': 'model_{:03d}.pth'},
    {f'{CHECKPOINT}.priority': 55},
    {'param_scheduler': [{'type': 'ExponentialLR', 'gamma': 1}]},
    {'param_scheduler': [{'type': 'CosineAnnealingLR'}]},
    {'param_scheduler': []},
    {  # by epochs alone a cycle of one has a single rate
        'param_scheduler': [
            {'type': 'hpml_mm.OneCycle', 'convert_to_iter_based': True}
        ],
        'train_cfg.max_epochs': 1,
    },
    {'randomness.seed': None},
    {'auto_scale_lr': {'enable': False}},
]


@pytest.mark.parametrize('options', RIGHT)
def test_what_mmengine_takes_is_taken(toy, options):
    apply_options(toy, options)
    check_config(toy)


def test_an_interval_that_is_never_read_may_be_anything(toy):
    toy.train_cfg.val_interval = 0
    toy.val_cfg = toy.val_dataloader = toy.val_evaluator = None
    check_config(toy)


def test_a_batch_sampler_knows_its_sizes(toy):
    toy.train_dataloader.batch_sampler = dict(type='BatchSampler', drop_last=True)
    toy.train_dataloader.batch_size = [2, 4]
    check_config(toy)


@OPTIMIZERS.register_module()
class OwnSGD(SGD):
    """An optimizer of a user's own, which takes a word for a rate."""

    def __init__(self, params, lr):
        super().__init__(params, lr=0.1 if lr == 'usual' else lr)


@HOOKS.register_module()
class OwnIntervalHook(Hook):
    """A hook of a user's own, for which 0 is never."""

    def __init__(self, interval):
        self.interval = interval


def test_classes_of_ones_own_have_their_own_rules(toy):
    toy.optim_wrapper.optimizer = dict(type='OwnSGD', lr='usual')
    toy.custom_hooks = [dict(type='OwnIntervalHook', interval=0)]
    check_config(toy)
    toy.custom_hooks[0].priority = 101
    with pytest.raises(ValueError, match=r'custom_hooks\.0\.priority is 101'):
        check_config(toy)


def test_each_of_several_optimizers_and_schedules_is_checked(toy):
    parts = {'encoder': toy.optim_wrapper, 'head': toy.optim_wrapper}
    toy.optim_wrapper = ConfigDict(constructor='MultipleOptimizers', **parts)
    toy.param_scheduler = ConfigDict(head=[dict(type='StepLR', step_size=1)])
    check_config(toy)
    toy.optim_wrapper.head.optimizer.lr = '1'
    toy.param_scheduler.head[0].step_size = -1
    with pytest.raises(ValueError, match='optim_wrapper.head.optimizer.lr') as error:
        check_config(toy)
    assert 'param_scheduler.head.0.step_size is -1' in str(error.value)


def test_a_file_is_checked_as_well_as_an_option(tmp_path, monkeypatch, toy):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'toy.py').write_text(
        f"_base_ = '{toy.filename}'\ntrain_dataloader = dict(batch_size='4')\n"
        "auto_scale_lr = dict(base_batch_size='16')\n"
    )
    with pytest.raises(ValueError, match="train_dataloader.batch_size is '4'"):
        configure_training('toy.py', {})
    assert not (tmp_path / 'work_dirs').exists()
