# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import csv
import json

import numpy as np
import pytest
import torch

from hpml_mm.predictor.spaces import get_space
from hpml_mm.predictor.spaces.ofa_mbv3 import OFAMobileNetV3Space

TEXT = '7-6;5-6;0-0;0-0;3-4;3-4;3-3;0-0;7-6;3-3;5-4;5-4;3-6;3-6;0-0;0-0;5-3;5-4;5-6;0-0'
BLOCKS = [
    ['mbconv3_e6_k7', 'mbconv3_e6_k5'],
    ['mbconv3_e4_k3', 'mbconv3_e4_k3', 'mbconv3_e3_k3'],
    ['mbconv3_e6_k7', 'mbconv3_e3_k3', 'mbconv3_e4_k5', 'mbconv3_e4_k5'],
    ['mbconv3_e6_k3', 'mbconv3_e6_k3'],
    ['mbconv3_e3_k5', 'mbconv3_e4_k5', 'mbconv3_e6_k5'],
]
DICT = {
    'ks': [7, 5, 0, 0, 3, 3, 3, 0, 7, 3, 5, 5, 3, 3, 0, 0, 5, 5, 5, 0],
    'e': [6, 6, 0, 0, 4, 4, 3, 0, 6, 3, 4, 4, 6, 6, 0, 0, 3, 4, 6, 0],
    'd': [2, 3, 4, 2, 3],
}


@pytest.fixture
def mbv3():
    return get_space('ofa-mbv3-w1.0')


@pytest.mark.parametrize('form', [TEXT, BLOCKS, DICT, json.dumps(DICT)])
def test_all_written_forms_name_the_same_network(mbv3, form):
    arch = mbv3.decode(form)
    assert mbv3.encode(arch) == TEXT
    assert mbv3.to_blocks(arch) == BLOCKS
    assert mbv3.to_dict(arch) == DICT


def test_one_number_in_a_dictionary_stands_for_all_slots(mbv3):
    arch = mbv3.decode({'ks': 7, 'e': 6, 'd': 4})
    assert mbv3.encode(arch) == ';'.join(['7-6'] * 20)


def test_values_of_blocks_that_are_left_out_do_not_matter(mbv3):
    filled = {**DICT, 'ks': [kernel or 3 for kernel in DICT['ks']]}
    assert mbv3.encode(mbv3.decode(filled)) == TEXT
    assert mbv3.encode(mbv3.decode({**filled, 'd': [3, 3, 4, 2, 3]} | {'e': 6})) != TEXT


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('7-6', '4-6', 'stage 1 block 1 kernel is 4; allowed are 3, 5, 7'),
        ('3-3', '3-5', 'stage 2 block 3 expansion is 5; allowed are 3, 4, 6'),
        ('5-6', '0-0', 'stage 1 depth is 1; allowed are 2, 3, 4'),
        ('7-6', '0-0', 'stage 1 block 2 is 5-6 behind a block that is left out'),
        ('7-6', '7', "stage 1 block 1 expansion is ''; a whole number"),
        ('7-6;', '', '19 blocks in'),
        ('7-6', '0-6', 'stage 1 block 1 kernel is 0; allowed'),
    ],
)
def test_a_wrong_string_is_an_error_that_names_the_place(mbv3, old, new, message):
    with pytest.raises(ValueError, match=message):
        mbv3.decode(TEXT.replace(old, new, 1))


@pytest.mark.parametrize(
    ('form', 'message'),
    [
        ({**DICT, 'd': [2, 3, 4, 2]}, "'d' has 4 values; 5 are needed"),
        ({'ks': 7, 'e': 6}, r"keys \['e', 'ks'\]; \['d', 'e', 'ks'\] are needed"),
        ({**DICT, 'd': [3, 3, 4, 2, 3]}, 'stage 1 block 3 kernel is missing'),
        (BLOCKS[:4], '4 lists of blocks'),
        ([1, 2, 3, 4, 5], '0 lists of blocks'),
        ([['mbconv2_e6_k7'] * 2, *BLOCKS[1:]], "names are as 'mbconv3_e6_k7'"),
        ('{"ks": 7', 'not valid JSON'),
        ('', '1 blocks in'),
    ],
)
def test_a_wrong_form_is_an_error(mbv3, form, message):
    with pytest.raises(ValueError, match=message):
        mbv3.decode(form)


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


def test_width_must_be_positive():
    with pytest.raises(ValueError, match='width must be above 0, got 0'):
        OFAMobileNetV3Space(0)


def test_depth_is_uniform_and_independent_of_the_blocks(mbv3):
    rng = np.random.default_rng(0)
    archs = [mbv3.sample(rng) for _ in range(3000)]
    depths = np.array([arch.values[-5:] for arch in archs])
    for stage in depths.T:
        counts = np.unique(stage, return_counts=True)[1]
        assert counts == pytest.approx([1000] * 3, abs=130)  # 5 sigma
    assert all(None not in arch.values for arch in archs)


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
