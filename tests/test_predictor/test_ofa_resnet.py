# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
import torch
from mmpretrain.models import GlobalAveragePooling, ResNetV1d
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hpml_mm.predictor.spaces import get_space

SMALL = {'d': [0] * 5, 'e': 0.2, 'w': 0}
LARGE = {'d': [2] * 5, 'e': 0.35, 'w': 2}
TEXT = (
    'd=0-0-0-0-0;'
    'e=0.2-0.2-0-0-0.2-0.2-0-0-0.2-0.2-0.2-0.2-0-0-0.2-0.2-0-0;'
    'w=0-0-0-0-0-0'
)


@pytest.fixture
def space():
    return get_space('ofa-resnet50')


def built(space, form):
    with torch.device('meta'):
        return space.build(space.decode(form)).eval()


def test_string_and_dictionary_name_the_same_network(space):
    arch = space.decode(SMALL)
    assert space.encode(arch) == TEXT
    assert space.decode(TEXT) == arch
    assert space.decode(space.to_dict(arch)) == arch


def test_depths_and_widths_of_the_smallest_and_largest_network(space):
    small, large = built(space, SMALL), built(space, LARGE)
    assert [len(small.input_stem), len(small.blocks)] == [2, 10]
    assert [len(large.input_stem), len(large.blocks)] == [3, 18]
    # Section 3.2 of AIO-P's description: the last width is 1328, 1640 or 2048.
    assert small.classifier.linear.in_features == 1328
    assert large.classifier.linear.in_features == 2048
    middle = built(space, {**SMALL, 'w': 1})
    assert middle.classifier.linear.in_features == 1640
    assert small.blocks[0].conv1.conv.out_channels == 32  # A fifth of 168.
    assert large.blocks[0].conv2.conv.out_channels == 88  # .35 of 256, in eights.


def test_stage_beginnings_pool_their_shortcut(space):
    net = built(space, LARGE)
    projected = [i for i, block in enumerate(net.blocks) if len(block.downsample)]
    assert projected == [0, 4, 8, 14]
    pooled = [hasattr(net.blocks[i].downsample, 'avg_pool') for i in projected]
    assert pooled == [False, True, True, True]


def test_one_of_the_networks_is_resnet50d(space):
    net = built(space, {'d': [2, 1, 2, 2, 1], 'e': 0.25, 'w': 2})
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


@pytest.mark.parametrize(
    ('form', 'message'),
    [
        ({**SMALL, 'd': [1, 0, 0, 0, 0]}, 'stem depth is 1; allowed are 0, 2'),
        ({**SMALL, 'e': 0.3}, 'stage 1 block 1 expansion is 0.3; allowed are 0.2'),
        ({**SMALL, 'w': [0, 0, 0, 0, 0, 3]}, 'stage 4 width is 3; allowed are 0, 1, 2'),
        ({**SMALL, 'e': [0.2] * 10}, "'e' has 10 values; 18 are needed"),
        (TEXT.replace('d=0', 'd=x'), 'is not as d=2-0-1-2-1'),
        (TEXT.replace(';w=', ';v='), r"keys \['d', 'e', 'v'\]"),
        (TEXT.replace('e=', 'd=', 1), 'd= is there twice'),
        ([1, 2], 'is no dictionary'),
        (12, '12 is no architecture'),
    ],
)
def test_a_wrong_form_is_an_error_that_names_the_place(space, form, message):
    with pytest.raises(ValueError, match=message):
        space.decode(form)
