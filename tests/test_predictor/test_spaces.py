# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Every search space: what each must do, written once for all."""

import json

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hpml_mm.predictor.graphs import same, validate
from hpml_mm.predictor.graphs.tracing.trace import trace
from hpml_mm.predictor.spaces import SPACES, Arch, get_space

BLOCK = 'ofa-mbv3-w1.0'
RESNET = 'ofa-resnet50'
MACRO, CELLS, DAGS = 'nas-bench-macro', 'nas-bench-201', 'nas-bench-101'
TRANSNAS, TRANSNAS_CELLS = 'transnas-macro', 'transnas-micro'
DAG = '0110000100010000 input conv1x1-bn-relu maxpool3x3 output'
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
SMALL = {'d': [0] * 5, 'e': 0.2, 'w': 0}
SMALL_TEXT = (
    'd=0-0-0-0-0;'
    'e=0.2-0.2-0-0-0.2-0.2-0-0-0.2-0.2-0.2-0.2-0-0-0.2-0.2-0-0;'
    'w=0-0-0-0-0-0'
)
CELL = (
    '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|'
    'nor_conv_3x3~2|'
)


@pytest.fixture(params=list(SPACES))
def space(request):
    return get_space(request.param)


def samples(space, count, seed=0):
    rng = np.random.default_rng(seed)
    return [space.sample(rng) for _ in range(count)]


def test_samples_are_seeded_uniform_and_use_every_choice(space):
    archs = samples(space, 1000)
    assert archs[:5] == samples(space, 5)
    assert archs[:5] != samples(space, 5, seed=1)
    # Not all values of the others go together.
    free = {TRANSNAS: (), DAGS: range(21, 26)}.get(space.name, range(len(space.slots)))
    for index in free:
        slot = space.slots[index]
        drawn = [arch.values[index] for arch in archs]
        share = 1 / len(slot.choices)
        std = (share * (1 - share) / 1000) ** 0.5
        for choice in slot.choices:
            assert drawn.count(choice) / 1000 == pytest.approx(share, abs=5 * std)


def test_a_string_is_read_back_and_names_one_network(space):
    for arch in samples(space, 30):
        text, canonical = space.encode(arch), space.canonical(arch)
        assert space.decode(f' {text}\n') == canonical
        assert space.encode(canonical) == text
        simple = space.simplify(arch)
        assert space.simplify(simple) == simple == space.canonical(simple)
        if space.name not in (CELLS, TRANSNAS_CELLS, DAGS):
            assert space.encode(simple) == text


@pytest.mark.slow
def test_the_joined_graph_is_the_traced_one_and_counts_what_pytorch_counts(space):
    (arch,) = samples(space, 1)
    side = space.resolution // 2
    with torch.device('meta'):
        net = space.build(arch, num_classes=7).eval()
        with FlopCounterMode(display=False) as counter:
            logits = net(torch.empty(1, 3, side, side))
    joined = space.graph(arch, resolution=side, num_classes=7)
    validate(joined)
    assert logits.shape == (1, 7)
    assert joined.total_macs == counter.get_total_flops() // 2
    assert joined.total_params == sum(p.numel() for p in net.parameters())
    traced = trace(net, (3, side, side), lambda net, image: net(image.to('meta')))
    assert same(joined, traced, names=True)
    canonical = space.canonical(arch)
    assert same(joined, space.graph(canonical, side, num_classes=7))


def test_mutants_and_children_are_in_the_space(space):
    rng = np.random.default_rng(0)
    # Their canonical forms put layers, or vertices, in another order.
    ordered = space.name not in (MACRO, DAGS)
    for first, second in zip(samples(space, 20), samples(space, 20, 1), strict=True):
        arch, other = space.canonical(first), space.canonical(second)
        assert space.mutate(arch, rng, p=0) == space.cross(arch, arch, rng) == arch
        space.validate(space.mutate(arch, rng, p=0.3))
        space.validate(space.cross(arch, other, rng))
        everything, child = (
            space.mutate(arch, rng, p=0.5 if space.name == DAGS else 1),
            space.cross(first, second, rng),
        )
        assert child == space.canonical(child)
        if ordered:
            rows = zip(child.values, first.values, second.values, strict=True)
            assert all(value is None or value in pair for value, *pair in rows)
            rows = zip(arch.values, everything.values, space.slots, strict=True)
            free = [(a, b) for a, b, slot in rows if a and len(slot.choices) > 1]
            assert not any(a == b for a, b in free)
    with pytest.raises(ValueError, match='between 0 and 1, got 2'):
        space.mutate(arch, rng, p=2)


