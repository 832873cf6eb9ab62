# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import csv
from pathlib import Path

import numpy as np
import pytest

from hpml_mm.experiments.rows import read_results
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.predictor.spaces import get_space
from hpml_mm.predictor.tasks.regressors import mean_regressor
from hpml_mm.predictor.tasks.table import TaskTable
from projects.aiop.labels.__main__ import main
from projects.aiop.labels.judge import Labels, judge, noise
from projects.aiop.labels.noise import (
    agreement,
    ceiling_of_mean,
    ceiling_of_one,
    gain,
)

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ('r', 'one', 'mean'),
    [(1, 1, 1), (0.64, 0.8, (1.28 / 1.64) ** 0.5), (0, 0, 0), (-0.2, 0, 0)],
)
def test_noise_sets_the_ceilings(r, one, mean):
    assert ceiling_of_one(r) == pytest.approx(one)
    assert ceiling_of_mean(r) == pytest.approx(mean)


def test_the_ceilings_are_what_the_truth_reaches():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=20_000)
    first, second = (truth + rng.normal(size=20_000) for _ in range(2))
    r = np.corrcoef(first, second)[0, 1]
    one, mean = ceiling_of_one(r), ceiling_of_mean(r)
    assert np.corrcoef(truth, first)[0, 1] == pytest.approx(one, abs=0.01)
    both = (first + second) / 2
    assert np.corrcoef(truth, both)[0, 1] == pytest.approx(mean, abs=0.01)


def test_an_interval_holds_the_correlation_and_narrows_with_networks():
    rng = np.random.default_rng(0)

    def drawn(count):
        truth = rng.normal(size=count)
        return agreement(truth, truth + 0.7 * rng.normal(size=count))

    few, many = drawn(12), drawn(200)
    for found in (few, many):
        assert found.low < found.value < found.high
    assert many.decided
    assert many.high - many.low < few.high - few.low
    assert many.std < few.std
    noise = agreement(rng.normal(size=30), rng.normal(size=30))
    assert not noise.decided


def test_a_gain_is_the_difference_of_two_rankings_of_the_same_networks():
    rng = np.random.default_rng(0)
    labels = rng.normal(size=60)
    good, poor = labels + 0.1 * rng.normal(size=60), rng.normal(size=60)
    found = gain(good, poor, labels)
    expected = agreement(good, labels).value - agreement(poor, labels).value
    assert found.value == pytest.approx(expected)
    assert found.decided
    same = gain(good, good, labels)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert not same.decided


def test_too_few_or_equal_scores_are_refused():
    with pytest.raises(ValueError, match='4'):
        agreement(np.arange(3.0), np.arange(3.0))
    with pytest.raises(ValueError, match='equal'):
        agreement(np.arange(5.0), np.ones(5))


def toy(scores, heading='pose/accuracy(1)', start=0):
    """Labelled networks of a space, by a function of depth and noise."""
    home, rng = get_space('nas-bench-macro'), np.random.default_rng(start)
    archs = list(dict.fromkeys(home.encode(home.sample(rng)) for _ in range(40)))
    entries = []
    for number, arch in enumerate(archs[:24]):
        graph = home.graph(home.decode(arch))
        metrics = {
            heading: scores(graph, number),
            'macs': float(graph.total_macs),
            'params': float(graph.total_params),
        }
        entries.append(Entry(f'nas-bench-macro:{arch}', graph, arch, metrics))
    return GraphCache.from_entries(entries)


@pytest.fixture(autouse=True)
def one_division(monkeypatch):
    monkeypatch.setattr('projects.aiop.labels.judge._DRAWS', 1)
    monkeypatch.setattr('projects.aiop.labels.judge._PERMUTATIONS', 2)


def by_size(graph, number):
    return float(np.log(graph.total_macs)) + 0.01 * (-1) ** number


def test_costs_other_tasks_and_predictors_are_judged():
    labels = Labels(toy(by_size))
    against = Labels(toy(lambda graph, number: -by_size(graph, number)))
    # Half of its networks are those of the task: they are not learned from.
    known = Labels(toy(by_size, start=1))
    found = {one.method: one for one in judge(labels, {'against': against}, known)}
    assert list(found) == [
        *('macs', 'params', 'own labels', 'known task'),
        *('own labels and known task', 'labels of against'),
    ]
    assert found['macs'].srcc.value > 0.95
    assert found['macs'].gain is None
    assert found['known task'].srcc.value > 0.8
    assert found['own labels'].srcc.value > 0.6
    assert found['labels of against'].srcc.value < -0.95
    assert found['labels of against'].gain.decided
    assert all(one.srcc.n == 24 for one in found.values())
    learned = {name for name, one in found.items() if one.null}
    assert learned == {'own labels', 'own labels and known task'}
    assert max(found['own labels'].null) < found['own labels'].srcc.value


