# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A misspelling anywhere is named with what was meant; all else passes."""

import re

import pytest
from mmengine.config import Config, ConfigDict
from mmengine.evaluator import Evaluator
from mmengine.hub import get_config
from mmengine.registry import EVALUATOR, MODELS
from torch import nn

import hpml_mm  # noqa: F401  # mmpose without compiled ops
from hpml_mm.config.check import check_config

FER = 'mmpretrain::resnet/resnet18_8xb16_cifar10.py'
POSE = (
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'
)


@pytest.fixture(scope='module')
def stock():
    return {FER: get_config(FER), POSE: get_config(POSE)}


def place_in(cfg, key, value):
    """Set a dotted key, of which the last part may be new."""
    node = cfg
    *parents, last = key.split('.')
    for part in parents:
        node = node[int(part)] if part.isdigit() else node.setdefault(part, {})
    node[last] = ConfigDict(value) if isinstance(value, dict) else value


MISSPELT = [
    ('train_dataloader.batchsize', 128, 'batch_size'),
    ('val_dataloader.num_worker', 2, 'num_workers'),
    ('test_dataloader.sampler.shufle', True, 'shuffle'),
    ('train_dataloader.dataset.dataroot', 'x', 'data_root'),
    ('train_dataloader.dataset.pipeline.0.cropsize', 32, 'crop_size'),
    ('train_dataloader.collate_fn', {'type': 'default_colate'}, 'default_collate'),
    ('optim_wrapper.optimiser', {'lr': 1}, 'optimizer'),
    ('optim_wrapper.optimizer.momentun', 0.9, 'momentum'),
    ('optim_wrapper.acumulative_counts', 2, 'accumulative_counts'),
    ('optim_wrapper.clip_grad', {'maxnorm': 1.0}, 'max_norm'),
    ('optim_wrapper.paramwise_cfg', {'norm_decay': 0.0}, 'norm_decay_mult'),
    (
        'optim_wrapper.paramwise_cfg',
        {'custom_keys': {'backbone': {'lr_mul': 0.1}}},
        'lr_mult',
    ),
    ('param_scheduler.gama', 0.1, 'gamma'),
    ('train_cfg.max_epoch', 3, 'max_epochs'),
    ('val_cfg.fp_16', True, 'fp16'),
    ('default_hooks.checkpoint.intervall', 1, 'interval'),
    ('default_hooks.checkpoint.file_name_tmpl', 'x', 'filename_tmpl'),
    ('default_hooks.chekpoint', {'interval': 1}, 'checkpoint'),
    ('custom_hooks', [{'type': 'EMAHook', 'momentun': 1e-4}], 'momentum'),
    (
        'custom_hooks',
        [{'type': 'hpml_mm.GracefulStopHook', 'agree_intervall': 1}],
        'agree_interval',
    ),
    ('model.backbone.dept', 18, 'depth'),
    ('model.head.loss.loss_wieght', 1.0, 'loss_weight'),
    ('val_evaluator.top_k', [1], 'topk'),
    ('visualizer.vis_backend', [], 'vis_backends'),
    ('env_cfg.mp_cfg.mp_start_methode', 'fork', 'mp_start_method'),
    ('env_cfg.cudnn_benchmarks', True, 'cudnn_benchmark'),
    ('env_cfg.dist_cfg.backends', 'gloo', 'backend'),
    ('randomness.sed', 1, 'seed'),
    ('auto_scale_lr.enabled', True, 'enable'),
    ('log_processor', {'windowsize': 1}, 'window_size'),
    ('optim_wraper', {}, 'optim_wrapper'),
    ('train_dataloder', {}, 'train_dataloader'),
    ('custom_hook', [], 'custom_hooks'),
    ('model.type', 'ImageClasifier', 'ImageClassifier'),
    ('model.backbone.type', 'ResNet_CIFA', 'ResNet_CIFAR'),
    ('optim_wrapper.type', 'AmpOptimWraper', 'AmpOptimWrapper'),
    ('optim_wrapper.optimizer.type', 'SDG', 'SGD'),
    ('train_dataloader.dataset.type', 'CIFAR_10', 'CIFAR10'),
    ('train_dataloader.dataset.pipeline.0.type', 'RandomCropp', 'RandomCrop'),
    ('train_dataloader.sampler.type', 'DefaultSamplr', 'DefaultSampler'),
    ('val_evaluator.type', 'Acuracy', 'Accuracy'),
    ('param_scheduler.type', 'MultistepLR', 'MultiStepLR'),
    (
        'custom_hooks',
        [{'type': 'hpml_mm.GracefullStopHook'}],
        'hpml_mm.GracefulStopHook',
    ),
]
CODECS = [
    ('codec.input_sise', (192, 256), 'input_size'),
    ('codec.type', 'MSRAHeatmaps', 'MSRAHeatmap'),
    ('model.head.decoder.sigm', 2, 'sigma'),
    ('model.head.deconv_out_channel', None, 'deconv_out_channels'),
    ('train_dataloader.dataset.pipeline.6.encoder.heatmapsize', 1, 'heatmap_size'),
]


