# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Caches are built of tables, can be interrupted, and refuse what is wrong."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest

from hpml_mm.predictor.data import build
from hpml_mm.predictor.data.build import build_cache
from hpml_mm.predictor.graphs import same
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.spaces import get_space

SPACE = 'nas-bench-macro'
ARCHS = ('11111111', '02111010', '02111001', '22222222', '00000000')


def record(index: int) -> dict:
    return {'mean_acc': 90.0 + index, 'std': 0.1, 'params': 1000 + index, 'flops': 5}


@pytest.fixture
def table(tmp_path, monkeypatch) -> Path:
    """A table of five networks, which are built in parts of two."""
    monkeypatch.setattr(build, 'PART', 2)
    path = tmp_path / 'table.json'
    path.write_text(json.dumps({arch: record(i) for i, arch in enumerate(ARCHS)}))
    return path


def test_a_cache_holds_what_the_table_says_and_the_graphs(table, tmp_path):
    calls = []
    out = tmp_path / 'new' / 'a.cache'
    built = build_cache(table, SPACE, out, advanced=lambda *done: calls.append(done))
    assert calls == [(0, 5), (2, 5), (4, 5), (5, 5)]
    assert [path.name for path in out.parent.iterdir()] == ['a.cache']
    cache, space = GraphCache.load(out), get_space(SPACE)
    assert cache.names == built.names == [f'{SPACE}:{arch}' for arch in ARCHS]
    assert cache.archs[1] == cache.archs[2] == '02111010'
    assert cache.metric('cifar10/top1(%)').tolist() == [90, 91, 92, 93, 94]
    assert cache.metric('params').tolist() == [1000, 1001, 1002, 1003, 1004]
    for entry, arch in zip(cache, ARCHS, strict=True):
        assert same(entry.graph, space.graph(space.decode(arch)), names=True)


def test_what_a_table_lacks_is_counted(tmp_path):
    cell = '|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|'
    path = tmp_path / 'cells.csv'
    path.write_text(f'arch,cellstr,cifar10-test\n7,{cell},84.25\n')
    (entry,) = build_cache(path, 'nas-bench-201', tmp_path / 'a')
    graph = entry.graph
    assert entry.arch == cell
    assert entry.metrics == {
        'cifar10/top1(%)': 84.25,
        'macs': graph.total_macs,
        'params': graph.total_params,
    }


def test_networks_are_built_for_a_task_and_their_holes_stay(tmp_path):
    path, archs = tmp_path / 'tasks.csv', ('64-1114-basic', '64-4111-basic')
    path.write_text(f'arch_str,jigsaw,normal\n{archs[0]},94.5,\n{archs[1]},93,.5\n')
    built = {}
    for task in (None, 'normal'):
        cache = build_cache(path, 'transnas-macro', tmp_path / f'{task}', task=task)
        assert cache.metric('jigsaw/top1(%)').tolist() == [94.5, 93]
        assert np.isnan(cache.metric('normal/ssim(1)')).tolist() == [True, False]
        built[task] = [entry.graph for entry in cache]
    for task, graphs in built.items():
        space = get_space('transnas-macro', task or 'class_scene')
        wanted = [space.graph(space.decode(arch)) for arch in archs]
        assert all(map(same, graphs, wanted))
        assert ('tanh' in graphs[0].labels) == (task == 'normal')


