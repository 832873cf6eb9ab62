# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Predictors are trained on a sample, fine-tuned on another, and judged on the rest."""

import dataclasses

import pytest
from predictor_toys import macro_cache, toy_cache

from hpml_mm.predictor.data.bench import Bench
from hpml_mm.predictor.gnn import recipes
from hpml_mm.predictor.graphs.cached.cache import GraphCache
from hpml_mm.predictor.predictor_file import load_score_predictor, save_score_predictor
from hpml_mm.predictor.training import (
    METHODS,
    fine_tune_predictor,
    score_again,
    train_predictor,
)

LABEL = 'cifar10/top1(%)'


@pytest.fixture(scope='module')
def bench():
    return Bench('nas-bench-macro', macro_cache(60), LABEL)


@pytest.fixture(scope='module')
def other():
    return Bench('toy', toy_cache().select(range(16)), 'toy/top1(%)')


def test_a_card_says_what_a_file_gives_again(bench, tmp_path):
    predictor = train_predictor(bench, 40, seed=3)
    card = predictor.card
    assert (card.space, card.label, card.method) == ('nas-bench-macro', LABEL, 'kernel')
    assert (card.networks, card.seed, card.origin) == (40, 3, None)
    assert 0 < card.rest <= 20
    assert list(card.scores) == ['predictor', 'ridge', 'macs', 'params']
    # Costs decide the label, and are among the statistics.
    assert card.scores['predictor']['srcc(1)'] > 0.99
    assert card.scores['predictor']['mae(points)'] < card.scores['ridge']['mae(points)']
    save_score_predictor(tmp_path / 'a.safetensors', predictor)
    assert score_again(load_score_predictor(tmp_path / 'a.safetensors'), bench) == card.scores
    less = Bench('nas-bench-macro', bench.cache.select(range(50)), LABEL)
    with pytest.raises(ValueError, match='the networks of the cache, .* another table'):
        score_again(predictor, less)


def relabelled(bench, change):
    """The table with changed labels, in another order."""
    entries = list(bench.cache)[::-1]
    for entry in entries:
        entry.metrics[LABEL] = change(entry.metrics[LABEL])
    return Bench('nas-bench-macro', GraphCache.from_entries(entries), LABEL)


def test_a_table_is_known_by_its_labels(bench):
    predictor = train_predictor(bench, 40)
    same = score_again(predictor, relabelled(bench, lambda label: label))
    assert same['predictor'] == pytest.approx(predictor.card.scores['predictor'])
    other = relabelled(bench, lambda label: label - 1)
    with pytest.raises(ValueError, match='or their labels, are not .* another table'):
        score_again(predictor, other)
    card = dataclasses.replace(predictor.card, table=None)  # an older file
    score_again(dataclasses.replace(predictor, card=card), other)
    card = dataclasses.replace(card, rest=1)
    with pytest.raises(ValueError, match='are left to judge on, .* another table'):
        score_again(dataclasses.replace(predictor, card=card), other)


def test_the_table_that_was_learnt_from_is_no_other_table(bench):
    predictor = train_predictor(bench, 30, seed=1)
    with pytest.raises(ValueError, match='has learnt from 30 networks of this table'):
        fine_tune_predictor(predictor, bench, 10, seed=2)
    # Its networks are as well known by another label.
    with pytest.raises(ValueError, match='has learnt from 30 networks of this table'):
        fine_tune_predictor(predictor, labelled_by_depth(bench), 10, seed=2)


def labelled_by_depth(bench):
    entries = list(bench.cache)
    for entry in entries:
        entry.metrics['depth/top1(%)'] = 9 - entry.arch.count('0')
    return Bench('nas-bench-macro', GraphCache.from_entries(entries), 'depth/top1(%)')


def test_fine_tuning_keeps_the_scales_and_draws_from_the_sample(bench, other):
    predictor = train_predictor(other, 12)
    tuned = fine_tune_predictor(predictor, bench, 20, seed=1)
    old, new = predictor.model.state_dict(), tuned.model.state_dict()
    assert all(old[name].equal(new[name]) for name in old)
    assert tuned.card.origin == '12 networks of toy, toy top-1 (%)'
    assert tuned.card.networks == 20
    before, after = (tuned.card.scores[k] for k in ('before tuning', 'predictor'))
    assert after['mae(points)'] < before['mae(points)']
    assert after['outside(%)'] < before['outside(%)'] == 100
    assert predictor.model._conditioned().targets.shape == (12,)


@pytest.mark.parametrize('method', ['gnn', 'residual-gnn'])
def test_graph_networks_are_trained_and_tuned_too(method, bench, other, monkeypatch):
    monkeypatch.setattr(recipes, '_MOST_EPOCHS', 1)
    monkeypatch.setattr(recipes, 'TUNE_EPOCHS', 1)
    predictor = train_predictor(other, 12, method=method)
    assert list(predictor.card.scores) == ['predictor', 'macs', 'params']
    assert score_again(predictor, other) == predictor.card.scores
    tuned = fine_tune_predictor(predictor, bench, 4)
    assert tuned.card.method == method
    first, second = (next(p.model.parameters()) for p in (predictor, tuned))
    assert not first.equal(second)


def test_what_cannot_be_learnt_is_refused(bench):
    with pytest.raises(ValueError, match='-n 1: at least 2 networks'):
        train_predictor(bench, 1)
    with pytest.raises(ValueError, match='60 of 60 networks to learn from'):
        train_predictor(bench, 60)
    with pytest.raises(ValueError, match='--seed -1'):
        train_predictor(bench, 10, seed=-1)
    with pytest.raises(ValueError, match="no method 'magic'; there are kernel, resid"):
        train_predictor(bench, 10, method='magic')


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('metric', ['macs', 'none/top1(%)', 'all/top1(%)'])
def test_a_label_that_is_no_percentage_is_refused(method, metric, bench):
    entries = list(bench.cache)
    for entry in entries:
        entry.metrics.update({'none/top1(%)': 0.0, 'all/top1(%)': 100.0})
    wrong = Bench('nas-bench-macro', GraphCache.from_entries(entries), metric)
    value = f'{entries[0].metrics[metric]:,.6g}'
    with pytest.raises(ValueError, match='labels are percentages above 0') as error:
        train_predictor(wrong, 10, method=method)
    assert str(error.value).startswith(f"'{metric}' of {entries[0].name} is {value}:")


def test_a_cache_says_its_space_and_label(bench, tmp_path):
    path = tmp_path / 'some.safetensors'
    bench.cache.save(path)
    found = Bench.of_cache(path)
    assert (found.space, found.metric) == ('nas-bench-macro', LABEL)
    with pytest.raises(ValueError, match='has networks of nas-bench-macro, not of a'):
        Bench.of_cache(path, expected='a')
    toy_cache().save(path)
    with pytest.raises(ValueError, match=r'choose a --metric; there are toy/top1\(%\)'):
        Bench.of_cache(path)
    with pytest.raises(ValueError, match=r"other has no 'toy/top1\(%\)'"):
        Bench.of_cache(path, 'toy/top1(%)')