def test_a_value_outside_the_space_is_named_with_slot_and_choices(space):
    (arch,) = samples(space, 1)
    slot = space.slots[0]
    listed = ', '.join(map(str, slot.choices))
    with pytest.raises(ValueError, match=f'{slot.name} is 99; allowed are {listed}'):
        space.encode(Arch(space.name, (99, *arch.values[1:])))
    missing = Arch(space.name, (None, *arch.values[1:]))
    for use in (space.build, space.graph, space.decode):
        with pytest.raises(ValueError, match=f'{slot.name} is missing'):
            use(missing)
    with pytest.raises(ValueError, match="is one of 'elsewhere'"):
        space.validate(Arch('elsewhere', ()))
    with pytest.raises(ValueError, match='2 values for'):
        space.validate(Arch(space.name, (1, 2)))
    with pytest.raises(ValueError, match='cannot be traced with an input of'):
        space.graph(arch, resolution=0)


@pytest.mark.parametrize(
    ('name', 'text', 'forms'),
    [
        (BLOCK, TEXT, [BLOCKS, DICT, json.dumps(DICT)]),
        (BLOCK, TEXT, [{**DICT, 'ks': [kernel or 3 for kernel in DICT['ks']]}]),
        (BLOCK, ';'.join(['7-6'] * 20), [{'ks': 7, 'e': 6, 'd': 4}]),
        (RESNET, SMALL_TEXT, [SMALL, json.dumps(SMALL)]),
        # Stages of 2, 3 and 3 layers, whose first one strides and so stays.
        (MACRO, '02020120', ['02002102']),
        (MACRO, '22212200', ['22212200']),
        (CELLS, CELL, [CELL]),
        (TRANSNAS, '64-1432-basic', ['64-1432-basic']),
        (TRANSNAS_CELLS, '64-41414-1_23_013', ['64-41414-1_23_013']),
        (
            DAGS,
            DAG,
            [
                # Vertex 2 leads nowhere, and nothing leads to vertex 4.
                '0111000'
                '0000001'
                '0000000'
                '0000001'
                '0000001'
                '0000000'
                '0000000 input conv1x1-bn-relu maxpool3x3 maxpool3x3 conv3x3-bn-relu '
                'conv3x3-bn-relu output',
                {
                    'matrix': [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]],
                    'ops': DAG.split()[1:],
                },
                '{"module_adjacency": [[0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], '
                '[0, 0, 0, 0]], "module_operations": ["input", "conv1x1-bn-relu", '
                '"maxpool3x3", "output"]}',
            ],
        ),
    ],
)
def test_all_written_forms_name_the_same_network(name, text, forms):
    space = get_space(name)
    for form in forms:
        assert space.encode(space.decode(form)) == text
    if hasattr(space, 'to_dict'):
        assert space.decode(space.to_dict(space.decode(text))) == space.decode(text)


