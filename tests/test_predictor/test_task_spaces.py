# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The networks of TransNAS-Bench-101 with their decoders, and of NAS-Bench-101."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from hpml_mm.predictor.graphs import same
from hpml_mm.predictor.graphs.tracing.trace import trace
from hpml_mm.predictor.spaces import get_space
from hpml_mm.predictor.spaces.cell import Cell, FactorizedReduce, Zero
from hpml_mm.predictor.spaces.cell_101 import Cell101, vertex_channels
from hpml_mm.predictor.spaces.tables import read_table, table_flops
from hpml_mm.predictor.spaces.transnas.decoders import TASKS, Assembly, Tiles
from hpml_mm.predictor.spaces.transnas.networks import OPERATIONS

MACRO, MICRO, DAGS = 'transnas-macro', 'transnas-micro', 'nas-bench-101'
ARCHS = {MACRO: '64-111114-basic', MICRO: '64-41414-0_10_231'}
CONV1, CONV3, POOL = 'conv1x1-bn-relu', 'conv3x3-bn-relu', 'maxpool3x3'
TABLES = {MACRO: 'tnb101_macro_7tasks.csv', MICRO: 'tnb101_micro_7tasks.csv'}


@pytest.fixture
def dags():
    return get_space(DAGS)


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('name', TABLES)
def test_costs_of_all_published_networks_on_each_task(real_data, name, task):
    """Parameters and the table's own FLOPs are equal, to the digit."""
    space, counted = get_space(name, task), 0
    for row in read_table(real_data / 'nas' / TABLES[name], name):
        if f'{task}/params' not in row.metrics:
            continue  # The benchmark has two tasks less for 49 macro networks.
        graph = space.graph(space.decode(row.arch))
        costs = graph.total_params, table_flops(graph)
        wanted = (row.metrics[f'{task}/{cost}'] for cost in ('params', 'table_flops'))
        assert costs == tuple(wanted), row.arch
        counted += 1
    holes = name == MACRO and task.startswith('class')
    assert counted == {MACRO: 580, MICRO: 566}[name] - 49 * holes


@pytest.mark.slow
@pytest.mark.real_data
def test_costs_of_all_published_cells_of_nas_bench_101(dags, real_data):
    rows = read_table(real_data / 'nas' / 'nb101_400.csv', DAGS)
    for row in rows:
        arch = dags.decode(row.arch)
        params = dags.graph(arch).total_params
        wanted = row.metrics['params'], row.metrics['table_flops']
        assert (params, dags.table_flops(arch)) == wanted, row.arch
    # Drawn at random, most of the 400 differ only in what is on no path.
    archs = [dags.decode(row.arch) for row in rows]
    assert len({dags.encode(arch) for arch in archs}) == 248
    assert len({dags.encode(dags.simplify(arch)) for arch in archs}) == 243


def test_table_flops_by_hand():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),  # 8 x 8 x 4 x 27 = 6,912, and 256 for its bias
        nn.BatchNorm2d(4),  # 2 x 256
        nn.LeakyReLU(0.2),  # 256
        nn.ConvTranspose2d(4, 2, 3, 2, 1, 1),  # neither products nor bias
        nn.BatchNorm2d(2),  # 2 x 16 x 16 x 2 = 1,024
        nn.MaxPool2d(3, 1, 1),  # 9 x 512 = 4,608
        nn.MaxPool2d(2),  # 4 x 128 = 512
        nn.Tanh(),  # nothing
        nn.Conv2d(2, 6, 1, bias=False),  # 64 x 6 x 2 = 768
    )
    head = nn.Linear(6, 5)  # 30, and its features 9 x 9 x 6 = 486
    graph = trace(
        nn.ModuleDict({'net': net, 'head': head}),
        (3, 8, 8),
        lambda both, x: both['head'](both['net'](x).mean((2, 3))),
    )
    body = 6912 + 256 + 512 + 256 + 1024 + 4608 + 512 + 768
    assert table_flops(graph) == body + 30 + 486
    assert table_flops(graph, pooled=False) == body + 30
    assert graph.total_macs == 6912 + 64 * 4 * 2 * 9 + 768 + 30


def test_macs_of_a_puzzle_are_those_of_nine_tiles():
    space = get_space(MACRO, 'jigsaw')
    arch = space.decode(ARCHS[MACRO])
    linear = 9 * 128 * 1000
    tile = get_space(MACRO).graph(arch, 64, num_classes=1).total_macs - 128
    macs = space.graph(arch).total_macs
    assert macs == 9 * tile + linear == 2052264960
    assert space.table_flops(arch) == 230383744  # as published


