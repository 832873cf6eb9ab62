# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The comparison of methods, on a small table that the test makes."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from hpml_mm.experiments.rows import read_results
from hpml_mm.predictor.data.bench import LABELS
from hpml_mm.predictor.data.build import build_cache
from hpml_mm.predictor.data.protocol import draw
from hpml_mm.predictor.gnn import recipes
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.predictor.predictor import Prediction
from hpml_mm.predictor.spaces import get_space
from projects.aiop import methods, networks
from projects.aiop.__main__ import main
from projects.aiop.cases import CASES, Case
from projects.aiop.features import pairs, stage_sums, standardised
from projects.aiop.methods import METHODS
from projects.aiop.networks import Setting
from projects.aiop.rows import case_rows, case_table, mean_and_std, summarise
from projects.aiop.sweep import Benches, Cell, by_family, cells, judge, run_cells

SPACE = 'nas-bench-macro'
CASE = Case('toy', SPACE, 12, ('macs', 'ridge', 'kernel', 'gnn'))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder with a cache of 40 networks; the label is the number of layers."""
    rng, home = np.random.default_rng(0), get_space(SPACE)
    archs = {home.encode(home.canonical(home.sample(rng))) for _ in range(60)}
    entries = []
    for arch in sorted(archs)[:40]:
        graph = home.graph(home.decode(arch))
        layers = sum(digit != '0' for digit in arch)
        metrics = dict.fromkeys(LABELS.values(), 60.0 + 3 * layers)
        metrics |= {
            'macs': float(graph.total_macs),
            'params': float(graph.total_params),
        }
        entries.append(Entry(f'{SPACE}:{arch}', graph, arch, metrics))
    path = tmp_path_factory.mktemp('caches')
    GraphCache.from_entries(entries).save(path / f'{SPACE}.safetensors')
    return path


@pytest.fixture(scope='module')
def setting(folder):
    """12 of the networks, which are also those of the sources."""
    bench = Benches(folder).get(SPACE)
    return Setting(bench, bench.draw(12, seed=1), (bench,), (bench, bench), seed=3)


def test_cases_compare_methods_that_exist_with_ridge():
    for case in CASES.values():
        assert set(case.methods) <= set(METHODS)
        assert {'ridge', 'macs'} & set(case.methods)
        needy = any(METHODS[method].pretrained for method in case.methods)
        assert bool(case.sources) == needy
        assert case.space not in case.sources


def test_a_seed_counts_only_where_it_has_an_influence():
    found = cells(CASE, seeds=(1, 2, 3), draws=(4, 5))
    counts = [sum(cell.method == method for cell in found) for method in CASE.methods]
    assert counts == [2, 2, 2, 6]
    empty = dataclasses.replace(CASE, sample=0)
    assert len(cells(empty, ['gnn'], seeds=(1, 2, 3), draws=(4, 5))) == 3
    with pytest.raises(ValueError, match="toy does not compare 'zero-aiop'"):
        cells(CASE, ['zero-aiop'])


def test_a_share_of_the_table_is_rounded():
    assert CASES['ofa-80%'].count(1862) == 1490
    assert CASES['ofa-50'].count(1862) == 50


def test_simple_methods_see_what_they_are_named_after(setting):
    setting = dataclasses.replace(setting, drawn=setting.bench.draw(30, seed=1))
    labels = setting.bench.labels[setting.drawn.test]
    errors = {
        method: np.abs(METHODS[method].run(setting).scores - labels).mean()
        for method in ('macs', 'params', 'ridge', 'kernel', 'mean', 'mean-size')
    }
    # The label is a sum over layers, which ridge could say exactly.
    assert errors['ridge'] < 0.5 < errors['macs'] < errors['params']
    assert errors['kernel'] < 0.5
    assert errors['mean'] < errors['mean-size'] < errors['params']


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    """Folder of pre-trained weights, shared by all methods."""
    return tmp_path_factory.mktemp('pretrained')


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(networks, 'PRETRAIN_EPOCHS', 1)
    monkeypatch.setattr(recipes, 'TUNE_EPOCHS', 1)
    monkeypatch.setattr(methods, '_SCALE_TASKS', 1)


@pytest.mark.parametrize('method', [n for n, m in METHODS.items() if m.pretrained])
def test_pretrained_methods_predict_the_rest(method, setting, store, short):
    found = METHODS[method].run(dataclasses.replace(setting, store=store))
    assert found.scores.shape == setting.drawn.test.shape
    assert np.isfinite(found.scores).all()


def test_pretrained_weights_are_kept_and_taken_again(setting, tmp_path, short):
    setting = dataclasses.replace(setting, store=tmp_path)
    first = networks.adapted(setting, tune=False).scores
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert sorted(path.name.split('-')[0] for path in kept) == ['adapters', 'aiop']
    assert networks.adapted(setting, tune=False).scores.tolist() == first.tolist()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == kept
    # Adapters are the same, whether their base was trained just now or read.
    for path in tmp_path.glob('adapters-*'):
        path.unlink()
    assert networks.adapted(setting, tune=False).scores.tolist() == first.tolist()


def test_what_was_run_is_not_run_again(folder, tmp_path):
    todo = cells(CASE, ['ridge'], draws=(1, 2))
    done = list(run_cells(todo, Benches(folder), tmp_path))
    path = todo[0].path(tmp_path)
    assert path == tmp_path / 'toy/ridge/seed12345-draw1.json'
    record = json.loads(path.read_text())
    assert record == done[0][1]
    assert (record['sample'], record['predicted']) == (12, 28)
    record['scores']['srcc(1)'] = -0.25
    path.write_text(json.dumps(record))
    again = list(run_cells(todo, Benches(folder), tmp_path))
    assert again[0][1]['scores']['srcc(1)'] == -0.25
    assert again[1] == done[1]


def _done(method: str, *scores: float, commit: str = 'c') -> list:
    environment = {
        'commit': commit,
        'dirty': False,
        'device': 'CPU',
        'torch': '2.12',
        'date': '2026-01-02T03:04:05+00:00',
    }
    return [
        (
            Cell(CASE, method, 0, draw),
            {
                'scores': {'srcc(1)': value},
                'families': {'A': value / 2, 'B': None},
                'environment': environment,
            },
        )
        for draw, value in enumerate(scores)
    ]


def test_rows_have_mean_population_std_and_ridge_beside():
    done = _done('ridge', 0.5, 0.7) + _done('kernel', 0.8, 1.0)
    ridge, kernel, *families = case_rows(done, 'python x')
    assert kernel.experiment == 'predictor/toy/kernel'
    assert (kernel.value, kernel.spread) == pytest.approx((0.9, 0.1))
    assert (kernel.n, kernel.unit, kernel.date) == (2, '1', '2026-01-02')
    assert kernel.ratio == pytest.approx(1.5)
    assert ridge.ratio == pytest.approx(1)
    names = [row.experiment for row in families]
    assert names == ['predictor/toy/A/ridge', 'predictor/toy/A/kernel']
    assert families[1].value == pytest.approx(0.45)
    assert '| A/kernel | 2 | 0.4500 ± 0.0500 |' in case_table(families)
    assert '| kernel | 2 | 0.9000 ± 0.1000 |' in case_table([ridge, kernel])


def test_runs_of_different_code_are_not_compared():
    done = _done('ridge', 0.5) + _done('kernel', 0.8, commit='d')
    with pytest.raises(ValueError, match='c differs in commit from .* d:'):
        case_rows(done, 'python x')


def test_calibration_is_the_share_within_the_std():
    found = Prediction(np.array([1.0, 2, 3, 4]), np.array([1.0, 1, 1, 1]))
    scores = judge(found, np.array([1.5, 3.5, 5.5, 4.0]))
    assert scores['within_1_spread(%)'] == 50
    assert scores['within_2_spread(%)'] == 75
    assert 'within_1_spread(%)' not in judge(Prediction(found.scores), found.scores)


def test_an_order_has_no_errors_in_points():
    labels = np.array([1.0, 2.0, 4.0])
    scores = judge(Prediction(np.array([1e6, 2e6, 9e6]), absolute=False), labels)
    assert scores['srcc(1)'] == pytest.approx(1)
    assert scores['mae(points)'] is scores['mape(%)'] is None


def test_without_a_sample_costs_are_an_order_and_others_need_a_source(setting):
    setting = dataclasses.replace(setting, drawn=draw(['a', 'b', 'c'], 0, 1))
    costs = METHODS['params'].run(setting)
    assert not costs.absolute
    assert costs.scores.tolist() == setting.bench.params[:3].tolist()
    found = METHODS['zero-kernel'].run(setting)
    # The source is the table itself: what it predicts is known to it.
    assert found.scores == pytest.approx(setting.bench.labels[:3], abs=0.5)


def test_families_large_enough_have_an_order_of_their_own():
    families = np.array(['A'] * 5 + ['B'] * 4)
    labels = np.arange(9.0)
    assert by_family(-labels, labels, families) == {'A': pytest.approx(-1)}


def test_a_metric_that_one_run_lacks_has_no_mean():
    runs = [{'srcc(1)': 0.5, 'mae(points)': 1.0}, {'srcc(1)': None, 'mae(points)': 3.0}]
    assert summarise(runs) == {'srcc(1)': None, 'mae(points)': (2.0, 1.0)}
    with pytest.raises(ValueError, match='no values'):
        mean_and_std([])


FULL = '3-4;3-4;3-4;3-4;' * 5
SMALL = '7-6;5-3;0-0;0-0;' * 5


def test_sums_of_each_stage_and_pairs_of_choices():
    sums = stage_sums('ofa-mbv3-w1.0', [FULL[:-1], SMALL[:-1]])
    assert sums.tolist() == [[4, 12, 16] * 5, [2, 12, 9] * 5]
    with pytest.raises(ValueError, match='nas-bench-201'):
        stage_sums('nas-bench-201', [])
    bits = np.array([[1.0, 0, 1], [0, 1, 1]])
    # Three features; then the products 1x3 and 2x3. 1 and 2 are never both there.
    assert pairs(bits).tolist() == [[1, 0, 1, 1, 0], [0, 1, 1, 0, 1]]


def test_standardised_features_do_not_see_the_units():
    features = np.column_stack([[1.0, 3, 5], [7, 7, 9]])
    found = standardised(features, np.array([0, 1]))
    assert found.tolist() == [[-1, 0], [1, 0], [3, 0]]
    units = np.array([1000, 5])
    assert standardised(features * units, np.array([0, 1])).tolist() == found.tolist()


def test_a_missing_table_is_named_with_its_command(tmp_path):
    with pytest.raises(FileNotFoundError, match=f'cache build TABLE --space {SPACE}'):
        Benches(tmp_path).get(SPACE)
    with pytest.raises(FileNotFoundError, match='cache zoo --out'):
        Benches(tmp_path).get('mmpretrain')


@pytest.fixture
def run(folder, tmp_path, monkeypatch):
    """Runs the command in a directory of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> None:
        words = ['projects.aiop', *arguments, '--caches', str(folder)]
        monkeypatch.setattr(sys, 'argv', words)
        main()

    return run


