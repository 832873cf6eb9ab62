# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The comparison of predictors and the published classifiers, by command."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from toy_graphs import chain_graph

from hpml_mm.experiments.rows import read_results
from hpml_mm.predictor.data import zoo
from hpml_mm.predictor.graphs.cached.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.predictor.spaces import get_space

ROOT = Path(__file__).parents[3]
SPACE = 'nas-bench-macro'


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a tool in a directory of its own, where a cache of 30 networks lies."""
    monkeypatch.chdir(tmp_path)
    home, rng = get_space(SPACE), np.random.default_rng(0)
    archs = sorted({home.encode(home.sample(rng)) for _ in range(40)})[:30]
    entries = []
    for index, arch in enumerate(archs):
        graph = home.graph(home.decode(arch))
        metrics = {'cifar10/top1(%)': 90.0 + index / 10, 'macs': graph.total_macs}
        entries.append(Entry(arch, graph, arch, metrics))
    GraphCache.from_entries(entries).save(tmp_path / f'{SPACE}.safetensors')

    def run(tool: str, *arguments: str) -> None:
        monkeypatch.setattr(sys, 'argv', [tool, *arguments])
        place = ROOT / 'tools' / f'{tool}.py'
        load = runpy.run_path if place.is_file() else runpy.run_module
        load(str(place) if place.is_file() else f'{tool}.__main__')['main']()

    return run


def test_a_case_is_a_table_and_rows(run, capsys):
    arguments = ('macro-20', '--caches', '.', '--methods', 'macs', 'ridge')
    run('projects.aiop', *arguments, '--draws', '1', '2', '--out', 'rows.csv')
    rows = {(row.experiment, row.metric): row for row in read_results(Path('rows.csv'))}
    ridge = rows['predictor/macro-20/ridge', 'srcc(1)']
    assert ridge.n == 2
    assert ridge.command.startswith('python -m projects.aiop macro-20 --caches')
    assert f'| ridge | 2 | {ridge.value:.4f} ± ' in capsys.readouterr().out
    cells = Path('work_dirs/predictor/macro-20').rglob('*.json')
    assert len(list(cells)) == 4


def test_a_method_of_another_case_is_refused(run, capsys):
    with pytest.raises(SystemExit):
        run(
            'projects.aiop',
            'macro-20',
            '--caches',
            '.',
            '--methods',
            'ridge-sums',
        )
    error = capsys.readouterr().err
    assert "error: macro-20 does not compare 'ridge-sums'; it compares macs" in error


def test_the_zoo_tells_what_it_leaves_out(run, capsys, monkeypatch):
    models = [zoo.Published(name, 'Chain', name, 70.0) for name in ('good', 'bad')]

    def load(name: str) -> Entry:
        if name == 'bad':
            raise ValueError('an operator is unknown')
        return Entry(name, chain_graph(1))

    monkeypatch.setattr(zoo, 'published', lambda: models)
    monkeypatch.setattr(zoo, 'load_source', load)
    run('predictor_zoo', '--out', 'zoo.cache')
    told = capsys.readouterr().out
    assert 'Chain/bad left out: an operator is unknown' in told
    assert '1 graphs in zoo.cache' in told
    assert GraphCache.load('zoo.cache').names == ['Chain/good']
