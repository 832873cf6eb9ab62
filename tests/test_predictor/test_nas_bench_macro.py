# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import itertools
import json

import pytest
import torch

from hpml_mm.predictor.spaces import Arch, get_space


@pytest.fixture
def space():
    return get_space('nas-bench-macro')


def test_identities_move_to_the_end_of_their_stage(space):
    # Stages of 2, 3 and 3 layers, whose first one strides and so stays.
    assert space.encode(space.decode('02002102')) == '02020120'
    assert space.encode(space.decode('22212200')) == '22212200'


def test_strings_of_all_networks(space):
    """The benchmark's 6,561 strings stand for 9 * 21 * 21 networks."""
    texts = map(''.join, itertools.product('012', repeat=8))
    assert len({space.encode(space.decode(text)) for text in texts}) == 3969


def test_moved_identities_leave_the_same_network(space):
    torch.manual_seed(0)
    # Stages 21, 020 and 002: behind the first layer of each, identities move back.
    moved, plain = space.decode('21020002'), Arch(space.name, (2, 1, 0, 2, 0, 0, 0, 2))
    assert moved.values == (2, 1, 0, 2, 0, 0, 2, 0)
    nets = [space.build(arch).eval() for arch in (moved, plain)]
    weights = list(nets[0].state_dict().values())
    nets[1].load_state_dict(dict(zip(nets[1].state_dict(), weights, strict=True)))
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(nets[0](x), nets[1](x))


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('0123', 'has 4 layers; 8 digits are needed'),
        ('01230000', 'stage 2 layer 2 is 3; allowed are 0, 1, 2'),
        ('0120000x', "stage 3 layer 3 is 'x'; a whole number"),
        ('{"a": 1}', 'no string of eight digits'),
    ],
)
def test_a_wrong_string_is_an_error_that_names_the_place(space, text, message):
    with pytest.raises(ValueError, match=message):
        space.decode(text)


@pytest.mark.real_data
def test_macs_and_parameters_of_the_whole_published_table(space, real_data):
    path = real_data / 'nas' / 'nas_bench_macro_cifar10.json'
    table = json.loads(path.read_text(encoding='utf-8'))
    assert len(table) == 6000
    labels = {}
    for text, record in table.items():
        arch = space.decode(text)
        graph = space.graph(arch)
        counted = (graph.total_macs, graph.total_params)
        assert counted == (record['flops'], record['params']), text
        # One network, trained once, stands under all of its strings.
        assert (
            labels.setdefault(space.encode(arch), record['mean_acc'])
            == (record['mean_acc'])
        )
    assert len(labels) < len(table)
