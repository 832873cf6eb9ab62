# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""``tools/predictor.py`` from its command line."""

import csv
import json
import pickle
import runpy
import sys
import types
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save
from toy_graphs import toy_entries

from hpml_mm.predictor.graphs import same
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.spaces import get_space

ROOT = Path(__file__).parents[2]
main = runpy.run_path(str(ROOT / 'tools' / 'predictor.py'))['main']
MACRO = 'nas-bench-macro'


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Everything is written below a directory of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'configs').symlink_to(ROOT / 'configs')


def told(capsys, *arguments) -> list[str]:
    """What a command prints, by lines."""
    main(list(map(str, arguments)))
    return capsys.readouterr().out.splitlines()


def refused(capsys, *arguments) -> str:
    """The one line by which a command says what is wrong."""
    with pytest.raises(SystemExit) as caught:
        main(list(map(str, arguments)))
    assert caught.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    (line,) = [line for line in lines if line.startswith('error: ')]
    return line


def test_equal_seeds_draw_equal_archs(capsys):
    first = told(capsys, 'sample', 'ofa-mbv3-w1.0', '-n', 4, '--seed', 1)
    assert first == told(capsys, 'sample', 'ofa-mbv3-w1.0', '-n', 4, '--seed', 1)
    assert first != told(capsys, 'sample', 'ofa-mbv3-w1.0', '-n', 4)
    space = get_space('ofa-mbv3-w1.0')
    assert [space.encode(space.decode(arch)) for arch in first] == first
    assert len(set(first)) == 4
    told(capsys, 'sample', MACRO, '-n', 3, '--out', 'a.csv')
    assert len(Path('a.csv').read_text().splitlines()) == 4


def test_sources_of_all_kinds_go_into_one_cache(capsys):
    face = 'configs/fer/mini-xception_1xb128-bf16-channels-last-10e_fer2013-44px.py'
    lines = told(
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
    told(capsys, 'graph', '11111111', '--input-size', 64, '--out', 'a')
    (entry,) = GraphCache.load('a')
    assert entry.graph.resolutions[entry.graph.weighted, 0] == 64
    stock = 'mmpretrain::resnet/resnet18_8xb32_in1k.py'
    told(capsys, 'graph', stock, '--input-size', '64x32', '--out', 'a')
    (entry,) = GraphCache.load('a')
    shape = [64, 64, 32, 32, 3, 3]
    assert entry.graph.resolutions[entry.graph.weighted].tolist() == shape


def write_onnx(path: str, side: int | str) -> None:
    """One convolution of 3x3, 3 to 8 channels without padding, for any batch."""
    floats = TensorProto.FLOAT
    weight = numpy_helper.from_array(np.zeros((8, 3, 3, 3), np.float32), 'w')
    graph = helper.make_graph(
        [helper.make_node('Conv', ['x', 'w'], ['y'])],
        'net',
        [helper.make_tensor_value_info('x', floats, ['batch', 3, side, 16])],
        [helper.make_tensor_value_info('y', floats, None)],
        [weight],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)]), path)


def test_an_onnx_file_is_a_source_with_a_size_of_its_own(capsys):
    write_onnx('a.onnx', 16)
    told(capsys, 'graph', 'a.onnx', '--out', 'a.cache')
    (entry,) = GraphCache.load('a.cache')
    assert entry.metrics == {'macs': 14 * 14 * 8 * 27, 'params': 216}
    assert entry.name == 'a.onnx'
    error = refused(capsys, 'graph', 'a.onnx', '--input-size', '32')
    assert 'a.onnx: an ONNX file has its own input size' in error
    write_onnx('b.onnx', 'height')
    assert "'x'" in refused(capsys, 'graph', 'b.onnx', '--out', 'b.cache')
    assert not Path('b.cache').exists()


def test_a_profile_ends_in_the_totals(capsys):
    lines = told(capsys, 'profile', '11111111', '--space', MACRO, '--top', 3)
    assert lines[0].strip() == f'{MACRO}:11111111'
    graph = get_space(MACRO).graph(get_space(MACRO).decode('11111111'))
    assert f'({graph.total_macs:,}), {graph.total_params:,} parameters' in lines[-1]
    assert len(lines) == 1 + 3 + 3 + 3 + 1  # title, head, nodes, foot, totals


