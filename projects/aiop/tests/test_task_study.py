# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The comparison over tasks, on a small table that the test makes."""

import csv
import dataclasses
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

from hpml_mm.experiments.rows import read_results
from hpml_mm.predictor.metrics import srcc
from hpml_mm.predictor.spaces.tables import TASK_METRICS
from hpml_mm.predictor.tasks.features import arch_features
from hpml_mm.predictor.tasks.predictor import TaskPredictor
from projects.aiop.tasks import protocol
from projects.aiop.tasks.__main__ import main
from projects.aiop.tasks.methods import CASES, Drawn, Target
from projects.aiop.tasks.protocol import PROXIES, Published, Split, pairs
from projects.aiop.tasks.rows import Score, measure, task_rows

TASKS = tuple(TASK_METRICS)


def _cells() -> list[str]:
    """Cells of which several compute the same."""
    digits = itertools.product('0123', '03', '01', '13', '023', '02')
    return [f'64-41414-{a}_{b}{c}_{d}{e}{f}' for a, b, c, d, e, f in digits]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Tables of 192 cells; a score is the sum of the digits, with noise by task."""
    folder, rng = tmp_path_factory.mktemp('tables'), np.random.default_rng(0)
    scores, proxies = [], []
    for arch in _cells():
        total = sum(int(digit) for digit in arch[9:] if digit.isdigit())
        row = {'arch_str': arch}
        for task in TASKS:
            row[task] = total + 0.2 * rng.normal() - 40 * (task == 'room_layout')
            row[f'flops_M_{task}'] = row[f'params_M_{task}'] = 1 + total
            proxies.append({'arch_str': arch, 'task': task})
            proxies[-1] |= dict.fromkeys(PROXIES, -row[task])
        scores.append(row)
    for name, rows in (('7tasks', scores), ('zero_cost', proxies)):
        with (folder / f'tnb101_micro_{name}.csv').open('w', newline='') as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return folder


@pytest.fixture(scope='module')
def drawn(folder):
    """One split of the table, with 60 sources."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, 'SOURCES', 60)
        published = Published.read(folder, 'micro')
        return Drawn(published, Split.draw(published, 3))


def test_a_split_has_three_parts_and_knows_the_networks_unlike_all_known(drawn):
    split, equal = drawn.split, drawn.published.equal
    parts = [split.labelled, split.sources, split.test]
    assert [len(part) for part in parts] == [50, 60, 82]
    assert sorted(np.concatenate(parts)) == list(range(192))
    known = set(equal[np.concatenate(parts[:2])])
    assert split.unlike.tolist() == [key not in known for key in equal[split.test]]
    assert 0 < split.unlike.sum() < 82


def test_seven_tasks_have_fifteen_pairs_of_others():
    found = list(pairs(7, 2))
    assert len(set(found)) == 15
    assert not any(2 in pair for pair in found)


@pytest.mark.slow
@pytest.mark.parametrize('method', CASES['20+300'].methods)
def test_other_tasks_are_seen_of_the_sources_alone(drawn, method):
    """The others' scores of networks outside of them change nothing."""
    target = Target(0, 20, (2, 5))
    run = CASES['20+300'].methods[method]
    expected = run(Drawn(drawn.published, drawn.split), target)
    blind = Drawn(drawn.published, drawn.split)
    blind.scores = drawn.scores.copy()
    for rows in (drawn.split.test, drawn.split.labelled):
        blind.scores[rows, 1:] = np.nan
    # Nor does the target of other networks than the 20.
    blind.scores[drawn.split.labelled[20:], 0] = np.nan
    blind.scores[drawn.split.sources, 0] = np.nan
    blind.scores[drawn.split.test, 0] = np.nan
    assert run(blind, target).tolist() == expected.tolist()
    # But the others' scores of the sources do.
    blind.scores[drawn.split.sources, 2] *= -1
    other = Drawn(drawn.published, drawn.split)
    other.scores = blind.scores
    assert run(other, target).tolist() != expected.tolist()


@pytest.mark.slow
@pytest.mark.parametrize('case', ['20', '50', '20+300'])
def test_methods_learn_what_there_is_to_learn(drawn, case):
    held = CASES[case]
    target = Target(2, held.labelled, (0, 1) if held.others else ())
    truth = drawn.scores[drawn.split.test, 2]
    for name, run in held.methods.items():
        found = run(drawn, target)
        assert srcc(found, truth) > 0.5, name
        assert abs(found.mean() - truth.mean()) < 1, name  # In the target's unit.


def test_without_labels_a_cost_is_an_order_and_so_is_a_proxy(drawn):
    truth = drawn.scores[drawn.split.test, 0]
    methods = CASES['0'].methods
    assert srcc(methods['flops'](drawn, Target(0, 0)), truth) > 0.9
    assert srcc(methods['nwot'](drawn, Target(0, 0)), truth) == pytest.approx(-1)
    other = CASES['oracle'].methods['other-scores'](drawn, Target(0, 0, (1, 2)))
    assert srcc(other, truth) > 0.9


