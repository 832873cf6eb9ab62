# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The cells of NAS-Bench-201 and the chains of NAS-Bench-Macro."""

import itertools
import json

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hpml_mm.predictor.graphs import same
from hpml_mm.predictor.graphs.tracing.trace import trace
from hpml_mm.predictor.spaces import Arch, get_space
from hpml_mm.predictor.spaces.cell import OPERATIONS, Cell


@pytest.fixture
def cells():
    return get_space('nas-bench-201')


@pytest.fixture
def macro():
    return get_space('nas-bench-macro')


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
def test_the_published_range_of_costs(cells, operation, classes, side, params, flops):
    """The least and most that the benchmark's records hold for its three data sets.

    Its authors' FLOPs are MACs, and count one more for each bias of the classifier.
    """
    arch = Arch(cells.name, (operation,) * 6)
    graph = cells.graph(arch, side, classes)
    assert graph.total_params == params
    assert graph.total_macs + classes == flops
    if (classes, side) == (cells.num_classes, cells.resolution):
        assert cells.table_flops(arch) == flops


def test_cell_is_the_written_out_sum():
    torch.manual_seed(0)
    operations = 'nor_conv_3x3 none skip_connect avg_pool_3x3 none skip_connect'
    cell = Cell(tuple(operations.split()), 4).eval()
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
    cells = [tuple(rng.choice(OPERATIONS, 6).tolist()) for _ in range(25)]
    for operations in [*cells, *((name,) * 6 for name in OPERATIONS)]:
        module = torch.nn.ModuleDict({'@': Cell(operations, 8)})
        traced = trace(module, (8, 4, 4), lambda net, image: net['@'](image))
        wired = Cell.part_graph((operations, 8), (8, 4, 4))
        assert same(wired, traced, names=True), operations


@pytest.mark.parametrize(
    # Letters: convolution, skip connection, none.
    ('cell', 'simple'),
    [
        # Nothing reads node 1, and node 2 gets nothing from it.
        ('ccncnc', 'ncncnc'),
        # Node 1 is zero, so its edges carry nothing.
        ('nscncc', 'nsnnnc'),
        # The output depends on nothing at all.
        ('cccnnn', 'nnnnnn'),
        ('cccccc', 'cccccc'),
    ],
)
def test_simplified_cell_keeps_only_edges_that_matter(cells, cell, simple):
    letters = {'c': 'nor_conv_3x3', 's': 'skip_connect', 'n': 'none'}
    whole, part = (tuple(letters[a] for a in text) for text in (cell, simple))
    assert cells.simplify(Arch(cells.name, whole)).values == part


def test_simplified_network_gives_the_same_logits_if_nothing_was_zero(cells):
    conv, none = 'nor_conv_3x3', 'none'
    arch = Arch(cells.name, (conv, conv, none, conv, none, conv))
    torch.manual_seed(0)
    whole, simple = cells.build(arch).eval(), cells.build(cells.simplify(arch)).eval()
    simple.load_state_dict(
        {key: whole.state_dict()[key] for key in simple.state_dict()}
    )
    x = torch.randn(1, 3, 16, 16)
    torch.testing.assert_close(simple(x), whole(x))
    assert cells.graph(cells.simplify(arch)).num_nodes < cells.graph(arch).num_nodes


def test_strings_of_all_networks(macro):
    """The benchmark's 6,561 strings stand for 9 * 21 * 21 networks."""
    texts = map(''.join, itertools.product('012', repeat=8))
    assert len({macro.encode(macro.decode(text)) for text in texts}) == 3969


def test_moved_identities_leave_the_same_network(macro):
    torch.manual_seed(0)
    # Stages 21, 020 and 002: behind the first layer of each, identities move back.
    moved, plain = macro.decode('21020002'), Arch(macro.name, (2, 1, 0, 2, 0, 0, 0, 2))
    assert moved.values == (2, 1, 0, 2, 0, 0, 2, 0)
    nets = [macro.build(arch).eval() for arch in (moved, plain)]
    weights = list(nets[0].state_dict().values())
    nets[1].load_state_dict(dict(zip(nets[1].state_dict(), weights, strict=True)))
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(nets[0](x), nets[1](x))


@pytest.mark.slow
@pytest.mark.real_data
def test_macs_and_parameters_of_the_whole_published_table(macro, real_data):
    path = real_data / 'nas' / 'nas_bench_macro_cifar10.json'
    table = json.loads(path.read_text(encoding='utf-8'))
    assert len(table) == 6000
    labels = {}
    for text, record in table.items():
        arch = macro.decode(text)
        graph = macro.graph(arch)
        counted = (graph.total_macs, graph.total_params)
        assert counted == (record['flops'], record['params']), text
        # One network, trained once, stands under all of its strings.
        assert (
            labels.setdefault(macro.encode(arch), record['mean_acc'])
            == (record['mean_acc'])
        )
    assert len(labels) < len(table)
