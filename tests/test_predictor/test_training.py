# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Predictors are trained on a sample, fine-tuned on another, and tested on the rest."""

import dataclasses

import pytest
from predictor_toys import macro_cache, toy_cache

from hpml_mm.predictor.arch_search import pareto_front
from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.gnn import recipes
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.predictor_file import load_score_predictor, save_score_predictor
from hpml_mm.predictor.ranking import rank_networks
from hpml_mm.predictor.training import (
    fine_tune_predictor,
    score_again,
    train_predictor,
)

LABEL, MACRO = 'cifar10/top1(%)', 'nas-bench-macro'


@pytest.fixture(scope='module')
def bench():
    return Bench(MACRO, macro_cache(60), LABEL)


@pytest.fixture(scope='module')
def predictor(bench):
    return train_predictor(bench, 40, seed=3)


@pytest.fixture(scope='module')
def other():
    return Bench('toy', toy_cache().select(range(16)), 'toy/top1(%)')


def relabelled(bench, label=LABEL, change=lambda label: label):
    """The table in another order, with a changed or another label."""
    entries = list(bench.cache)[::-1]
    for entry in entries:
        entry.metrics[label] = change(entry.metrics[LABEL])
    return Bench(MACRO, GraphCache.from_entries(entries), label)


def test_a_file_gives_the_scores_of_its_card_again(bench, predictor, tmp_path):
    card = predictor.card
    assert (card.space, card.label, card.method) == (MACRO, LABEL, 'gp')
    assert (card.networks, card.seed, card.origin) == (40, 3, None)
    assert 0 < card.rest <= 20
    assert list(card.scores) == ['predictor', 'ridge', 'macs', 'params']
    # Costs decide the label, and are among the statistics.
    own, ridge = card.scores['predictor'], card.scores['ridge']
    assert own['srcc(1)'] > 0.99
    assert own['mae(points)'] < ridge['mae(points)']
    save_score_predictor(tmp_path / 'a', predictor)
    assert score_again(load_score_predictor(tmp_path / 'a'), bench) == card.scores
    less = Bench(MACRO, bench.cache.select(range(50)), LABEL)
    with pytest.raises(ValueError, match='another table'):
        score_again(predictor, less)


def test_a_table_is_known_by_its_labels(bench, predictor):
    same = score_again(predictor, relabelled(bench))
    assert same['predictor'] == pytest.approx(predictor.card.scores['predictor'])
    with pytest.raises(ValueError, match='or their labels, .* another table'):
        score_again(predictor, relabelled(bench, change=lambda label: label - 1))
    card = dataclasses.replace(predictor.card, rest=1)
    with pytest.raises(ValueError, match='left to test on, .* another table'):
        score_again(dataclasses.replace(predictor, card=card), bench)


def test_the_table_of_the_training_set_is_no_other_table(bench, predictor):
    with pytest.raises(ValueError, match='trained on 40 networks of this table'):
        fine_tune_predictor(predictor, bench, 10, seed=2)
    # Its networks are as well known by another label.
    halved = relabelled(bench, 'half/top1(%)', lambda label: label / 2)
    with pytest.raises(ValueError, match='trained on 40 networks of this table'):
        fine_tune_predictor(predictor, halved, 10, seed=2)


def test_fine_tuning_keeps_the_scales_and_conditions_on_the_sample(bench, other):
    first = train_predictor(other, 12)
    tuned = fine_tune_predictor(first, bench, 20, seed=1)
    old, new = first.model.state_dict(), tuned.model.state_dict()
    assert all(old[name].equal(new[name]) for name in old)
    assert tuned.card.origin == '12 networks of toy, toy top-1 (%)'
    assert tuned.card.networks == len(tuned.to_arrays()['targets']) == 20
    before, after = (tuned.card.scores[k] for k in ('before tuning', 'predictor'))
    assert after['mae(points)'] < before['mae(points)']
    share = 'out_of_distribution(%)'
    assert after[share] < before[share] == 100
    assert len(first.to_arrays()['targets']) == 12


@pytest.mark.parametrize('method', ['gnn', 'residual-gnn'])
def test_graph_networks_are_trained_and_tuned_too(method, bench, other, monkeypatch):
    monkeypatch.setattr(recipes, '_MOST_EPOCHS', 1)
    monkeypatch.setattr(recipes, 'TUNE_EPOCHS', 1)
    first = train_predictor(other, 12, method=method)
    assert list(first.card.scores) == ['predictor', 'macs', 'params']
    assert score_again(first, other) == first.card.scores
    tuned = fine_tune_predictor(first, bench, 4)
    assert tuned.card.method == method
    one, two = (next(p.model.parameters()) for p in (first, tuned))
    assert not one.equal(two)


@pytest.mark.parametrize('value', [0.0, 100.0, 1e8])
def test_a_label_that_is_no_percentage_is_refused(value, bench):
    wrong = relabelled(bench, 'odd/top1(%)', lambda _: value)
    start = f"'odd/top1(%)' of {wrong.cache.names[0]} is {value:,.6g}:"
    with pytest.raises(ValueError, match='above 0 and below 100') as error:
        train_predictor(wrong, 10)
    assert str(error.value).startswith(start)


def test_a_label_may_have_any_unit_and_less_may_be_better(bench, tmp_path):
    """A loss below 0, of which the smallest is the best."""
    losses = relabelled(bench, 'toy/loss(1)', lambda label: 3 - label / 20)
    predictor = train_predictor(losses, 40, seed=3)
    card = predictor.card
    assert (card.unit, card.greater_is_better) == ('1', False)
    assert card.metric == 'toy/loss(1):min'
    own, line = card.scores['predictor'], card.scores['macs']
    assert own['srcc(1)'] > 0.95
    assert own['mae(1)'] < line['mae(1)']
    save_score_predictor(tmp_path / 'a', predictor)
    loaded = load_score_predictor(tmp_path / 'a')
    assert score_again(loaded, losses) == card.scores
    ranked = rank_networks(loaded, losses)
    assert ranked[0].score < ranked[-1].score < 0
    assert [one.merit for one in ranked] == [-one.score for one in ranked]
    assert card.shown(ranked[0].score) == f'{ranked[0].score:.4f}'
    front = pareto_front(ranked)
    assert front[-1] == ranked[0]
    assert [one.macs for one in front] == sorted(one.macs for one in front)


def test_a_label_without_a_known_direction_needs_one(bench):
    with pytest.raises(ValueError, match=r"'toy/thing\(1\)' has no direction"):
        relabelled(bench, 'toy/thing(1)')
    entries = list(relabelled(bench, 'toy/loss(1)').cache)
    thing = Bench(MACRO, GraphCache.from_entries(entries), 'toy/loss(1):max')
    assert thing.task.greater_is_better
    assert train_predictor(thing, 10).card.greater_is_better