def test_a_table_is_kept_and_counted(capsys):
    rows = [['net', 'arch', 'note'], ['1', '11111111', 'a, "b"'], ['2', '00000000', '']]
    with open('in.csv', 'w', newline='') as file:
        csv.writer(file).writerows(rows)
    (line,) = told(capsys, 'profile', '--table', 'in.csv', '--out', 'out.csv')
    assert line == f'in.csv as archs of {MACRO}: written to out.csv'
    with open('out.csv', newline='') as file:
        header, *found = csv.reader(file)
    assert header == [*rows[0], 'macs_counted', 'params_counted']
    assert [row[:3] for row in found] == rows[1:]
    space = get_space(MACRO)
    graphs = [space.graph(space.decode(row[1])) for row in rows[1:]]
    counted = [[str(g.total_macs), str(g.total_params)] for g in graphs]
    assert [row[3:] for row in found] == counted
    assert Path('out.csv').read_bytes().count(b'\r\n') == 3


def test_a_drawing_is_an_svg(capsys):
    (line,) = told(capsys, 'draw', '11111111', '--out', 'a.svg')
    space = get_space(MACRO)
    count = space.graph(space.decode('11111111')).num_nodes
    assert line == f'{count} nodes drawn in a.svg'
    assert ElementTree.parse('a.svg').getroot().tag.endswith('svg')
    folded = Path('a.svg').read_text()
    told(capsys, 'draw', '11111111', '--no-fold', '--out', 'a.svg')
    assert Path('a.svg').read_text().count('class="node"') > folded.count(
        'class="node"'
    )


def test_caches_are_built_merged_filtered_and_summed_up(capsys):
    record = {'mean_acc': 90.0, 'params': 1, 'flops': 2}
    table = {'11111111': record}
    Path('t.json').write_text(json.dumps(table))
    (line,) = told(
        capsys, 'cache', 'build', 't.json', '--space', MACRO, '--out', 'a.cache'
    )
    size = Path('a.cache').stat().st_size
    assert line == f'1 graph written to a.cache ({size:,} bytes)'
    GraphCache.from_entries(toy_entries()).save('b.cache')
    told(capsys, 'cache', 'merge', 'a.cache', 'b.cache', '--out', 'c.cache')
    assert len(GraphCache.load('c.cache')) == 5
    chosen = ('cache', 'filter', 'c.cache', '--out', 'd.cache')
    told(capsys, *chosen, '--where', 'top1(%)>70', 'macs<=4')
    assert GraphCache.load('d.cache').names == ['net1', 'net2']
    told(capsys, *chosen, '--space', MACRO)
    assert GraphCache.load('d.cache').names == [f'{MACRO}:11111111']
    summary = told(capsys, 'cache', 'summary', 'b.cache', '--srcc', 'macs', 'top1(%)')
    assert summary[0].strip() == '4 networks'
    assert summary[-1] == 'SRCC of macs and top1(%): 1.0000 (n = 4)'


def test_a_pickle_that_calls_is_refused_and_leaves_nothing(capsys):
    class Ends:
        def __reduce__(self):
            return Path.touch, (Path('ran'),)

    Path('a.pkl').write_bytes(pickle.dumps([{'acc': Ends()}], 4))
    error = refused(capsys, 'cache', 'import', 'a.pkl', '--out', 'b.cache')
    assert 'a.pkl names ' in error
    assert 'nothing of it was run' in error
    assert sorted(path.name for path in Path().iterdir()) == ['a.pkl', 'configs']


