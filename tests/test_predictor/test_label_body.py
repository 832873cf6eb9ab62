# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Archs in the place of backbones: strides, channels, and configs without a place."""

import numpy as np
import pytest
import torch
from mmengine.config import Config

from hpml_mm.config.overrides import read_config
from hpml_mm.predictor.graphs.tracing.trace import trace, uninitialised
from hpml_mm.predictor.labels.body import (
    Features,
    body_of,
    features_of_config,
    swap_body,
)
from hpml_mm.predictor.spaces import SPACES, get_space
from hpml_mm.predictor.spaces.ofa_net import OFANet
from hpml_mm.predictor.stock.config_model import config_model
from hpml_mm.predictor.stock.detectors import detector_call

SPACE = get_space('ofa-mbv3-w1.0')
SMALLEST = SPACE.encode(SPACE.decode({'ks': 3, 'e': 3, 'd': 2}))
RESNET = Features((256, 512, 1024, 2048), (4, 8, 16, 32))
PYRAMID = Features((24, 40, 112, 960), (4, 8, 16, 32))
LAST = Features((960,), (32,))


@pytest.mark.slow
@pytest.mark.parametrize(
    ('config', 'old', 'new', 'indices', 'reader'),
    [
        (
            'mmpretrain::resnet/resnet18_8xb32_in1k.py',
            *(Features((512,), (32,)), LAST, [6], 'head'),
        ),
        (
            'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
            'td-hm_res50_8xb64-210e_coco-256x192.py',
            *(Features((2048,), (32,)), LAST, [6], 'head'),
        ),
        *(
            (f'mmdet::{name}_r50_fpn_1x_coco.py', RESNET, PYRAMID, [1, 2, 4, 6], 'neck')
            for name in (
                'retinanet/retinanet',
                'faster_rcnn/faster-rcnn',
                'panoptic_fpn/panoptic-fpn',
            )
        ),
    ],
)
def test_a_body_takes_the_place_of_a_stock_backbone(config, old, new, indices, reader):
    cfg = read_config(config)
    assert features_of_config(cfg, config) == old
    body, found = body_of(SPACE, SMALLEST, old)
    assert (found, body.out_indices) == (new, indices)
    swap_body(cfg, body, old, found, config)
    channels = list(new.channels) if reader == 'neck' else new.channels[-1]
    assert cfg.model[reader].in_channels == channels
    assert 'init_cfg' not in cfg.model.backbone
    with uninitialised():
        model = config_model(cfg, config)
    graph = trace(model, (3, 64, 64), detector_call(model))
    # The stem of MobileNetV3: 16 channels, 3x3, of 3 colours, at half the size.
    assert graph.shapes[0].tolist() == [3, 16, 3, 3]
    assert graph.macs[0] == 32 * 32 * 16 * 3 * 9


