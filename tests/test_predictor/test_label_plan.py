# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Plans of labels, their rows and tables, and the hours that they take."""

import csv
import dataclasses

import numpy as np
import pytest
from mmengine.config import Config, ConfigDict
from predictor_toys import branched_graph

from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.predictor.labels.hours import Estimate, training_hours, validations
from hpml_mm.predictor.labels.plan import (
    Plan,
    chosen_slice,
    claim_folder,
    sample_archs,
)
from hpml_mm.predictor.labels.scores import (
    Row,
    Score,
    check_scores,
    row_of,
    write_cache,
    write_seed_table,
    write_table,
)
from hpml_mm.predictor.spaces import get_space
from hpml_mm.predictor.tasks.table import TaskTable

MACRO = get_space('nas-bench-macro')
PLAN = Plan('nas-bench-macro', 'a.py', 'abc', {}, 0, None, None, None, False)
TOP1, LOSS = Score.parse('accuracy/top1'), Score.parse('val/loss(nats)')


def test_archs_are_distinct_and_a_longer_list_begins_with_a_shorter_one():
    ten = sample_archs(MACRO, 10, seed=3)
    assert len(set(ten)) == 10
    assert sample_archs(MACRO, 4, seed=3) == ten[:4]
    assert sample_archs(MACRO, 10, seed=4) != ten
    for arch in ten:
        assert MACRO.encode(MACRO.decode(arch)) == arch


def test_a_space_that_is_used_up_is_told():
    class Two:
        name = 'two'

        def sample(self, rng):
            return int(rng.integers(2))

        def encode(self, arch):
            return str(arch)

    assert set(sample_archs(Two(), 2, seed=0)) == {'0', '1'}
    with pytest.raises(ValueError, match='-n 3: two gave 2 architectures in 3,000'):
        sample_archs(Two(), 3, seed=0)


def test_slices_are_disjoint_and_together_the_whole():
    parts = [chosen_slice(10, 0, 4), chosen_slice(10, 4, 3), chosen_slice(10, 7, None)]
    assert [n for part in parts for n in part] == list(range(10))


@pytest.mark.parametrize(
    ('start', 'count'), [(-1, None), (10, None), (0, 0), (8, 3), (0, -2)]
)
def test_a_slice_outside_is_refused(start, count):
    with pytest.raises(ValueError, match='the architectures 0 to 9'):
        chosen_slice(10, start, count)


def test_a_folder_is_of_one_plan(tmp_path):
    folder, table = tmp_path / 'a', tmp_path / 'a.csv'
    claim_folder(folder, PLAN, table)
    table.write_text('arch\n')
    claim_folder(folder, PLAN, table)
    other = dataclasses.replace(PLAN, seed=7)
    with pytest.raises(ValueError, match='seed 0, and this command 7'):
        claim_folder(folder, other, table)
    other = dataclasses.replace(PLAN, digest='def')
    with pytest.raises(ValueError, match='another content of a.py'):
        claim_folder(folder, other, table)
    (tmp_path / 'net.pth').write_text('weights')
    net = str(tmp_path / 'net.pth')
    other = dataclasses.replace(PLAN, supernet=net, weights='1')
    claim_folder(tmp_path / 'c', other, tmp_path / 'c.csv')
    assert (tmp_path / 'c' / 'supernet.pth').read_text() == 'weights'
    (tmp_path / 'c' / 'supernet.pth').unlink()  # as if killed before it was copied
    claim_folder(tmp_path / 'c', other, tmp_path / 'c.csv')
    assert (tmp_path / 'c' / 'supernet.pth').read_text() == 'weights'
    moved = dataclasses.replace(other, supernet='elsewhere/net.pth')
    claim_folder(tmp_path / 'c', moved, tmp_path / 'c.csv')
    other = dataclasses.replace(other, weights='2')
    with pytest.raises(ValueError, match=r'another content of .*net\.pth'):
        claim_folder(tmp_path / 'c', other, tmp_path / 'c.csv')
    other = dataclasses.replace(PLAN, options={'train_cfg.max_epochs': 2})
    with pytest.raises(ValueError, match='options {}, and .*"train_cfg.max_epochs": 2'):
        claim_folder(folder, other, table)
    with pytest.raises(ValueError, match='is no table of'):
        claim_folder(tmp_path / 'b', PLAN, table)
    (tmp_path / 'cats').mkdir()
    (tmp_path / 'cats' / 'cat.png').touch()
    with pytest.raises(ValueError, match='holds cat.png and no labels'):
        claim_folder(tmp_path / 'cats', PLAN, tmp_path / 'cats.csv')