def test_a_cache_of_the_paper_is_imported(capsys, monkeypatch):
    name = 'model_src.comp_graph.tf_comp_graph'
    module = types.ModuleType(name)
    for part in ('model_src', 'model_src.comp_graph', name):
        monkeypatch.setitem(sys.modules, part, module)
    for kind in ('ComputeGraph', 'RegularNode'):
        setattr(module, kind, type(kind, (), {'__module__': name}))
    node, graph = module.RegularNode(), module.ComputeGraph()
    vars(node).update(str_id='0|input', label='input', resolution=[8] * 6, strides=None)
    vars(graph).update(name='n', regular_nodes=[node], weighted_nodes=[], edge_pairs=[])
    record = {'compute graph': graph, 'acc': np.float64(0.5)}
    Path('a.pkl').write_bytes(pickle.dumps([record], 4))
    told(capsys, 'cache', 'import', 'a.pkl', '--out', 'b.cache')
    (entry,) = GraphCache.load('b.cache')
    assert (entry.name, entry.metrics) == ('n', {'acc(%)': 50})


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['graph', 'none'], "'none' is no arch, no ONNX file, no config file, and no"),
        (['graph', 'resnet18_8xb32_in1'], 'did you mean resnet18_8xb32_in1k?'),
        (['graph', 'none.onnx'], 'none.onnx'),
        (['graph', 'none.py'], "no config file 'none.py'"),
        (['graph', f'{MACRO}:3'], f'{MACRO}: '),
        (['graph', '1' * 8, '--space', 'x'], "there is no search space 'x'"),
        (['graph', '1' * 8, '--input-size', '4x'], "'4x' is no size: write a side, or"),
        (['graph', '1' * 8, '--input-size', '4x8'], '4x8: networks of nas-bench-macro'),
        (['graph', 'empty.py'], 'empty.py has no model'),
        (['graph', 'bad.py'], 'cannot build the model of bad.py: '),
        (['graph', 'small.py'], 'small.py does not tell the size of its images: give'),
        (['sample', 'x'], "there is no search space 'x'"),
        (['sample', MACRO, '-n', '0'], '-n 0: at least 1'),
        (['sample', MACRO, '--seed', '-1'], '--seed -1: a seed is 0 or more'),
        (['sample', MACRO, '--out', 'configs'], '--out configs is a directory'),
        (
            ['graph', '1' * 8, f'{MACRO}:11111111', '--out', 'o'],
            f'{MACRO}:11111111 is given twice',
        ),
        (['graph', '1' * 8, '--out', '.'], '--out . is a directory: name a file'),
        (['profile', '--table', 'in.csv', '--out', './in.csv'], 'set another --out'),
        (['profile', '--table', 'in.csv', '--out', 'configs'], 'is a directory'),
        (['cache', 'merge', 'toy', '--out', 'configs'], '--out configs is a directory'),
        (['profile'], 'give either a SOURCE or a --table'),
        (['profile', '1' * 8, '--top', '0'], '--top 0: at least 1 node'),
        (['profile', '--table', 'in.csv'], '--table and --out go together'),
        (['profile', '--table', 'x.csv', '--out', 'o'], "no table 'x.csv'"),
        (['profile', '--table', 'in.csv', '--out', 'o'], 'in.csv, line 3: nas-bench'),
        (['profile', '--table', 'short.csv', '--out', 'o'], 'line 2: 1 cells, not 2'),
        (['profile', '--table', 'odd.csv', '--out', 'o'], "has no column 'arch'"),
        (['profile', '--table', 'done.csv', '--out', 'o'], "'macs_counted' already"),
        (['profile', '--table', 'alien.csv', '--out', 'o'], 'is in no known search'),
        (['draw', '1' * 8, '--out', 'o.png'], 'o.png: drawings are SVG'),
        (['cache', 'summary', 'in.csv'], 'in.csv is not a graph cache'),
        (['cache', 'summary', 'toy', '--srcc', 'a', 'b'], "no metric 'a'"),
        (['cache', 'merge', 'toy', 'none', '--out', 'o'], "no graph cache 'none'"),
        (['cache', 'filter', 'toy', '--where', 'a', '--out', 'o'], "'a' is no condit"),
        (['cache', 'filter', 'toy', '--space', 'a', '--out', 'o'], 'no network of toy'),
        (['cache', 'import', 'in.csv', '--out', 'o'], 'truncated, or not a pickle'),
        (
            ['cache', 'build', 'x', '--space', MACRO, '--out', 'o'],
            'there is no table x',
        ),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(capsys, arguments, message):
    write = {
        'in.csv': 'arch\n11111111\n31111111\n',
        'short.csv': 'arch,a\n11111111\n',
        'odd.csv': 'a\n1\n',
        'done.csv': 'arch,macs_counted\n11111111,3\n',
        'alien.csv': 'arch\nx\n',
        'empty.py': 'a = 1\n',
        'bad.py': "model = dict(type='Nothing')\n",
        'small.py': "model = dict(type='mmpretrain.LeNet5', num_classes=4)\n",
    }
    for name, text in write.items():
        Path(name).write_text(text)
    GraphCache.from_entries(toy_entries()).save('toy')
    before = sorted(path.name for path in Path().iterdir())
    assert message in refused(capsys, *arguments)
    assert sorted(path.name for path in Path().iterdir()) == before
