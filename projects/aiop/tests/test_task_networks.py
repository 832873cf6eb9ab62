# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""AIO-P's protocol over tasks: splits, scores, rows, and what each method trains."""

import numpy as np
import pytest
import torch
from predictor_toys import toy_cache

from hpml_mm.predictor.data.bench import Bench
from hpml_mm.utils.env import environment
from projects.aiop.over_tasks.data import draw_tasks, task_benches
from projects.aiop.over_tasks.methods import METHODS, Budget, Study
from projects.aiop.over_tasks.scores import score_rows, score_table, task_scores

NAMES = [f'n{i:02d}' for i in range(30)]


def test_the_three_parts_of_a_draw_share_no_network():
    groups = [*NAMES[:28], 'equal', 'equal']
    draw = draw_tasks(NAMES, groups, 1, sample=5, others=10)
    assert (len(draw.sample), len(draw.others)) == (5, 10)
    parts = [*draw.sample, *draw.others, *draw.test]
    assert len(set(parts)) == len(parts)
    known = {28, 29} & {*draw.sample.tolist(), *draw.others.tolist()}
    assert len(parts) == (29 if len(known) == 1 else 30)
    again = draw_tasks(NAMES, groups, 1, sample=5, others=10)
    assert again.test.tolist() == draw.test.tolist()
    other = draw_tasks(NAMES, groups, 2, sample=5, others=10)
    assert other.test.tolist() != draw.test.tolist()


@pytest.mark.parametrize(('groups', 'known'), [(NAMES, 30), (['same'] * 30, 10)])
def test_nothing_left_to_predict_is_an_error(groups, known):
    with pytest.raises(ValueError, match='none is left to predict beside 5 and'):
        draw_tasks(NAMES, groups, 0, sample=5, others=known - 5)


def test_scores_are_in_the_unit_of_the_labels():
    found = task_scores(np.array([-0.5, -0.7, -0.4]), np.array([-0.6, -0.8, -0.1]))
    assert found['mae(label)'] == pytest.approx(0.5 / 3)
    assert found['mse(label2)'] == pytest.approx((0.01 + 0.01 + 0.09) / 3)
    assert found['max_error(label)'] == pytest.approx(0.3)
    assert found['srcc(1)'] == pytest.approx(1)
    assert found['kendall(1)'] == pytest.approx(1)


@pytest.fixture
def study(tmp_path):
    cache = toy_cache().select(range(16))
    bench = Bench('toy', cache, 'toy/top1(%)')
    return Study(
        'toy', dict.fromkeys('abc', bench), bench, tmp_path, Budget(1, 1, 1), 0
    )


@pytest.fixture
def draw():
    return draw_tasks(NAMES[:16], NAMES[:16], 0, sample=4, others=8)


@pytest.mark.parametrize('name', METHODS)
def test_each_method_predicts_the_rest_and_keeps_its_parts(study, draw, name):
    pair = ('b', 'c') if METHODS[name].adapters else ()
    found = METHODS[name].predict(study, 'a', pair, draw)
    assert found.shape == (4,)
    assert np.isfinite(found).all()
    kept = {path.name: path.stat().st_mtime_ns for path in study.folder.iterdir()}
    assert len(kept) == 1 + len(pair)
    again = METHODS[name].predict(study, 'a', pair, draw)
    assert np.array_equal(found, again)
    assert kept == {p.name: p.stat().st_mtime_ns for p in study.folder.iterdir()}


def test_labels_of_the_test_networks_have_no_influence(study, draw):
    before = METHODS['tuned-aiop'].predict(study, 'a', ('b', 'c'), draw)
    bench = study.benches['a']
    wrong = Bench('toy', bench.cache, bench.metric)
    wrong.labels = bench.labels.copy()
    wrong.labels[draw.test] = 0
    study.benches['a'] = wrong
    after = METHODS['tuned-aiop'].predict(study, 'a', ('b', 'c'), draw)
    assert np.array_equal(before, after)


def test_an_adapter_is_trained_on_other_networks_than_the_target(study, draw):
    model = study.adapted(['b'], 'stand', draw)
    labels = study.benches['b'].labels[draw.others] / 100
    scaler = model.task_scalers[0]
    torch.testing.assert_close(scaler.mean.item(), labels.mean())


def record(*srcc):
    scores = [{'srcc(1)': value, 'mae(label)': 2 * value} for value in srcc]
    return {'scores': scores, 'environment': environment()}


def test_rows_are_means_over_pairs_then_over_draws():
    done = [
        ('m', 'a', record(0.2, 0.4)),
        ('m', 'a', record(0.5, 0.5)),
        ('m', 'b', record(0.9)),
        ('m', 'b', record(0.7)),
    ]
    rows = score_rows('s', done, 'command')
    found = {(row.experiment, row.metric): row for row in rows}
    row = found['predictor-over-tasks/s/a/m', 'srcc(1)']
    assert (row.value, row.spread, row.n) == (pytest.approx(0.4), pytest.approx(0.1), 2)
    mean = found['predictor-over-tasks/s/mean/m', 'srcc(1)']
    assert mean.value == pytest.approx((0.6 + 0.6) / 2)
    assert '| m | 0.40 ± 0.10 | 0.80 ± 0.10 | 0.60 ± 0.00 |' in score_table(rows)


@pytest.mark.real_data
def test_networks_of_a_table_have_the_decoder_of_each_task(real_data, tmp_path):
    table = real_data / 'nas' / 'tnb101_macro_7tasks.csv'
    short = tmp_path / 'table.csv'
    lines = table.read_text().splitlines()
    empty = next(line for line in lines if ',,' in line)
    short.write_text('\n'.join([*lines[:4], empty, '']))
    benches = task_benches(short, 'transnas-macro', tmp_path)
    assert len(benches) == 7
    # The fourth lacks a label.
    assert {len(bench) for bench in benches.values()} == {3}
    sizes = {task: int(bench.macs[0]) for task, bench in benches.items()}
    assert sizes['normal'] == sizes['autoencoder'] > sizes['segmentsemantic']
    assert sizes['segmentsemantic'] > sizes['class_object'] > sizes['class_scene']
    assert benches['room_layout'].labels.max() < 0