@pytest.mark.parametrize(
    ('recipe', 'key', 'value', 'right'),
    [(FER, *case) for case in MISSPELT] + [(POSE, *case) for case in CODECS],
)
def test_a_misspelling_is_named_with_what_was_meant(stock, recipe, key, value, right):
    cfg = Config(stock[recipe].to_dict())
    place_in(cfg, key, value)
    meant = re.escape(f'did you mean {right!r}')
    with pytest.raises(ValueError, match=meant) as error:
        check_config(cfg)
    # A codec of another type is another problem too.
    assert recipe == POSE or '\n' not in str(error.value)
    assert f' at {key.split(".")[0]}' in str(error.value)


@pytest.mark.parametrize('name', ['ThroughputHook', 'GracefulStopHook'])
def test_a_hook_without_its_package_is_named_with_it(stock, name):
    cfg = Config(stock[FER].to_dict())
    cfg.custom_hooks = [dict(type=name)]
    with pytest.raises(ValueError, match=f"did you mean 'hpml_mm.{name}'"):
        check_config(cfg)


def test_value_and_place_are_in_the_message(stock):
    cfg = Config(stock[FER].to_dict())
    cfg.train_dataloader.batchsize = 128
    cfg.model.backbone.dept = 34
    with pytest.raises(ValueError, match='unknown key') as error:
        check_config(cfg)
    assert str(error.value).splitlines() == [
        "unknown key 'batchsize' (value 128) at train_dataloader.batchsize: "
        "did you mean 'batch_size'?",
        "unknown key 'dept' (value 34) at model.backbone.dept: did you mean 'depth'?",
    ]


def test_a_hook_without_type_says_so(stock):
    cfg = Config(stock[FER].to_dict())
    cfg.custom_hooks = [dict(typ='EMAHook')]
    with pytest.raises(ValueError, match="no key 'type' at custom_hooks.0; is 'typ'"):
        check_config(cfg)


@pytest.mark.parametrize(
    'name',
    [
        'my_learning_rate',
        'train_pipelines',
        'val_evaluator_abs',  # more words, another number: names of their own
        'val_evaluator2',
        'test100_dataloader',
        'aug_train_dataloader',
        'optim_wrapper_cfg',
        'custom_hooks_all',
    ],
)
def test_any_variable_may_stand_at_the_top(stock, name):
    cfg = Config(stock[FER].to_dict())
    cfg[name] = dict(type='Any', size=1)
    check_config(cfg)


@pytest.mark.parametrize('name', ['val_evaluators', 'models', 'train_dataloaders'])
def test_a_variable_that_is_used_may_have_any_name(stock, name):
    cfg = Config(stock[FER].to_dict())
    part = dict(val_evaluators='val_evaluator', models='model').get(
        name, 'train_dataloader'
    )
    cfg[name] = Config(stock[FER].to_dict())[part]
    check_config(cfg)
    cfg[name] = ConfigDict(cfg[name], prefix='another')
    with pytest.raises(ValueError, match=f"did you mean '{part}'"):
        check_config(cfg)


