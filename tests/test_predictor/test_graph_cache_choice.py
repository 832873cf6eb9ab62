# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Networks of a cache are chosen by conditions and summed up in tables."""

import io

import pytest
from hpml_mm.predictor.graphs.cached.selection import Condition, choose
from hpml_mm.predictor.graphs.cached.summary import (
    print_summary,
    rank_correlation,
    summarise,
)
from rich.console import Console
from toy_graphs import chain_graph, toy_entries

from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry


@pytest.fixture
def cache():
    return GraphCache.from_entries(toy_entries())


@pytest.mark.parametrize(
    ('conditions', 'names'),
    [
        ([], ['net0', 'net1', 'net2', 'net3']),
        (['macs<=1'], ['net0', 'net1']),
        (['macs < 1'], ['net0']),
        (['macs!=4e0', 'top1(%)>70'], ['net1', 'net3']),
        (['top1(%) == 71'], ['net1']),
        (['rare>=-inf'], ['net2']),  # the others do not have it
        (['rare!=9'], ['net2']),
        (['macs>9'], []),
    ],
)
def test_all_conditions_hold_for_what_is_chosen(cache, conditions, names):
    parsed = [Condition.parse(text) for text in conditions]
    assert choose(cache, parsed).names == names


def test_a_space_is_the_front_of_a_name():
    graph = chain_graph(1)
    names = ['mbv3:1', 'mbv3-w2:1', 'x:mbv3:1']
    cache = GraphCache.from_entries(Entry(name, graph) for name in names)
    assert choose(cache, space='mbv3').names == ['mbv3:1']


@pytest.mark.parametrize(
    'text', ['', 'macs', 'macs<', '<3', 'macs<three', 'macs=3', 'macs<nan', 'a<1<2']
)
def test_what_is_no_condition_is_refused(text):
    with pytest.raises(ValueError, match='is no condition: write a metric, one of <='):
        Condition.parse(text)


def test_an_unknown_metric_is_named(cache):
    with pytest.raises(ValueError, match="no metric 'mac' .* did you mean 'macs'"):
        choose(cache, [Condition.parse('mac<1')])


def test_numbers_of_each_metric(cache):
    rows = {row.name: row for row in summarise(cache)}
    assert list(rows) == ['top1(%)', 'macs', 'rare', 'graph nodes', 'graph edges']
    macs = rows['macs']  # 0, 1, 4, 9
    assert (macs.count, macs.mean, macs.minimum, macs.maximum) == (4, 3.5, 0, 9)
    assert macs.std == pytest.approx(12.25**0.5)
    assert (rows['rare'].count, rows['rare'].std) == (1, 0)
    assert rows['graph nodes'].mean == 7  # 4, 6, 8, 10


def test_ranks_of_two_metrics_are_compared():
    graph = chain_graph(1)
    pairs = [(1, 3), (2, 2), (3, 5), (4, 1)]
    cache = GraphCache.from_entries(
        [Entry(str(x), graph, None, {'x': x, 'y': y, 'z': 1.0}) for x, y in pairs]
        + [Entry('more', graph, None, {'x': 5.0})]
    )
    # Ranks 1 2 3 4 and 3 2 4 1: 1 - 6 * (4 + 0 + 1 + 9) / (4 * 15)
    value, count = rank_correlation(cache, 'x', 'y')
    assert (value, count) == (pytest.approx(-0.4), 4)
    assert rank_correlation(cache, 'x', 'z') == (None, 4)
    assert rank_correlation(cache.select([0, 1, 4]), 'x', 'y') == (None, 2)


def test_the_table_names_what_it_counts(cache):
    out = io.StringIO()
    print_summary(cache, [('macs', 'top1(%)'), ('rare', 'macs')], Console(file=out))
    lines = out.getvalue().splitlines()
    assert lines[0].strip() == '4 networks'
    assert lines[-2:] == [
        'SRCC of macs and top1(%): 1.0000 (n = 4)',
        'SRCC of rare and macs: not defined (n = 1)',
    ]
    print_summary(GraphCache.from_entries([]), console=Console(file=out))
    assert 'unknown' in out.getvalue()


def test_nothing_is_printed_where_a_metric_is_misspelt(cache):
    out = io.StringIO()
    with pytest.raises(ValueError, match="no metric 'mac'"):
        print_summary(cache, [('macs', 'rare'), ('mac', 'rare')], Console(file=out))
    assert not out.getvalue()