@pytest.mark.parametrize(
    ('text', 'key', 'heading'),
    [
        ('accuracy/top1', 'accuracy/top1', 'accuracy/top1(%):max'),
        ('best/accuracy/top1', 'best/accuracy/top1', 'best/accuracy/top1(%):max'),
        ('PCK@0.2:max', 'PCK@0.2', 'PCK@0.2(1):max'),
        ('memory/peak(GiB):min', 'memory/peak(GiB)', 'memory/peak(GiB):min'),
        ('val/loss(nats)', 'val/loss(nats)', 'val/loss(nats):min'),
    ],
)
def test_a_metric_has_a_unit_and_a_direction(text, key, heading):
    score = Score.parse(text)
    assert (score.key, score.heading) == (key, heading)


@pytest.mark.parametrize(
    ('text', 'told'),
    [('PCK@0.2', 'has no direction'), ('mystery:max', 'the unit .* is not known')],
)
def test_a_metric_without_unit_or_direction_is_refused(text, told):
    with pytest.raises(ValueError, match=told):
        Score.parse(text)


def test_metrics_that_no_validation_gives_are_refused():
    metric = {'type': 'mmpretrain.Accuracy', 'topk': (1, 5)}
    cfg = Config({'val_evaluator': metric, 'val_cfg': {}})
    check_scores([TOP1, Score.parse('best/accuracy/top5')], cfg, 'a.py')
    with pytest.raises(ValueError, match="a.py gives .*did you mean 'accuracy/top"):
        check_scores([Score.parse('accuracy/top2:max')], cfg, 'a.py')
    with pytest.raises(ValueError, match='give each once'):
        check_scores([TOP1, TOP1], cfg, 'a.py')


def entry(number: int) -> Entry:
    arch = sample_archs(MACRO, number + 1, seed=0)[number]
    graph = branched_graph(1 + number, 8)
    costs = {'macs': 1e6 + number, 'params': 10.0}
    return Entry(f'nas-bench-macro:{arch}', graph, arch, costs)


def summary(top1: float, loss: float = 1.0, seconds: float | None = 36.0):
    metrics = {'accuracy/top1': top1, 'val/loss(nats)': loss}
    return {'metrics': metrics, 'train': {'wall_time(s)': seconds}}


def test_a_row_has_the_scores_of_all_seeds_or_the_reason():
    held = {0: summary(50.0, 2.0), 1: summary(60.0, 4.0, seconds=108.0)}
    row = row_of(entry(0), [TOP1, LOSS], held, {})
    assert row.scores == ((50.0, 60.0), (2.0, 4.0))
    assert row.means == (55.0, 3.0)
    assert row.hours == 0.02
    row = row_of(entry(0), [TOP1], {0: summary(50.0)}, {1: 'CUDA is\nout of memory'})
    assert (row.scores, row.hours) == ((), None)
    assert row.reason == 'seed 1: CUDA is out of memory'
    row = row_of(entry(0), [Score.parse('accuracy/top1(%):max')], held, {})
    assert row.means == (55.0,)
    # A score that is not a number is written as null.
    row = row_of(entry(0), [TOP1], {0: summary(None)}, {})
    assert "seed 0: the run has no number for 'accuracy/top1'" in row.reason


def test_a_metric_that_no_training_gives_is_told_from_a_missing_number():
    best = Score.parse('best/accuracy/top1')
    held = summary(None)
    TOP1.check(held)  # not a number, of this training
    Score.parse('accuracy/top1(%):max').check(held)
    best.check({**held, 'best': {'accuracy/top1': None}})
    for score, wrong in ((best, held), (TOP1, {'metrics': {'accuracy/top5': 1.0}})):
        with pytest.raises(ValueError, match='the run has no number for'):
            score.check(wrong)