def test_a_case_is_a_table_and_rows(run, capsys):
    run(
        'macro-20', '--methods', 'macs', 'ridge', '--draws', '1', '2', '--rows', 'r.csv'
    )
    rows = {(row.experiment, row.metric): row for row in read_results(Path('r.csv'))}
    ridge = rows['predictor/macro-20/ridge', 'srcc(1)']
    assert ridge.n == 2
    assert ridge.command.startswith('python -m projects.aiop macro-20 --methods')
    assert f'| ridge | 2 | {ridge.value:.4f} ± ' in capsys.readouterr().out
    assert len(list(Path('work_dirs/predictor/macro-20').rglob('*.json'))) == 4


def test_a_method_of_another_case_is_refused(run, capsys):
    with pytest.raises(SystemExit):
        run('macro-20', '--methods', 'ridge-sums')
    assert "error: macro-20 does not compare 'ridge-sums'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.real_data
def test_fifty_networks_are_enough_for_the_published_table(real_data, tmp_path):
    space = 'ofa-mbv3-w1.0'
    table = real_data / 'nas/ofa_mbv3_w1.0_imagenet.csv'
    build_cache(table, space, tmp_path / f'{space}.safetensors')
    todo = cells(CASES['ofa-50'], ['ridge', 'ridge-sums', 'kernel'])
    rows = case_rows(list(run_cells(todo, Benches(tmp_path), tmp_path)), 'x')
    found = {row.experiment: row.value for row in rows if row.metric == 'srcc(1)'}
    ridge, sums, kernel = found.values()
    assert kernel > 0.985
    assert ridge < sums < kernel - 0.005