def interrupted(table, out, space=SPACE, **options):
    """Build one part and stop."""

    def interrupt(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_cache(table, space, out, advanced=interrupt, **options)
    (part,) = out.with_name(f'{out.name}.parts').glob('0*')
    return part


def test_an_interrupted_build_goes_on_where_it_stopped(table, tmp_path, monkeypatch):
    out = tmp_path / 'a.cache'
    interrupted(table, out)
    assert not out.exists()
    built, calls = [], []
    real = build.arch_graph
    monkeypatch.setattr(
        build, 'arch_graph', lambda *args: built.append(args[1]) or real(*args)
    )
    build_cache(table, SPACE, out, advanced=lambda *done: calls.append(done))
    assert calls == [(2, 5), (4, 5), (5, 5)]
    assert tuple(built) == ('11111111', *ARCHS[2:])  # the first is tried each time
    assert GraphCache.load(out).names == [f'{SPACE}:{arch}' for arch in ARCHS]
    assert not (tmp_path / 'a.cache.parts').exists()


def test_a_damaged_part_is_built_again(table, tmp_path):
    out = tmp_path / 'a.cache'
    part = interrupted(table, out)
    part.write_bytes(part.read_bytes()[:-3])
    build_cache(table, SPACE, out)
    build_cache(table, SPACE, tmp_path / 'b.cache')
    assert out.read_bytes() == (tmp_path / 'b.cache').read_bytes()


def test_parts_of_another_build_are_refused(table, tmp_path):
    interrupted(table, tmp_path / 'a')
    message = r'a\.parts holds parts of another build \(input size differ\): delete it'
    with pytest.raises(ValueError, match=message):
        build_cache(table, SPACE, tmp_path / 'a', size=(64, 64))


def test_parts_for_another_task_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(build, 'PART', 1)
    path = tmp_path / 'tasks.csv'
    path.write_text('arch_str\n64-1114-basic\n64-4111-basic\n')
    interrupted(path, tmp_path / 'a', space='transnas-macro', task='normal')
    with pytest.raises(ValueError, match=r'parts of another build \(task differ\)'):
        build_cache(path, 'transnas-macro', tmp_path / 'a')
    again = build_cache(path, 'transnas-macro', tmp_path / 'a', task='normal')
    assert len(again) == 2


def test_a_note_without_parts_is_overwritten(table, tmp_path):
    folder = tmp_path / 'a.parts'
    folder.mkdir()
    (folder / 'build.json').write_text('{"space": "another"}')
    assert len(build_cache(table, SPACE, tmp_path / 'a', size=(32, 32))) == 5
    assert not folder.exists()


@pytest.mark.slow
def test_several_processes_build_the_same(table, tmp_path):
    build_cache(table, SPACE, tmp_path / 'one')
    build_cache(table, SPACE, tmp_path / 'two', workers=2)
    assert (tmp_path / 'one').read_bytes() == (tmp_path / 'two').read_bytes()


@pytest.mark.parametrize(
    ('archs', 'options', 'message'),
    [
        (
            ['11111111', '31111111'],
            {},
            r"a\.json: network '31111111': .* is 3; allowed",
        ),
        (['1111'], {}, "network '1111': nas-bench-macro: .* has 4 layers"),
        (ARCHS, {'size': (64, 32)}, '64x32: networks of nas-bench-macro take'),
        (ARCHS, {'workers': 0}, 'workers=0: at least 1'),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_built(
    tmp_path, archs, options, message
):
    table = tmp_path / 'a.json'
    table.write_text(json.dumps({arch: record(0) for arch in archs}))
    with pytest.raises(ValueError, match=message):
        build_cache(table, SPACE, tmp_path / 'a', **options)
    assert [path.name for path in tmp_path.iterdir()] == ['a.json']


def test_a_table_that_names_a_network_twice_is_refused(tmp_path):
    table = tmp_path / 'twice.csv'
    cell = '|none~0|+|none~0|none~1|+|none~0|none~1|none~2|'
    table.write_text(f'cellstr\n{cell}\n{cell}\n')
    with pytest.raises(ValueError, match='network .* is there twice'):
        build_cache(table, 'nas-bench-201', tmp_path / 'a')


@pytest.mark.parametrize('left', ['its cache', 'nothing', 'parts', 'another cache'])
def test_who_has_waited_takes_the_cache_that_it_would_build(
    table, tmp_path, monkeypatch, left
):
    out, calls, real = tmp_path / 'a', [], build.locked
    build_cache(table, SPACE, out)
    wanted = out.read_bytes()

    @contextlib.contextmanager
    def locked(path):
        """Another process writes while this one waits."""
        monkeypatch.setattr(build, 'locked', real)
        if left == 'its cache':
            build_cache(table, SPACE, out)
        elif left == 'parts':
            interrupted(table, out)
        elif left == 'another cache':
            GraphCache.load(out).select([0]).save(out)
        yield True

    monkeypatch.setattr(build, 'locked', locked)
    build_cache(table, SPACE, out, advanced=lambda *done: calls.append(done))
    assert (calls == [(5, 5)]) == (left == 'its cache')
    assert out.read_bytes() == wanted
    assert not (tmp_path / 'a.parts').exists()
