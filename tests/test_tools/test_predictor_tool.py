# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""``hpml nas`` from its command line."""

import csv
import warnings
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from predictor_command import printed, refused
from toy_tools import ROOT

from hpml_mm.predictor.graphs import same
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.spaces import get_space

MACRO = 'nas-bench-macro'


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Everything is written below a directory of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')


def test_equal_seeds_draw_equal_archs(capsys):
    first = printed(capsys, 'sample', 'ofa-mbv3-w1.0', '-n', 4, '--seed', 1)
    assert first == printed(capsys, 'sample', 'ofa-mbv3-w1.0', '-n', 4, '--seed', 1)
    assert first != printed(capsys, 'sample', 'ofa-mbv3-w1.0', '-n', 4)
    space = get_space('ofa-mbv3-w1.0')
    assert [space.encode(space.decode(arch)) for arch in first] == first
    assert len(set(first)) == 4
    printed(capsys, 'sample', MACRO, '-n', 3, '--out', 'a.csv')
    assert len(Path('a.csv').read_text().splitlines()) == 4


def test_sources_of_all_kinds_go_into_one_cache(capsys):
    face = 'configs/fer/mini-xception_1xb128-bf16-channels-last-10e_fer2013-44px.py'
    lines = printed(
        capsys,
        *('graph', f'{MACRO}:11111111', '22222222', 'resnet18_8xb32_in1k', face),
        *('--out', 'a.cache'),
    )
    assert lines[2].startswith(
        'resnet18_8xb32_in1k: 1.8141 GMACs (1,814,073,344), 11,689,512 parameters, '
    )
    assert lines[3].startswith(f'{face}: 0.0045 GMACs')
    cache = GraphCache.load('a.cache')
    assert cache.names[:2] == [f'{MACRO}:11111111', f'{MACRO}:22222222']
    assert cache.archs == ['11111111', '22222222', None, None]
    assert cache[2].metrics == {'macs': 1_814_073_344, 'params': 11_689_512}
    space = get_space(MACRO)
    assert same(cache[0].graph, space.graph(space.decode('11111111')), names=True)
    image = cache[3].graph
    assert image.resolutions[image.weighted].tolist() == [44, 44, 44, 44, 1, 1]


def test_the_size_of_the_image_can_be_given(capsys):
    printed(capsys, 'graph', '11111111', '--input-size', 64, '--out', 'a')
    (entry,) = GraphCache.load('a')
    assert entry.graph.resolutions[entry.graph.weighted, 0] == 64
    stock = 'mmpretrain::resnet/resnet18_8xb32_in1k.py'
    printed(capsys, 'graph', stock, '--input-size', '64x32', '--out', 'a')
    (entry,) = GraphCache.load('a')
    shape = [64, 64, 32, 32, 3, 3]
    assert entry.graph.resolutions[entry.graph.weighted].tolist() == shape


def write_onnx(path: str, dynamic: dict[int, str]) -> None:
    """One convolution of 3x3, 3 to 8 channels without padding, on 16x16 pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.onnx.export(
            torch.nn.Conv2d(3, 8, 3, bias=False),
            (torch.zeros(1, 3, 16, 16),),
            path,
            dynamo=False,
            input_names=['x'],
            dynamic_axes={'x': dynamic},
        )


def test_an_onnx_file_is_a_source_with_a_size_of_its_own(capsys):
    write_onnx('a.onnx', {0: 'batch'})
    printed(capsys, 'graph', 'a.onnx', '--out', 'a.cache')
    (entry,) = GraphCache.load('a.cache')
    assert entry.metrics == {'macs': 14 * 14 * 8 * 27, 'params': 216}
    assert entry.name == 'a.onnx'
    error = refused(capsys, 'graph', 'a.onnx', '--input-size', '32')
    assert 'a.onnx: an ONNX file has its own input size' in error
    write_onnx('b.onnx', {2: 'height'})
    assert "'x'" in refused(capsys, 'graph', 'b.onnx', '--out', 'b.cache')
    assert not Path('b.cache').exists()


def test_a_profile_ends_in_the_totals(capsys):
    lines = printed(capsys, 'profile', '11111111', '--space', MACRO, '--top', 3)
    assert lines[0].strip() == f'{MACRO}:11111111'
    graph = get_space(MACRO).graph(get_space(MACRO).decode('11111111'))
    assert f'({graph.total_macs:,}), {graph.total_params:,} parameters' in lines[-1]
    assert len(lines) == 1 + 3 + 3 + 3 + 1  # title, head, nodes, foot, totals
    whole = printed(capsys, 'profile', '11111111', '--space', MACRO)
    costly = (graph.macs > 0) | (graph.params > 0)
    assert len(whole) == len(lines) - 3 + costly.sum()
    top, rows = (
        [line.replace(' ', '') for line in part] for part in (lines[4:7], whole)
    )
    assert set(top) < set(rows)


def test_a_table_is_kept_and_counted(capsys):
    rows = [['net', 'arch', 'note'], ['1', '11111111', 'a, "b"']]
    rows.append(['2', f'{MACRO}:00000000', ''])
    with open('in.csv', 'w', newline='') as file:
        csv.writer(file).writerows(rows)
    (line,) = printed(capsys, 'profile', '--table', 'in.csv', '--out', 'out.csv')
    assert line == f'in.csv as archs of {MACRO}: written to out.csv'
    with open('out.csv', newline='') as file:
        header, *found = csv.reader(file)
    assert header == [*rows[0], 'macs_counted', 'params_counted']
    assert [row[:3] for row in found] == rows[1:]
    space = get_space(MACRO)
    graphs = [space.graph(space.decode(arch)) for arch in ('1' * 8, '0' * 8)]
    counted = [[str(g.total_macs), str(g.total_params)] for g in graphs]
    assert [row[3:] for row in found] == counted
    assert Path('out.csv').read_bytes().count(b'\r\n') == 3
    Path('in.csv').write_text('arch\n')
    printed(capsys, 'profile', '--table', 'in.csv', '--out', 'out.csv')
    assert Path('out.csv').read_text() == 'arch,macs_counted,params_counted\n'


def test_a_drawing_is_an_svg(capsys):
    (line,) = printed(capsys, 'draw', '11111111', '--out', 'a.svg')
    space = get_space(MACRO)
    count = space.graph(space.decode('11111111')).num_nodes
    assert line == f'{count} nodes drawn in a.svg'
    assert ElementTree.parse('a.svg').getroot().tag.endswith('svg')
    folded = Path('a.svg').read_text()
    printed(capsys, 'draw', '11111111', '--no-fold', '--out', 'a.svg')
    assert Path('a.svg').read_text().count('class="node"') > folded.count(
        'class="node"'
    )