@pytest.mark.parametrize(
    ('name', 'form', 'message'),
    [
        (BLOCK, f'4{TEXT[1:]}', 'stage 1 block 1 kernel is 4; allowed are 3, 5, 7'),
        (BLOCK, TEXT.replace('3-3', '3-5'), 'stage 2 block 3 expansion is 5; allowed'),
        (BLOCK, TEXT.replace('5-6', '0-0', 1), 'stage 1 depth is 1; allowed are 2, 3'),
        (BLOCK, f'0-0{TEXT[3:]}', 'stage 1 block 2 is 5-6 behind a block that is left'),
        (BLOCK, f'7{TEXT[3:]}', "stage 1 block 1 expansion is ''; a whole number"),
        (BLOCK, f'0{TEXT[1:]}', 'stage 1 block 1 kernel is 0; allowed'),
        (BLOCK, TEXT[4:], '19 blocks in'),
        (BLOCK, '', '1 blocks in'),
        (BLOCK, {**DICT, 'd': [2, 3, 4, 2]}, "'d' has 4 values; 5 are needed"),
        (BLOCK, {'ks': 7, 'e': 6}, r"keys \['e', 'ks'\]; \['d', 'e', 'ks'\] are"),
        (BLOCK, {**DICT, 'd': [3, 3, 4, 2, 3]}, 'stage 1 block 3 kernel is missing'),
        (BLOCK, BLOCKS[:4], '4 lists of blocks'),
        (BLOCK, [1, 2, 3, 4, 5], '0 lists of blocks'),
        (BLOCK, [['mbconv2_e6_k7'] * 2, *BLOCKS[1:]], "names are as 'mbconv3_e6_k7'"),
        (BLOCK, '{"ks": 7', 'not valid JSON'),
        ('ofa-pn-w1.3', ';'.join(['3-3;3-3;0-0;0-0'] * 5 + ['0-0']), 'stage 6 depth'),
        (RESNET, {**SMALL, 'd': [1, 0, 0, 0, 0]}, 'stem depth is 1; allowed are 0, 2'),
        (RESNET, {**SMALL, 'e': 0.3}, 'stage 1 block 1 expansion is 0.3; allowed are'),
        (RESNET, {**SMALL, 'w': [0] * 5 + [3]}, 'stage 4 width is 3; allowed are 0, 1'),
        (RESNET, {**SMALL, 'e': [0.2] * 10}, "'e' has 10 values; 18 are needed"),
        (RESNET, SMALL_TEXT.replace('d=0', 'd=x'), 'is not as d=2-0-1-2-1'),
        (RESNET, SMALL_TEXT.replace(';w=', ';v='), r"keys \['d', 'e', 'v'\]"),
        (RESNET, SMALL_TEXT.replace('e=', 'd=', 1), 'd= is there twice'),
        (RESNET, [1, 2], 'is no dictionary'),
        (RESNET, 12, '12 is no architecture'),
        (MACRO, '0123', 'has 4 layers; 8 digits are needed'),
        (MACRO, '01230000', 'stage 2 layer 2 is 3; allowed are 0, 1, 2'),
        (MACRO, '0120000x', "stage 3 layer 3 is 'x'; a whole number"),
        (MACRO, '{"a": 1}', 'no string of eight digits'),
        (CELLS, CELL.replace('_1x1', ''), "edge 1 to 3 is 'nor_conv'; allowed are"),
        (CELLS, CELL.replace('~2', '~1'), r'is not as \|op~0\|'),
        (CELLS, CELL.replace('|+|none', '|none'), r'is not as \|op~0\|'),
        (CELLS, f'{CELL}|none~3|', r'is not as \|op~0\|'),
        (CELLS, '', r'is not as \|op~0\|'),
        (CELLS, '["none"]', 'no string of a cell'),
        (TRANSNAS, '64-143-basic', 'has 3 modules; allowed are 4 to 6'),
        (TRANSNAS, '64-1435-basic', 'module 4 is 5; allowed are 1, 2, 3, 4'),
        (TRANSNAS, '64-10433-basic', 'module 2 is 0; allowed are 1, 2, 3, 4'),
        (TRANSNAS, '64-1111-basic', 'in 1111 sides are halved 0 times; allowed are 1'),
        (TRANSNAS, '64-33333-basic', 'halved 5 times; allowed are 1 to 4'),
        (TRANSNAS, '64-1331-basic', 'channels are doubled 0 times; allowed are 1 to 3'),
        (TRANSNAS, '64-41414-1_23_013', 'is not as 64-1234-basic'),
        (TRANSNAS_CELLS, '64-1432-basic', 'is not as 64-41414-1_23_013'),
        (TRANSNAS_CELLS, '64-41414-1_23_01', 'is not as'),
        (TRANSNAS_CELLS, '64-41414-1_23_014', 'edge 2 to 3 is 4; allowed are 0, 1, 2'),
        (TRANSNAS_CELLS, [1, 2, 3], 'is not as'),
        (DAGS, '010010 input conv3x3-bn-relu output', 'a square matrix, row by row'),
        (DAGS, '010000000 input maxpool3x3 output', 'no path leads from input to'),
        (DAGS, '010001010 input maxpool3x3 output', 'from vertex 2 back to 1'),
        (DAGS, '010011000 input maxpool3x3 output', 'vertex 1 back to 1; .* upper'),
        (DAGS, '012001000 input maxpool3x3 output', 'edge 0 to 6 is 2; allowed are 0'),
        (DAGS, '01x001000 input maxpool3x3 output', "row 0 .* column 2 is 'x'"),
        (DAGS, '010001000 input maxpool2x2 output', "vertex 1 is 'maxpool2x2'; allow"),
        (DAGS, f'{"0" * 64} input {"maxpool3x3 " * 6}output', '8 vertices; at most 7'),
        (
            DAGS,
            f'{"0111100111000110000100000"} input {"maxpool3x3 " * 3}output',
            '10 edges are on paths; at most 9',
        ),
        (DAGS, {'matrix': [[0, 1], [0, 0]]}, 'is not as'),
        (DAGS, {'matrix': 3, 'ops': ['input', 'output']}, 'is not as'),
        (DAGS, '', 'is not as'),
    ],
)
def test_a_wrong_form_is_refused_with_value_and_place(name, form, message):
    with pytest.raises(ValueError, match=f'^{name}: .*{message}'):
        get_space(name).decode(form)
