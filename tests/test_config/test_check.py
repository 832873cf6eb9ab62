# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Stock recipes pass, and a misspelling anywhere is named with what was meant."""

import re

import pytest
from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config
from mmengine.registry import MODELS

import hpml_mm  # noqa: F401  # mmpose without compiled ops
from hpml_mm.config.check import check_config

FER = 'mmpretrain::resnet/resnet18_8xb16_cifar10.py'
POSE = (
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'
)
# One or two of each family and kind of training; all that load were tried once.
STOCK = [
    *(
        f'mmpretrain::{name}.py'
        for name in (
            'resnet/resnet50_8xb32_in1k',
            'resnet/resnet50_8xb32-fp16-dynamic_in1k',
            'resnet/resnet50_8xb256-rsb-a1-600e_in1k',
            'resnet/resnet50_8xb8_cub',
            'resnest/resnest101_32xb64_in1k',
            'efficientnet/efficientnet-b0_8xb32_in1k',
            'efficientnet_v2/efficientnetv2-s_8xb32_in1k-384px',
            'mobilenet_v2/mobilenet-v2_8xb32_in1k',
            'mobilenet_v3/mobilenet-v3-small-050_8xb128_in1k',
            'convnext/convnext-tiny_32xb128_in1k',
            'vision_transformer/vit-base-p16_64xb64_in1k',
            'deit3/deit3-base-p16_64xb32_in1k-384px',
            'swin_transformer/swin-tiny_16xb64_in1k',
            'twins/twins-svt-base_8xb128_in1k',
            'repvgg/repvgg-A0_8xb32_in1k',
            'csra/resnet101-csra_1xb16_voc07-448px',
            'arcface/resnet50-arcface_8xb32_inshop',
            'mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k',
            'mae/benchmarks/vit-base-p16_8xb128-coslr-100e_in1k',
            'mocov3/mocov3_resnet50_8xb512-amp-coslr-100e_in1k',
            'simclr/simclr_resnet50_16xb256-coslr-200e_in1k',
            'dinov2/vit-small-p14_dinov2-pre_headless',
            'blip/blip-base_8xb32_retrieval',
            'flamingo/flamingo_fewshot_vqa',
        )
    ),
    POSE,
    *(
        f'mmpose::{name}.py'
        for name in (
            'animal_2d_keypoint/topdown_heatmap/ap10k/'
            'td-hm_hrnet-w48_8xb64-210e_ap10k-256x256',
            'animal_2d_keypoint/rtmpose/ap10k/rtmpose-m_8xb64-210e_ap10k-256x256',
            'body_2d_keypoint/topdown_heatmap/coco/'
            'td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192',
            'body_2d_keypoint/topdown_heatmap/coco/'
            'td-hm_ViTPose-small_8xb64-210e_coco-256x192',
            'body_2d_keypoint/topdown_heatmap/coco/'
            'td-hm_2xmspn50_8xb32-210e_coco-256x192',
            'body_2d_keypoint/topdown_heatmap/coco/'
            'td-hm_hrnet-w32_coarsedropout-8xb64-210e_coco-256x192',
            'body_2d_keypoint/topdown_regression/coco/'
            'td-reg_res50_rle-8xb64-210e_coco-256x192',
            'body_2d_keypoint/simcc/coco/simcc_res50_8xb64-210e_coco-256x192',
            'body_2d_keypoint/integral_regression/coco/ipr_res50_8xb64-210e_coco-256x256',
            'body_2d_keypoint/associative_embedding/coco/'
            'ae_hrnet-w32_8xb24-300e_coco-512x512',
            'body_2d_keypoint/dekr/coco/dekr_hrnet-w32_8xb10-140e_coco-512x512',
            'body_2d_keypoint/cid/coco/cid_hrnet-w32_8xb20-140e_coco-512x512',
            'body_2d_keypoint/rtmo/coco/rtmo-s_8xb32-600e_coco-640x640',
            'body_2d_keypoint/rtmpose/body8/rtmpose-t_8xb256-420e_body8-256x192',
            'body_3d_keypoint/video_pose_lift/h36m/'
            'video-pose-lift_tcn-27frm-supv_8xb128-160e_h36m',
            'face_2d_keypoint/topdown_heatmap/wflw/td-hm_hrnetv2-w18_8xb64-60e_wflw-256x256',
            'hand_3d_keypoint/internet/interhand3d/'
            'internet_res50_4xb16-20e_interhand3d-256x256',
        )
    ),
]


@pytest.mark.slow
def test_stock_recipes_pass():
    refused = []
    for name in STOCK:
        try:
            check_config(get_config(name))
        except Exception as error:
            refused.append(f'{name}: {error!r}')
    assert not refused, '\n'.join(refused)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        # Both fail in MMPose itself as soon as the data set is built.
        (
            'body_2d_keypoint/yoloxpose/coco/yoloxpose_tiny_4xb64-300e_coco-416.py',
            'extra_mapping_labels',
        ),
        (
            'hand_2d_keypoint/rtmpose/hand5/rtmpose-m_8xb256-210e_hand5-256x256.py',
            'HalpeHandDataset',
        ),
    ],
)
def test_a_stock_recipe_that_cannot_be_built_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        check_config(get_config(f'mmpose::{name}'))


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


def test_any_variable_may_stand_at_the_top(stock):
    cfg = Config(stock[FER].to_dict())
    cfg.my_learning_rate = 1
    cfg.train_pipelines = []
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