def test_tables_are_read_back_without_what_failed(tmp_path):
    held = {0: summary(50.0), 1: summary(60.5)}
    rows = [
        row_of(entry(0), [TOP1], held, {}),
        Row(entry(1), reason='seed 0: it "broke", at once'),
        row_of(entry(2), [TOP1], {0: summary(70.0), 1: summary(70.2)}, {}),
    ]
    write_table(tmp_path / 'a.csv', rows, [TOP1])
    table = TaskTable.read(tmp_path / 'a.csv')
    assert table.space == 'nas-bench-macro'
    assert table.names == (rows[0].entry.arch, rows[2].entry.arch)
    assert table.scores.tolist() == [[55.25], [70.1]]
    assert table.costs['macs'].tolist() == [[1e6], [1e6 + 2]]
    told = f'line 3: {rows[1].entry.arch!r} has no score: {rows[1].reason}'
    assert table.left_out == (told,)
    write_seed_table(tmp_path / 'a.seeds.csv', rows, [TOP1], [0, 1])
    table = TaskTable.read(tmp_path / 'a.seeds.csv')
    assert [m.name for m in table.metrics] == [
        'accuracy/top1/seed0',
        'accuracy/top1/seed1',
    ]
    assert table.scores.tolist() == [[50.0, 60.5], [70.0, 70.2]]
    write_cache(tmp_path / 'a.cache', rows, [TOP1])
    cache = GraphCache.load(tmp_path / 'a.cache')
    assert cache.archs == list(table.names)
    assert cache.metric('accuracy/top1(%)').tolist() == [55.25, 70.1]
    assert cache.metric('macs').tolist() == [1e6, 1e6 + 2]
    assert [graph.num_nodes for graph in map(cache.graph, range(2))] == [6, 14]


def test_a_table_of_one_owns_may_have_reasons_beside_scores(tmp_path):
    text = 'arch,cifar10/top1(%),reason,hours,note\n22212200,40,lucky,1,x\n'
    (tmp_path / 'own.csv').write_text(text)
    table = TaskTable.read(tmp_path / 'own.csv')
    assert table.scores.tolist() == [[40]]
    assert table.left_out == ("column 'note': neither unit nor direction",)


def test_the_first_line_of_a_table(tmp_path):
    write_table(tmp_path / 'a.csv', [], [TOP1, LOSS])
    with (tmp_path / 'a.csv').open(newline='') as file:
        assert list(csv.reader(file)) == [
            ['arch', 'accuracy/top1(%):max', 'val/loss(nats):min']
            + ['macs', 'params', 'hours', 'reason']
        ]


@pytest.mark.parametrize(
    ('run', 'length', 'count'),
    [
        ({}, 3, 3),
        ({'val_interval': 2}, 5, 3),  # after 2, 4 and 5
        ({'val_interval': 2}, 4, 2),
        ({'val_interval': 2, 'val_begin': 3}, 6, 2),  # after 4 and 6
        ({'val_interval': 10}, 4, 1),
        ({'val_begin': 9}, 4, 0),
    ],
)
def test_validations_are_counted_as_mmengine_does(run, length, count):
    assert validations(ConfigDict(run), length) == count


def trial(**measurements):
    held = {'throughput(img/s)': 10.0, 'val/time(s)': 7.0}
    return {
        'measurements': held | measurements,
        'train': {'dataset_size': 90},
        'environment': {'processes': 2},
    }


def test_hours_of_a_training_by_hand():
    loader = {'batch_size': 10}
    cfg = Config({'train_dataloader': loader, 'train_cfg': {'max_epochs': 4}})
    # Two processes of 10: 5 steps an epoch, one second each.
    assert training_hours(trial(), cfg) == pytest.approx(20 / 3600)
    cfg.val_cfg = {}
    assert training_hours(trial(), cfg) == pytest.approx((20 + 4 * 7) / 3600)
    cfg.train_cfg = {'max_iters': 30, 'val_interval': 10}
    assert training_hours(trial(), cfg) == pytest.approx((30 + 3 * 7) / 3600)
    cfg.train_dataloader = {'batch_sampler': {'batch_size': 20}}
    assert training_hours(trial(), cfg) == pytest.approx((60 + 3 * 7) / 3600)
    broken = trial() | {'measurements': {'throughput/reason': '2 steps in all'}}
    with pytest.raises(ValueError, match='tells no images/s: 2 steps in all'):
        training_hours(broken, cfg)


def test_hours_are_between_those_of_the_trials_and_follow_the_trainings():
    estimate = Estimate([(300e6, 3.0), (100e6, 1.0)])
    assert [estimate.hours(macs) for macs in (50e6, 100e6, 250e6, 9e9)] == [
        *(1.0, 1.0, 2.5, 3.0)
    ]
    estimate.observe(200e6, 4.0)  # twice the estimate
    assert estimate.hours(100e6) == 2.0
    assert Estimate([(1.0, 0.5)]).hours(7.0) == 0.5
    assert np.isfinite(Estimate([(1.0, 0.5), (1.0, 0.5)]).hours(1.0))