def test_errors_have_the_unit_of_the_metric_and_an_order_has_none():
    predicted, labels = np.array([1.0, 2, 5]), np.array([1.0, 3, 3.5])
    found = measure(predicted, labels, '%')
    assert found == {
        'srcc(1)': pytest.approx(1),
        'kendall(1)': pytest.approx(1),
        'mae(points)': pytest.approx(2.5 / 3),
        'mse(points^2)': pytest.approx(3.25 / 3),
        'max_error(points)': 1.5,
    }
    assert 'mae(1)' in measure(predicted, labels, '1')
    assert list(measure(predicted, labels, '1', order=True)) == [
        'srcc(1)',
        'kendall(1)',
    ]
    with pytest.raises(ValueError, match='no order'):
        measure(np.ones(3), labels, '1')


def _scores(case: str, method: str, *values: float) -> list[Score]:
    """Two draws of two tasks; the first has two pairs."""
    places = [(0, 1), (0, 1), (1, 1), (0, 2), (0, 2), (1, 2)]
    return [
        Score(case, method, task, draw, {'srcc(1)': value, 'kendall(1)': value})
        for (task, draw), value in zip(places, values, strict=True)
    ]


def test_a_draw_is_a_mean_over_pairs_and_tasks(drawn):
    scores = _scores('20+300', 'mean', 0.6, 0.8, 0.9, 0.5, 0.7, 0.8)
    scores += _scores('20', 'mean', 0.5, 0.5, 0.7, 0.5, 0.5, 0.9)
    scores += _scores('20+300', 'ridge', 0.4, 0.4, 0.4, 0.4, 0.4, 0.4)
    measured_on = {
        'commit': 'c',
        'dirty': False,
        'device': 'CPU',
        'torch': '2.12',
        'date': '2026-01-02',
    }
    rows = {
        (row.experiment, row.metric): row
        for row in task_rows('micro', drawn.published, scores, 'python x', measured_on)
    }
    whole = rows['predictor-tasks/micro-20+300/mean', 'srcc(1)']
    # Tasks (.7, .9) and (.6, .8): draws .8 and .7.
    assert (whole.value, whole.spread) == pytest.approx((0.75, 0.05))
    assert (whole.n, whole.baseline) == (2, pytest.approx(0.4))
    gain = rows['predictor-tasks/micro-20+300/mean', 'srcc_gain(1)']
    # Alone .6 and .7.
    assert (gain.value, gain.spread) == pytest.approx((0.1, 0.1))
    one = rows['predictor-tasks/micro-20+300/class_scene/top1/mean', 'srcc(1)']
    assert (one.value, one.n) == (pytest.approx(0.65), 2)


@pytest.mark.slow
def test_the_command_writes_rows(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(protocol, 'SOURCES', 60)
    monkeypatch.chdir(tmp_path)
    words = ['x', 'micro', '--tables', str(folder), '--methods', 'flops', 'ridge']
    monkeypatch.setattr(sys, 'argv', [*words, '--draws', '1', '2', '--rows', 'r.csv'])
    main()
    rows = {(row.experiment, row.metric): row for row in read_results(Path('r.csv'))}
    ridge = rows['predictor-tasks/micro-20+300/ridge', 'srcc(1)']
    assert ridge.n == 2
    assert ridge.command.startswith('python -m projects.aiop.tasks micro --tables')
    assert f'| micro-20+300/ridge | 2 | {ridge.value:.3f} ± ' in capsys.readouterr().out
    units = {row.unit for (_, metric), row in rows.items() if metric.startswith('mse')}
    assert units == {'points^2', '1'}
    assert ('predictor-tasks/micro-0/flops', 'srcc_unlike(1)') in rows


def test_tables_that_are_missing_or_cut_off_are_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match='no table .*tnb101_macro_7tasks.csv'):
        Published.read(tmp_path, 'macro')
    text = (folder / 'tnb101_micro_7tasks.csv').read_text()
    (tmp_path / 'tnb101_micro_7tasks.csv').write_text(text)
    proxies = (folder / 'tnb101_micro_zero_cost.csv').read_text().splitlines()
    (tmp_path / 'tnb101_micro_zero_cost.csv').write_text('\n'.join(proxies[:-1]))
    with pytest.raises(ValueError, match='networks without grasp'):
        Published.read(tmp_path, 'micro')


@pytest.mark.slow
@pytest.mark.parametrize('others', [(), (2, 5)])
def test_the_mean_is_what_a_user_of_the_library_gets(drawn, others):
    split, published = drawn.split, drawn.published
    target = Target(0, 20, others)
    scores = np.full(drawn.scores.shape, np.nan)
    scores[split.labelled[:20], 0] = drawn.scores[split.labelled[:20], 0]
    for other in others:
        scores[split.sources, other] = drawn.scores[split.sources, other]
    table = dataclasses.replace(published.table, scores=scores)
    names = [TASKS[other] for other in others]
    found = TaskPredictor.fit(table, TASKS[0], names)
    unseen = arch_features(table.space, [table.names[row] for row in split.test])
    expected = CASES['20+300' if others else '20'].methods['mean'](drawn, target)
    # Networks are in another order, which moves the last digits.
    assert found.predict(unseen) == pytest.approx(expected, abs=0.3)
    assert srcc(found.predict(unseen), expected) > 0.98