@pytest.mark.parametrize('name', ['checkpoint2', 'checkpoint_best', 'early_stopping'])
def test_a_default_hook_may_have_another_name(stock, name):
    cfg = Config(stock[FER].to_dict())
    cfg.default_hooks[name] = dict(type='CheckpointHook', interval=2)
    check_config(cfg)


def test_a_key_that_another_type_leaves_behind_has_its_remedy(stock):
    cfg = Config(stock[FER].to_dict())
    cfg.optim_wrapper.optimizer = dict(type='Adam', lr=0.1, momentum=0.9)
    with pytest.raises(ValueError, match="'momentum'; if .* _delete_=True"):
        check_config(cfg)


@EVALUATOR.register_module()
class OwnEvaluator(Evaluator):
    """Evaluator of a user's own, with an argument of its own."""

    def __init__(self, metrics, weights=()):
        super().__init__(metrics)


@pytest.mark.parametrize(
    ('kind', 'key', 'right'),
    [
        ('OwnEvaluator', 'weights', None),
        ('OwnEvaluator', 'wieghts', 'weights'),
        ('OwnEvaluater', 'weights', 'OwnEvaluator'),
        (None, 'weights', 'known here: metrics'),
    ],
)
def test_an_evaluator_may_be_of_ones_own_class(stock, kind, key, right):
    cfg = Config(stock[FER].to_dict())
    own = dict(metrics=[dict(type='Accuracy', topk=(1,))], **{key: (1,)})
    cfg.val_evaluator = dict(own, type=kind) if kind else own
    if right is None:
        check_config(cfg)
    else:
        with pytest.raises(ValueError, match=right):
            check_config(cfg)
    cfg.val_evaluator = dict(type='OwnEvaluator', metrics=[dict(type='Acuracy')])
    with pytest.raises(ValueError, match=r"metrics\.0\.type: did you mean 'Accuracy'"):
        check_config(cfg)


@MODELS.register_module()
class ReadsItsParts(nn.Module):
    """Model that takes a key out of a part's dict before it builds the part."""

    def __init__(self, loss):
        super().__init__()
        self.share = loss.pop('share_of_all', 1)


def test_a_key_that_the_owner_of_a_part_reads_is_known(stock):
    cfg = Config(stock[FER].to_dict())
    cfg.model = dict(
        type=ReadsItsParts, loss=dict(type='CrossEntropyLoss', share_of_all=0.5)
    )
    check_config(cfg)
    cfg.model.loss.loss_wieght = cfg.model.loss.pop('share_of_all')
    with pytest.raises(ValueError, match="did you mean 'loss_weight'"):
        check_config(cfg)


@pytest.mark.parametrize('kind', ['hpml_mm.Albumentation', 'Albumentation'])
def test_names_of_albumentations_are_left_to_it(kind):
    """MMCV has a Resize with other arguments, MMPose an Albumentation of its own."""
    inner = dict(type='OneOf', transforms=[dict(type='Resize', height=8, width=8)])
    step = ConfigDict(type=kind, transforms=[inner])
    cfg = get_config(POSE)
    cfg.train_dataloader.dataset.pipeline.append(step)
    check_config(cfg)
    step.transform = []
    cfg.train_dataloader.dataset.pipeline[-1] = step
    with pytest.raises(ValueError, match="unknown key 'transform'"):
        check_config(cfg)


def test_an_optimizer_that_needs_a_closure_needs_a_model_that_gives_one():
    cfg = Config(get_config(FER).to_dict())
    cfg.optim_wrapper = {'optimizer': {'type': 'LBFGS', 'lr': 1.0}}
    with pytest.raises(ValueError, match='LBFGS .* train_step of ImageClassifier'):
        check_config(cfg)

    class Own(MODELS.get('mmpretrain.ImageClassifier')):
        def train_step(self, data, optim_wrapper):
            raise NotImplementedError

    cfg.model.type = Own
    check_config(cfg)