def test_what_another_task_tells_is_made_use_of(monkeypatch):
    """Features tell little here, the other task tells all, by ridge regression too."""
    seen = []

    def noted(others=0, seed=0):
        seen.append(others)
        return mean_regressor(others, seed)

    monkeypatch.setattr('projects.aiop.labels.judge.mean_regressor', noted)
    scores = np.random.default_rng(0).normal(size=24)
    labels = Labels(toy(lambda graph, number: float(scores[number])))
    alone = labels.cross_predict(scores, draws=1)
    both = labels.cross_predict(scores, scores[:, None], draws=1)
    assert seen == [0] * 4 + [1] * 4
    assert agreement(both, scores).value > agreement(alone, scores).value + 0.4


def test_a_task_where_less_is_better_is_turned_around():
    labels = Labels(toy(lambda g, n: -by_size(g, n), 'pose/loss(1)'))
    assert judge(labels)[0].srcc.value > 0.95


def test_no_network_of_the_task_is_learned_from():
    labels = Labels(toy(by_size))
    same = Labels(toy(by_size))
    # All networks are those that are asked for: nothing is left to learn from.
    with pytest.raises(ValueError, match='0 networks'):
        same.transfer(labels.archs)


def write_table(path, header, rows):
    with path.open('w', newline='') as file:
        csv.writer(file).writerows([header, *rows])


def test_the_command_writes_noise_and_verdicts(tmp_path, capsys):
    # Whose name does not tell whether more is better: the table does.
    cache = toy(by_size, 'coco/bbox_mAP(1)')
    cache.save(tmp_path / 'poses.cache')
    cache.save(tmp_path / 'pseudo.cache')
    rows = [
        [arch, by_size(cache.graph(i), 0), by_size(cache.graph(i), i) + 0.2 * (i % 3)]
        for i, arch in enumerate(cache.archs)
    ]
    means = [[arch, (first + second) / 2] for arch, first, second in rows]
    header = ['arch', *(f'coco/bbox_mAP/seed{i}(1):max' for i in (0, 1))]
    for name in ('poses', 'pseudo'):
        write_table(tmp_path / f'{name}.csv', ['arch', 'coco/bbox_mAP(1):max'], means)
    write_table(tmp_path / 'poses.seeds.csv', header, rows)
    out, tables = (
        tmp_path / 'labels.csv',
        [f'{name}={tmp_path / name}.csv' for name in ('poses', 'pseudo')],
    )
    main([*tables, '--rows', str(out)])
    found = {(row.experiment, row.metric): row for row in read_results(out)}
    seeds = found['labels/poses/seeds', 'srcc(1)']
    ceiling = found['labels/poses/seeds', 'ceiling_mean(1)'].value
    assert ceiling == pytest.approx(
        (2 * seeds.value / (1 + seeds.value)) ** 0.5, rel=1e-4
    )
    assert seeds.n == 24
    assert ('labels/poses/own-labels', 'gain_low(1)') in found
    assert found['labels/poses/own-labels', 'srcc_null(1)'].value < 0.5
    low = found['labels/poses/seeds', 'srcc_low(1)'].value
    assert found['labels/poses/seeds', 'ceiling_one_low(1)'].value == pytest.approx(
        max(low, 0) ** 0.5, rel=0.02
    )
    assert 'ceiling_one(1)' in capsys.readouterr().out
    # Labels of one seed rank the others, and are not judged.
    mean = found['labels/pseudo/networks', 'label(1)']
    values = [value for _, value in means]
    assert mean.value == pytest.approx(np.mean(values))
    assert mean.spread == pytest.approx(np.std(values, ddof=1), rel=1e-4)
    assert ('labels/poses/labels-of-pseudo', 'srcc(1)') in found
    assert {name for name, _ in found if 'pseudo' in name} == {
        *('labels/pseudo/networks', 'labels/poses/labels-of-pseudo')
    }
    with pytest.raises(SystemExit):
        main(tables[1:])
    assert 'pseudo: no labels of two seeds, so nothing' in capsys.readouterr().err
    GraphCache.from_entries(list(cache)[:20]).save(tmp_path / 'poses.cache')
    with pytest.raises(SystemExit):
        main([f'poses={tmp_path / "poses.csv"}'])
    assert 'holds 20 networks and the table 24' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(['poses'])
    assert 'NAME=TABLE' in capsys.readouterr().err


def test_the_committed_labels_are_those_of_the_rows():
    place = ROOT / 'projects/aiop/tables/ofa-mbv3-w1.0_lspet.csv'
    table, seeds = (
        TaskTable.read(path) for path in (place, place.with_suffix('.seeds.csv'))
    )
    assert table.names == seeds.names
    assert table.scores[:, 0] == pytest.approx(seeds.scores.mean(axis=1))
    rows = {
        (row.experiment, row.metric): row
        for row in read_results(ROOT / 'results/labels.csv')
    }
    for metric, found in noise(seeds).items():
        row = rows['labels/poses/seeds', f'{metric}(1)']
        assert (row.value, row.n) == (pytest.approx(found.value, abs=1e-5), found.n)