@pytest.mark.slow
@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('name', ARCHS)
def test_a_network_of_each_task_gives_its_output_and_its_graph(name, task):
    space = get_space(name, task)
    arch, side = space.decode(ARCHS[name]), 96 if task == 'jigsaw' else 64
    with torch.device('meta'):
        net = space.build(arch).eval()
        with FlopCounterMode(display=False) as counter:
            output = net(torch.empty(2, 3, side, side))
    dense = task in ('segmentsemantic', 'normal', 'autoencoder')
    assert output.shape == (2, TASKS[task], *[side] * (2 * dense))
    joined = space.graph(arch, side)
    assert joined.total_macs == counter.get_total_flops() // 4
    assert joined.total_params == sum(p.numel() for p in net.parameters())
    traced = trace(net, (3, side, side), lambda net, image: net(image.to('meta')))
    if task == 'jigsaw':
        # A trace says that nine tiles are nine times as high as one.
        assert joined.names == traced.names
        assert np.array_equal(joined.edges, traced.edges)
        assert np.array_equal(joined.macs, traced.macs)
        tile = get_space(name).graph(arch, side // 3)
        body = tile.weighted - 1
        assert np.array_equal(joined.resolutions[:body], tile.resolutions[:body])
        assert np.array_equal(joined.macs[:body], 9 * tile.macs[:body])
    else:
        assert same(joined, traced, names=True)


def test_the_digits_of_a_module_double_channels_and_halve_sides():
    space = get_space(MACRO)
    sizes = []
    for digits in ('1114', '3124', '424133', '341332'):
        graph = space.graph(space.decode(f'64-{digits}-basic'))
        last = graph.labels.index('mean')
        sizes.append(graph.resolutions[last, [0, 4]].tolist())
    assert sizes == [[32, 128], [16, 256], [4, 512], [4, 256]]


def test_samples_of_the_macro_space_are_uniform_over_its_3256_networks():
    """Of depth d, any of 1 to 4 modules halve sides, any of 1 to 3 double channels."""
    counts = {4: 15 * 14, 5: 30 * 25, 6: 56 * 41}
    assert sum(counts.values()) == 3256
    space, rng = get_space(MACRO), np.random.default_rng(0)
    archs = [space.encode(space.sample(rng)) for _ in range(6512)]
    depths = Counter(len(arch.split('-')[1]) for arch in archs)
    for depth, count in counts.items():
        std = (count / 3256 * (1 - count / 3256) * 6512) ** 0.5
        assert depths[depth] == pytest.approx(2 * count, abs=4 * std)
    # Of so many draws 1 - exp(-2) of all networks are expected, +- 20.
    assert len(set(archs)) == pytest.approx(3256 * (1 - np.exp(-2)), abs=80)


def test_equal_cells_of_the_micro_space_are_one():
    space = get_space(MICRO)
    for text, simple in {
        # Node 1 is zero, so are its edges.
        '0_32_131': '0_30_101',
        # Nothing reads node 2, which changes places with node 1.
        '3_22_210': '0_30_201',
        # Nodes 1 and 2 change places.
        '3_10_012': '1_30_021',
        '3_11_012': '3_11_012',
        # Nothing reaches the output.
        '1_23_000': '0_00_000',
    }.items():
        arch = space.decode(f'64-41414-{text}')
        assert space.encode(space.simplify(arch)) == f'64-41414-{simple}'


def test_nodes_that_change_places_leave_the_same_network():
    space, nets = get_space(MICRO), []
    for text in ('3_10_032', '1_30_023'):
        torch.manual_seed(0)
        nets.append(space.build(space.decode(f'64-41414-{text}')).eval())
    # The same weights, by where they are in the cell.
    moved = {'0to1': '0to2', '0to2': '0to1', '1to3': '2to3', '2to3': '1to3'}
    weights = nets[0].state_dict()
    for key in list(weights):
        for old, new in moved.items():
            if f'.{old}.' in key:
                weights[key.replace(old, new)] = nets[0].state_dict()[key]
    nets[1].load_state_dict({key: weights[key] for key in nets[1].state_dict()})
    x = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(nets[0](x), nets[1](x))


def test_tiles_are_cut_row_by_row_and_put_together_by_image():
    image = torch.arange(2 * 36.0).reshape(2, 1, 6, 6)
    tiles = Tiles(3)(image)
    assert tiles.shape == (18, 1, 2, 2)
    assert torch.equal(tiles[1, 0], image[0, 0, :2, 2:4])
    assert torch.equal(tiles[3, 0], image[0, 0, 2:4, :2])
    assert torch.equal(tiles[17, 0], image[1, 0, 4:, 4:])
    features = tiles.mean((2, 3), keepdim=True)
    assert torch.equal(Assembly(9)(features)[1].flatten(), features[9:].flatten())
    space = get_space(MACRO, 'jigsaw')
    arch = space.decode(ARCHS[MACRO])
    with pytest.raises(ValueError, match='64x64 cannot be cut .* multiples of 3'):
        space.graph(arch, 64)


def test_a_reduced_skip_connection_reads_all_pixels_in_turn():
    torch.manual_seed(0)
    skip, x = FactorizedReduce(2, 4, 2).eval(), torch.rand(1, 2, 4, 4) - 0.5
    even, odd = (conv.weight for conv in skip.convs)
    pixels = x.relu()
    wanted = [F.conv2d(pixels[:, :, ::2, ::2], even)]
    wanted.append(F.conv2d(pixels[:, :, 1::2, 1::2], odd))
    scale = (1 + skip.bn.eps) ** 0.5
    torch.testing.assert_close(skip(x), torch.cat(wanted, 1) / scale)
    assert torch.equal(Zero(6, 2)(x), torch.zeros(1, 6, 2, 2))


@pytest.mark.parametrize('side', [8, 5])
def test_wired_cells_that_widen_equal_traced_ones(side):
    rng, edges = np.random.default_rng(5), list(OPERATIONS)
    cells = [tuple(rng.choice(edges, 6).tolist()) for _ in range(12)]
    for operations in [*cells, *((name,) * 6 for name in edges)]:
        args = operations, 4, 8, 2
        module = nn.ModuleDict({'@': Cell(*args)})
        traced = trace(module, (4, side, side), lambda net, image: net['@'](image))
        wired = Cell.part_graph(args, (4, side, side))
        assert same(wired, traced, names=True), operations


def test_tasks_are_named_and_refused():
    space = get_space(MACRO)
    assert space.task == 'class_scene'
    assert space.tasks == tuple(TASKS)
    normal = space.for_task('normal')
    assert (normal.task, normal.num_classes, normal.name) == ('normal', 3, MACRO)
    with pytest.raises(ValueError, match="no task 'depth'; there are class_scene, "):
        get_space(MICRO, 'depth')
    with pytest.raises(ValueError, match='nas-bench-201: .* have one task'):
        get_space('nas-bench-201', 'normal')


@pytest.mark.parametrize(
    ('edges', 'outputs', 'channels'),
    [
        # The cases of the benchmark's own tests.
        ('01 12 23', 16, [16, 16]),
        ('01', 5, []),
        ('01 02 13 23', 15, [8, 7]),
        ('01 02 03 14 24 34', 8, [3, 3, 2]),
        ('01 12 13 24 34', 9, [5, 5, 4]),
        ('01 03 12 14 23 34', 15, [8, 7, 7]),
    ],
)
def test_channels_of_vertices(edges, outputs, channels):
    pairs = [tuple(map(int, edge)) for edge in edges.split()]
    assert vertex_channels(pairs, outputs) == [0, *channels, outputs]


def test_cell_of_nas_bench_101_is_the_written_out_sum():
    torch.manual_seed(0)
    edges = ((0, 1), (0, 3), (1, 2), (1, 3), (2, 3))
    cell = Cell101(edges, (CONV3, POOL), 4, 5).eval()
    assert cell.channels == [0, 3, 2, 5]
    x = torch.randn(2, 4, 6, 6)
    first = cell.vertices[0](cell.projections['0to1'](x))
    second = F.max_pool2d(first[:, :2], 3, 1, 1)
    wanted = torch.cat([first, second], 1) + cell.projections['0to3'](x)
    torch.testing.assert_close(cell(x), wanted)


def test_wired_cells_of_nas_bench_101_equal_traced_ones(dags):
    rng = np.random.default_rng(4)
    for _ in range(25):
        cell = next(
            layer.args
            for layer in dags.layers(dags.sample(rng), 10)
            if layer.kind is Cell101
        )
        args = (*cell[:2], 4, 8)
        module = nn.ModuleDict({'@': Cell101(*args)})
        traced = trace(module, (4, 4, 4), lambda net, image: net['@'](image))
        assert same(Cell101.part_graph(args, (4, 4, 4)), traced, names=True), args


def test_published_parameters_of_a_cell(dags):
    """The benchmark's record of the Inception-like cell of its first example."""
    matrix = ['0111010', '0000001', '0000001', '0000100', *['0000001'] * 2, '0' * 7]
    ops = ['input', CONV1, CONV3, CONV3, CONV3, POOL, 'output']
    arch = dags.decode({'matrix': [list(row) for row in matrix], 'ops': ops})
    assert dags.graph(arch).total_params == 2694282


def test_isomorphic_cells_are_one_and_others_are_not(dags):
    edges = [(0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 5), (1, 5)]
    names = {1: CONV1, 2: CONV3, 3: POOL, 4: CONV3}
    simple = set()
    for order in itertools.permutations(range(1, 5)):
        place = {0: 0, 5: 5} | dict(zip(order, range(1, 5), strict=True))
        moved = {(place[a], place[b]) for a, b in edges}
        if any(a > b for a, b in moved):
            continue
        matrix = [[int((a, b) in moved) for b in range(6)] for a in range(6)]
        ops = ['input', *(names[vertex] for vertex in order), 'output']
        arch = dags.decode({'matrix': matrix, 'ops': ops})
        simple.add(dags.encode(dags.simplify(arch)))
    assert len(simple) == 1
    other = simple.copy().pop().replace(POOL, CONV1, 1)
    assert dags.encode(dags.simplify(dags.decode(other))) not in simple


def test_too_many_changes_at_once_are_refused(dags):
    # Of all edges but one, no cell is left.
    arch = dags.decode('0100 input output')
    with pytest.raises(ValueError, match='none of 1,000 draws .* fewer slots'):
        dags.mutate(arch, np.random.default_rng(0), p=1)
