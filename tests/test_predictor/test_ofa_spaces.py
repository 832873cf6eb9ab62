# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The spaces of Once-for-All: channels, depths and published costs."""

import csv

import pytest
import torch
from mmpretrain.models import GlobalAveragePooling, ResNetV1d
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hpml_mm.predictor.spaces import get_space

SMALL = {'d': [0] * 5, 'e': 0.2, 'w': 0}
LARGE = {'d': [2] * 5, 'e': 0.35, 'w': 2}


@pytest.fixture
def mbv3():
    return get_space('ofa-mbv3-w1.0')


def resnet(form):
    space = get_space('ofa-resnet50')
    with torch.device('meta'):
        return space.build(space.decode(form)).eval()


def test_channels_of_the_published_widths():
    with torch.device('meta'):
        wide = get_space('ofa-mbv3-w1.2')
        net = wide.build(wide.decode({'ks': 3, 'e': 6, 'd': 2}))
        assert net.first_conv.conv.out_channels == 24
        outputs = [block.conv.point_linear.conv.out_channels for block in net.blocks]
        assert outputs == [24, *(w for w in (32, 48, 96, 136, 192) for _ in '12')]
        assert net.final_expand_layer.conv.out_channels == 1152
        assert net.feature_mix_layer.conv.out_channels == 1536

        proxyless = get_space('ofa-pn-w1.3')
        net = proxyless.build(proxyless.decode({'ks': 3, 'e': 6, 'd': [2] * 5 + [1]}))
        assert net.first_conv.conv.out_channels == 40
        outputs = [block.conv.point_linear.conv.out_channels for block in net.blocks]
        assert outputs == [24, *(w for w in (32, 56, 104, 128, 248) for _ in '12'), 416]
        assert net.feature_mix_layer.conv.out_channels == 1664
        assert net.feature_mix_layer.bn.eps == 1e-3


def test_squeeze_and_excitation_in_three_stages_only(mbv3):
    with torch.device('meta'):
        net = mbv3.build(mbv3.decode({'ks': 3, 'e': 6, 'd': 2}))
    gated = [hasattr(block.conv.depth_conv, 'se') for block in net.blocks]
    assert gated == [False, *(se for se in (0, 1, 0, 1, 1) for _ in '12')]
    reduce = net.blocks[3].conv.depth_conv.se.fc.reduce
    assert (reduce.in_channels, reduce.out_channels) == (144, 40)


def test_the_fixed_last_stage_of_proxylessnas():
    space = get_space('ofa-pn-w1.3')
    assert len(space.slots) == 21 + 21 + 6
    text = ';'.join(['3-3;3-3;0-0;0-0'] * 5 + ['7-6'])
    assert space.encode(space.decode(text)) == text
    with pytest.raises(ValueError, match='stage 6 depth is 0; allowed are 1'):
        space.decode(text.replace('7-6', '0-0'))


@pytest.mark.slow
@pytest.mark.real_data
def test_macs_and_parameters_of_the_whole_published_table(mbv3, real_data):
    path = real_data / 'nas' / 'ofa_mbv3_w1.0_imagenet.csv'
    with path.open(encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1862
    for row in rows:
        arch = mbv3.decode(row['arch'])
        assert mbv3.encode(arch) == row['arch']
        graph = mbv3.graph(arch)
        counted = (graph.total_macs, graph.total_params)
        assert counted == (int(row['macs']), int(row['params'])), row['arch']


def test_depths_and_widths_of_the_smallest_and_largest_network():
    small, large = resnet(SMALL), resnet(LARGE)
    assert [len(small.input_stem), len(small.blocks)] == [2, 10]
    assert [len(large.input_stem), len(large.blocks)] == [3, 18]
    # Section 3.2 of AIO-P's description: the last width is 1328, 1640 or 2048.
    assert small.classifier.linear.in_features == 1328
    assert large.classifier.linear.in_features == 2048
    middle = resnet({**SMALL, 'w': 1})
    assert middle.classifier.linear.in_features == 1640
    assert small.blocks[0].conv1.conv.out_channels == 32  # A fifth of 168.
    assert large.blocks[0].conv2.conv.out_channels == 88  # .35 of 256, in eights.


def test_one_of_the_networks_is_resnet50d():
    net = resnet({'d': [2, 1, 2, 2, 1], 'e': 0.25, 'w': 2})
    classifier = nn.Linear(2048, 1000)
    other = nn.Sequential(
        ResNetV1d(depth=50), GlobalAveragePooling(), Last(), classifier
    )
    assert costs(net) == costs(other.to('meta').eval())


class Last(nn.Module):
    """The last of a tuple of features."""

    def forward(self, features):
        return features[-1]


def costs(net):
    with FlopCounterMode(display=False) as counter:
        net(torch.empty(1, 3, 224, 224, device='meta'))
    return counter.get_total_flops(), sum(p.numel() for p in net.parameters())
