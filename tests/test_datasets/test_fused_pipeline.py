# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Stock pipelines in the words of the fused one, or the step that stands in the way."""

from copy import deepcopy

import pytest

from hpml_mm.config.overrides import load_config
from hpml_mm.datasets.pose.fused_pipeline import fuse_pipeline

CODEC = {'type': 'MSRAHeatmap', 'input_size': (96, 128), 'heatmap_size': (24, 32)}
TRAIN = [
    {'type': 'LoadImage'},
    {'type': 'GetBBoxCenterScale', 'padding': 1.5},
    {'type': 'mmpose.RandomFlip', 'direction': 'horizontal'},
    {'type': 'RandomHalfBody'},
    {'type': 'PhotometricDistortion', 'hue_delta': 3},
    {'type': 'RandomBBoxTransform', 'rotate_factor': 20},
    {'type': 'TopdownAffine', 'input_size': (96, 128), 'use_udp': True},
    {'type': 'GenerateTarget', 'encoder': CODEC},
    {'type': 'PackPoseInputs', 'meta_keys': ('id',)},
]


def test_every_setting_finds_its_place():
    fused = fuse_pipeline(TRAIN, 0.5, 'images')
    assert fused.encoder == CODEC
    assert fused.steps == [
        {
            'type': 'hpml_mm.LoadCachedImage',
            'cache_gib': 0.5,
            'cache_dir': 'images',
        },
        {
            'type': 'hpml_mm.FusedTopdownWarp',
            'input_size': (96, 128),
            'use_udp': True,
            'padding': 1.5,
            'flip': {'direction': 'horizontal'},
            'half_body': {},
            'photometric': {'hue_delta': 3},
            'bbox_transform': {'rotate_factor': 20},
        },
        {'type': 'hpml_mm.PackKeypoints', 'meta_keys': ('id',)},
    ]


def test_a_validation_has_neither_augmentation_nor_targets():
    steps = [TRAIN[0], TRAIN[1], TRAIN[6], {'type': 'PackPoseInputs'}]
    fused = fuse_pipeline(steps, 1)
    assert fused.encoder is None
    assert fused.steps[1].keys() == {'type', 'input_size', 'use_udp', 'padding'}


def changed(at, *steps):
    pipeline = deepcopy(TRAIN)
    pipeline[at : at + 1] = steps
    return pipeline


@pytest.mark.parametrize(
    ('pipeline', 'message'),
    [
        (changed(3, {'type': 'Albumentation'}), 'Albumentation is none of the steps'),
        (changed(0, {'type': 'LoadImage', 'to_float32': True}), 'LoadImage has to_fl'),
        (changed(0), 'its first step is GetBBoxCenterScale, not LoadImage'),
        (changed(8), 'its last step is GenerateTarget, not PackPoseInputs'),
        (changed(7, {'type': 'GenerateTarget', 'encoder': [CODEC]}), 'several encod'),
        (changed(2, TRAIN[3], TRAIN[2]), 'are not in the order GetBBoxCenterScale'),
        (changed(1), 'does not go from GetBBoxCenterScale to TopdownAffine'),
        (changed(6), 'does not go from GetBBoxCenterScale to TopdownAffine'),
        (changed(4, TRAIN[4], TRAIN[4]), 'PhotometricDistortion is there twice'),
        (
            changed(6, {'type': 'TopdownAffine', 'interp': 1}),
            'Affine has interp',
        ),
        (changed(6, {'type': 'TopdownAffine'}), 'has no input_size'),
        (changed(1, {**TRAIN[1], 'pad': 1}), 'GetBBoxCenterScale has pad'),
        ([], 'its first step is -, not LoadImage'),
    ],
)
def test_what_stands_in_the_way_is_named(pipeline, message):
    with pytest.raises(ValueError, match=message):
        fuse_pipeline(pipeline, 1)


@pytest.mark.parametrize(
    'config',
    [
        'td-hm_hrnet-w32_8xb64-210e_coco-256x192.py',
        'td-hm_hrnet-w32_udp-8xb64-210e_coco-256x192.py',
        'td-hm_res50_8xb64-210e_coco-256x192.py',
    ],
)
def test_stock_configs_can_be_fused(config):
    cfg = load_config(f'mmpose::body_2d_keypoint/topdown_heatmap/coco/{config}')
    fused = fuse_pipeline(cfg.train_dataloader.dataset.pipeline, 1)
    assert tuple(fused.steps[1]['input_size']) == (192, 256)
    assert fused.encoder == cfg.codec