@pytest.mark.slow
@pytest.mark.parametrize('name', SPACES)
def test_every_space_has_bodies_with_the_features_that_are_told(name):
    space = get_space(name)
    arch = space.encode(space.sample(np.random.default_rng(3)))
    with torch.device('meta'):
        deepest = OFANet(name, arch)
        image = torch.zeros(1, 3, 128, 128)
        stride = 128 // deepest.eval()(image)[0].shape[2]
        body, features = body_of(space, arch, Features((0,), (stride,)))
        (found,) = OFANet(**{k: v for k, v in body.items() if k != 'type'}).eval()(
            image
        )
    assert features == Features((found.shape[1],), (128 // found.shape[2],))
    # Of several with this stride it is the last.
    assert found.shape == deepest(image)[0].shape


def test_channels_of_resnet_bodies_are_those_of_each_arch():
    space = get_space('ofa-resnet50')
    wanted = Features((0, 0), (8, 32))
    found = {}
    for width in (0, 2):
        arch = space.encode(space.decode({'d': 0, 'e': 0.2, 'w': width}))
        body, features = body_of(space, arch, wanted)
        found[width] = features.channels
        assert body.out_indices == [2, 4]
    # 512 and 2,048 channels by .65 and 1, in steps of 8.
    assert found == {0: (336, 1328), 2: (512, 2048)}


def test_a_supernet_is_handed_on():
    body, _ = body_of(SPACE, SMALLEST, LAST, 'supernet.pth')
    assert body.supernet == 'supernet.pth'
    assert 'supernet' not in body_of(SPACE, SMALLEST, LAST)[0]


@pytest.mark.parametrize(
    ('space', 'strides', 'told'),
    [
        ('ofa-mbv3-w1.0', (64,), '2, 4, 8, 16, 32, each once; 64 are needed'),
        ('ofa-mbv3-w1.0', (8, 8), '8, 8 are needed'),
        ('nas-bench-201', (4, 32), 'strides 1, 2, 4, each once; 4, 32'),
    ],
)
def test_strides_that_a_body_has_not_are_told(space, strides, told):
    home = get_space(space)
    arch = home.encode(home.sample(np.random.default_rng(0)))
    with pytest.raises(ValueError, match=told):
        body_of(home, arch, Features((1,) * len(strides), strides))


def toy_config(**changes) -> Config:
    model = {
        'type': 'ImageClassifier',
        'pretrained': 'weights.pth',
        'backbone': {'type': 'ResNet', 'depth': 18, 'out_indices': (3,)},
        'neck': {'type': 'GlobalAveragePooling'},
        'head': {'type': 'LinearClsHead', 'num_classes': 7, 'in_channels': 512},
    }
    step = {'type': 'CenterCrop', 'crop_size': 44}
    return Config(
        {
            'default_scope': 'mmpretrain',
            'model': {**model, **changes},
            'test_dataloader': {'dataset': {'pipeline': [step]}},
            'load_from': 'whole.pth',
        },
    )


def test_weights_of_the_other_backbone_are_left_out():
    cfg = toy_config(init_cfg={'type': 'Pretrained', 'checkpoint': 'all.pth'})
    body, new = body_of(SPACE, SMALLEST, LAST)
    swap_body(cfg, body, Features((512,), (32,)), new, 'a.py')
    assert cfg.load_from is cfg.model.pretrained is cfg.model.init_cfg is None
    assert cfg.model.backbone == body
    assert cfg.model.head.in_channels == 960


def test_all_heads_that_read_the_last_feature_map_take_its_channels():
    other = {'type': 'LinearClsHead', 'num_classes': 7, 'in_channels': 7}
    cfg = toy_config(auxiliary_head=[{**other, 'in_channels': 512}, other])
    body, new = body_of(SPACE, SMALLEST, LAST)
    swap_body(cfg, body, Features((512,), (32,)), new, 'a.py')
    assert [one.in_channels for one in cfg.model.auxiliary_head] == [960, 7]


def test_strides_of_odd_sides_are_whole():
    """44 pixels become 22, 11, 6, 3 and 2: a stride of 32, not of 22."""
    cfg = toy_config(pretrained=None)
    assert features_of_config(cfg, 'a.py') == Features((512,), (32,))


@pytest.mark.parametrize(
    ('changes', 'told'),
    [
        ({'backbone': None}, 'a.py has no model.backbone'),
        (
            {'backbone': {'type': 'ResNet', 'depth': 18, 'in_channels': 1}},
            'images have 1 channel, and bodies of search spaces take 3',
        ),
        (
            {
                'backbone': {
                    'type': 'VisionTransformer',
                    'arch': {
                        **{'embed_dims': 8, 'num_layers': 1, 'num_heads': 2},
                        'feedforward_channels': 8,
                    },
                    'img_size': 44,
                    'patch_size': 11,
                }
            },
            r'backbone VisionTransformer gives no feature maps \(N, C, H, W\)',
        ),
    ],
)
def test_backbones_that_no_body_can_replace_are_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        features_of_config(toy_config(pretrained=None, **changes), 'a.py')


@pytest.mark.parametrize(
    ('head', 'told'),
    [
        ({'type': 'ClsHead'}, 'no neck or head has in_channels=512.*no in_channels'),
        ({'type': 'LinearClsHead', 'in_channels': 64}, 'it has head.in_channels=64'),
    ],
)
def test_a_head_without_a_place_for_channels_is_refused(head, told):
    cfg = toy_config(head=head)
    body, new = body_of(SPACE, SMALLEST, LAST)
    with pytest.raises(ValueError, match=told):
        swap_body(cfg, body, Features((512,), (32,)), new, 'a.py')
    assert cfg.model.backbone.type == 'ResNet'
