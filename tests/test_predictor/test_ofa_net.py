# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
import torch
from mmengine.model import BaseModule
from mmengine.registry import init_default_scope

from hpml_mm.predictor.spaces import get_space
from hpml_mm.predictor.spaces.ofa_net import OFANet
from hpml_mm.registry import MODELS

SMALL = {'ks': 3, 'e': 3, 'd': 2}


@pytest.mark.parametrize(
    ('options', 'side', 'expected'),
    [
        (
            {'out_indices': range(7)},
            64,
            [
                *((16, 32, 32), (24, 16, 16), (40, 8, 8), (80, 4, 4), (112, 4, 4)),
                *((160, 2, 2), (960, 2, 2)),
            ],
        ),
        (
            {'space': 'pn', 'arch': {**SMALL, 'd': [2] * 5 + [1]}}
            | {'out_indices': (0, 3, 6, 7)},
            64,
            [(24, 32, 32), (104, 4, 4), (416, 2, 2), (1664, 2, 2)],
        ),
        (
            {'space': 'resnet50', 'arch': {'d': 0, 'e': 0.2, 'w': 0}}
            | {'out_indices': range(5)},
            64,
            [(40, 32, 32), (168, 16, 16), (336, 8, 8), (664, 4, 4), (1328, 2, 2)],
        ),
        # By default the end of the body.
        ({'width': 1.2}, 64, [(1152, 2, 2)]),
        ({'space': 'nas-bench-macro', 'arch': '0' * 8}, 32, [(1280, 4, 4)]),
    ],
)
def test_features_of_each_family(options, side, expected):
    net = OFANet(**{'space': 'mbv3', 'arch': SMALL} | options).eval()
    with torch.no_grad():
        found = [tuple(f.shape[1:]) for f in net(torch.zeros(1, 3, side, side))]
    assert found == expected


def test_a_whole_width_names_the_same_space():
    assert OFANet('mbv3', SMALL, width=1).space.name == 'ofa-mbv3-w1.0'


def test_backbone_and_classifier_share_weights_by_name():
    space = get_space('ofa-mbv3-w1.0')
    whole = space.build(space.decode(SMALL)).eval()
    body = OFANet('mbv3', SMALL).eval()
    missing = body.load_state_dict(whole.state_dict(), strict=False)
    assert not missing.missing_keys
    heads = {key.split('.')[0] for key in missing.unexpected_keys}
    assert heads == {'feature_mix_layer', 'classifier'}
    x = torch.randn(1, 3, 64, 64)
    (feature,) = body(x)
    head = whole[-3:]
    torch.testing.assert_close(head(feature), whole(x))


def test_weights_come_out_of_a_supernet(tmp_path):
    torch.manual_seed(0)
    space = get_space('ofa-mbv3-w1.0')
    largest = space.build(space.decode({'ks': 7, 'e': 6, 'd': 4})).state_dict()
    torch.save({'state_dict': largest}, tmp_path / 'supernet.pth')
    net = OFANet('mbv3', {**SMALL, 'ks': 7}, supernet=str(tmp_path / 'supernet.pth'))
    model = BaseModule()
    model.backbone = net
    model.init_weights()
    # Its fourth block is the second of stage 2; the supernet has four in stage 1.
    name = 'point_linear.conv.weight'
    weight = net.state_dict()[f'blocks.4.conv.{name}']
    source = largest[f'blocks.6.conv.{name}']
    assert torch.equal(weight, source[:, : weight.shape[1]])


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        ({'space': 'mbv2'}, "no search space 'mbv2'"),
        ({'width': 0.37}, "width is 0.37; 'mbv3' has 1.0 and 1.2"),
        ({'space': 'pn', 'width': 1}, "width is 1; 'pn' has 1.3"),
        ({'space': 'resnet50', 'width': 2}, "leave it out for 'resnet50'"),
        ({'arch': {**SMALL, 'ks': 4}}, 'kernel is 4; allowed are 3, 5, 7'),
        ({'out_indices': (2, 7)}, 'among 0 to 6, ascending'),
        ({'out_indices': (3, 2)}, 'among 0 to 6, ascending'),
        ({'out_indices': ()}, 'among 0 to 6, ascending'),
        ({'out_indices': (-8,)}, r'\[-8\]; they must be among'),
    ],
)
def test_wrong_arguments_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        OFANet(**{'space': 'mbv3', 'arch': SMALL} | wrong)


BACKBONE = {'type': 'hpml_mm.OFANet', 'space': 'mbv3', 'arch': SMALL}
CLASSIFIER = {
    'type': 'mmpretrain.ImageClassifier',
    'neck': {'type': 'mmpretrain.GlobalAveragePooling'},
    'head': {'type': 'mmpretrain.LinearClsHead', 'num_classes': 3, 'in_channels': 960},
}
POSE = {
    'type': 'mmpose.TopdownPoseEstimator',
    'head': {
        'type': 'mmpose.HeatmapHead',
        'in_channels': 960,
        'out_channels': 17,
        'loss': {'type': 'mmpose.KeypointMSELoss'},
    },
}


@pytest.mark.parametrize(
    # Three deconvolutions double a side of 2 pixels each.
    ('package', 'model', 'shape'),
    [('mmpretrain', CLASSIFIER, (2, 3)), ('mmpose', POSE, (2, 17, 16, 16))],
)
def test_models_of_both_packages_take_it(package, model, shape):
    pytest.importorskip(package)
    init_default_scope(package)
    net = MODELS.build({**model, 'backbone': BACKBONE})
    found = net(torch.zeros(2, 3, 64, 64), None, mode='tensor')
    found.square().sum().backward()
    assert found.shape == shape
    assert net.backbone.first_conv.conv.weight.grad is not None
