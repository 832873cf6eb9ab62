# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hpml_mm.predictor.graphs import same
from hpml_mm.predictor.graphs.tracing.trace import trace
from hpml_mm.predictor.spaces import Arch, get_space
from hpml_mm.predictor.spaces.cell import OPERATIONS, Cell

TEXT = (
    '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|'
    'nor_conv_3x3~2|'
)


@pytest.fixture
def space():
    return get_space('nas-bench-201')


def test_string(space):
    arch = space.decode(TEXT)
    assert arch.values == (
        'nor_conv_3x3',
        'none',
        'skip_connect',
        'avg_pool_3x3',
        'nor_conv_1x1',
        'nor_conv_3x3',
    )
    assert space.encode(arch) == TEXT


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (TEXT.replace('nor_conv_1x1', 'conv'), "edge 1 to 3 is 'conv'; allowed are"),
        (TEXT.replace('~2', '~1'), r'is not as \|op~0\|'),
        (TEXT.replace('|+|none', '|none'), r'is not as \|op~0\|'),
        (TEXT + '|none~3|', r'is not as \|op~0\|'),
        ('', r'is not as \|op~0\|'),
        ('["none"]', 'no string of a cell'),
    ],
)
def test_a_wrong_string_is_an_error(space, text, message):
    with pytest.raises(ValueError, match=message):
        space.decode(text)


@pytest.mark.parametrize(
    ('operation', 'classes', 'side', 'params', 'flops'),
    [
        ('none', 10, 32, 73306, 7783050),
        ('none', 100, 32, 79156, 7788900),
        ('none', 120, 16, 80456, 1953400),
        ('nor_conv_3x3', 10, 32, 1531546, 220119690),
        ('nor_conv_3x3', 100, 32, 1537396, 220125540),
        ('nor_conv_3x3', 120, 16, 1538696, 55037560),
    ],
)
def test_the_published_range_of_costs(space, operation, classes, side, params, flops):
    """The least and most that the benchmark's records hold for its three data sets.

    Its authors' FLOPs are MACs, and count one more for each bias of the classifier.
    """
    graph = space.graph(Arch(space.name, (operation,) * 6), side, classes)
    assert graph.total_params == params
    assert graph.total_macs + classes == flops


def test_cell_is_the_written_out_sum():
    torch.manual_seed(0)
    cell = Cell(
        (
            'nor_conv_3x3',
            'none',
            'skip_connect',
            'avg_pool_3x3',
            'none',
            'skip_connect',
        ),
        4,
    ).eval()
    x = torch.randn(2, 4, 5, 5)
    conv = cell.edges['0to1'].conv
    first = F.conv2d(x.relu(), conv.weight, padding=1) / (1 + 1e-5) ** 0.5
    # The mean at a border is that of the pixels that are there.
    ones = F.avg_pool2d(torch.ones_like(x), 3, 1, 1)
    pooled = F.avg_pool2d(x, 3, 1, 1) / ones
    torch.testing.assert_close(cell(x), pooled + first)


def test_a_node_without_edges_is_zero():
    cell = Cell(('none',) * 6, 4)
    assert cell(torch.ones(1, 4, 3, 3)).abs().sum() == 0


def test_wired_cells_equal_traced_ones():
    rng = np.random.default_rng(3)
    cells = [tuple(rng.choice(OPERATIONS, 6).tolist()) for _ in range(40)]
    for operations in [*cells, *((name,) * 6 for name in OPERATIONS)]:
        module = torch.nn.ModuleDict({'@': Cell(operations, 8)})
        traced = trace(module, (8, 4, 4), lambda net, image: net['@'](image))
        wired = Cell.part_graph((operations, 8), (8, 4, 4))
        assert same(wired, traced, names=True), operations


def test_simplified_cell_keeps_only_edges_that_matter(space):
    def simple(*operations):
        return space.simplify(Arch(space.name, operations)).values

    conv, skip, none = 'nor_conv_3x3', 'skip_connect', 'none'
    # Nothing reads node 1, and node 2 gets nothing from it.
    assert simple(conv, conv, none, conv, none, conv) == (
        none,
        conv,
        none,
        conv,
        none,
        conv,
    )
    # Node 1 is zero, so its edges carry nothing.
    assert simple(none, skip, conv, none, conv, conv) == (
        none,
        skip,
        none,
        none,
        none,
        conv,
    )
    # The output depends on nothing at all.
    assert simple(conv, conv, conv, none, none, none) == (none,) * 6
    assert simple(*(conv,) * 6) == (conv,) * 6


def test_simplified_network_gives_the_same_logits_if_nothing_was_zero(space):
    conv, none = 'nor_conv_3x3', 'none'
    arch = Arch(space.name, (conv, conv, none, conv, none, conv))
    torch.manual_seed(0)
    whole, simple = space.build(arch).eval(), space.build(space.simplify(arch)).eval()
    simple.load_state_dict(
        {key: whole.state_dict()[key] for key in simple.state_dict()}
    )
    x = torch.randn(1, 3, 16, 16)
    torch.testing.assert_close(simple(x), whole(x))
    assert space.graph(space.simplify(arch)).num_nodes < space.graph(arch).num_nodes
