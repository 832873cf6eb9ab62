# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Records go into a cache's file and come out of it as they were."""

import dataclasses

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from toy_graphs import chain_graph, toy_entries

from hpml_mm.predictor.graphs.cache import FORMAT, GraphCache, merge
from hpml_mm.predictor.graphs.graph import Entry, same


def equal(first: Entry, second: Entry) -> bool:
    told = (first.name, first.arch, first.metrics)
    return told == (second.name, second.arch, second.metrics) and same(
        first.graph, second.graph, names=True
    )


@pytest.fixture
def cache(tmp_path):
    path = tmp_path / 'toy.cache'
    GraphCache.from_entries(toy_entries()).save(path)
    return path


def test_records_come_back_as_they_were(cache):
    entries, read = toy_entries(), GraphCache.load(cache)
    assert len(read) == len(entries) == 4
    assert all(map(equal, read, entries))
    assert equal(read[-1], entries[-1])
    for field in dataclasses.fields(entries[0].graph):
        old, new = (getattr(each[0].graph, field.name) for each in (entries, read))
        assert type(old) is type(new)
        if isinstance(old, np.ndarray):
            assert old.dtype == new.dtype
    with pytest.raises(IndexError, match='no graph 4 in a cache of 4'):
        read[4]


def test_metrics_are_columns_with_gaps(cache):
    read = GraphCache.load(cache)
    assert read.metric_names == ['top1(%)', 'macs', 'rare']
    assert read.metric('top1(%)').tolist() == [70, 71, 72, 73]
    assert np.isnan(read.metric('rare')).tolist() == [True, True, False, True]
    with pytest.raises(ValueError, match=r"no metric 'top1'.*did you mean 'top1\(%\)'"):
        read.metric('top1')
    with pytest.raises(ValueError, match=r'there are top1\(%\), macs, rare'):
        read.metric('zzzz')


def test_an_equal_node_is_stored_once():
    graph = chain_graph(6)
    # Parameters are the last field: what ends in bytes of zero stays whole.
    params = np.where(graph.params > 0, 256, 1 << 40)
    graph = dataclasses.replace(graph, params=params)
    cache = GraphCache.from_entries(Entry(str(i), graph) for i in range(50))
    assert len(cache.node_kinds) == 50 * graph.num_nodes
    assert len(cache.kinds) == 4  # input, output, and one convolution with its ReLU
    assert cache.node_kinds.dtype == cache.edges.dtype == np.uint8
    assert cache.graph(49).params.tolist() == params.tolist()


def test_merging_unites_the_metrics_of_a_network():
    first = GraphCache.from_entries(toy_entries()[:3])
    graph = toy_entries()[2].graph
    more = GraphCache.from_entries([Entry('net2', graph, 'a-2', {'b(%)': 1.0})])
    united = merge([first, more])
    assert united.names == ['net0', 'net1', 'net2']
    assert united[2].metrics == {**toy_entries()[2].metrics, 'b(%)': 1.0}


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'graph': chain_graph(9)}, 'net0 is there twice, with different graphs'),
        ({'arch': 'x'}, 'net0 is there twice, with different archs: a-0 and x'),
        ({'metrics': {'macs': 7.0}}, "different values of 'macs': 0 and 7"),
    ],
)
def test_merging_refuses_contradictions(change, message):
    entry = toy_entries()[0]
    caches = [
        GraphCache.from_entries([entry]),
        GraphCache.from_entries([dataclasses.replace(entry, **change)]),
    ]
    with pytest.raises(ValueError, match=message):
        merge(caches)


def test_a_truncated_file_is_refused_wherever_it_ends(cache):
    whole = cache.read_bytes()
    for length in range(0, len(whole), max(len(whole) // 40, 1)):
        cache.write_bytes(whole[:length])
        with pytest.raises(ValueError, match='is not a graph cache, or is truncated'):
            GraphCache.load(cache)


def test_a_changed_byte_is_noticed(cache):
    whole = bytearray(cache.read_bytes())
    whole[-9] ^= 1
    cache.write_bytes(whole)
    with pytest.raises(ValueError, match='is damaged: .*checksum.*cache build'):
        GraphCache.load(cache)


def test_other_files_are_refused(tmp_path, cache):
    foreign = tmp_path / 'foreign'
    foreign.write_text('a,b\n')
    with pytest.raises(ValueError, match='is not a graph cache, or is truncated'):
        GraphCache.load(foreign)
    for notes, message in (
        ({}, 'is a safetensors file, but not a graph cache'),
        ({FORMAT.name: '{"version": 9}'}, 'of version 9; this program reads version 1'),
        ({FORMAT.name: '9'}, 'is damaged: its notes are not JSON'),
    ):
        save_file(load_file(cache), foreign, notes)
        with pytest.raises(ValueError, match=message):
            GraphCache.load(foreign)


@pytest.mark.parametrize(
    ('field', 'change'),
    [
        ('node_kinds', lambda a: a + 9),
        ('node_names', lambda a: a + 90),
        ('edges', lambda a: a + 9),
        ('node_offsets', lambda a: a[:-1]),
        ('edge_offsets', lambda a: a[::-1]),
        ('edge_offsets', lambda a: a.astype(float)),
        ('metrics', lambda a: a[:1]),
        ('archs', lambda a: a[1:]),
    ],
)
def test_a_file_whose_parts_do_not_fit_is_refused(tmp_path, field, change):
    cache = GraphCache.from_entries(toy_entries())
    broken = dataclasses.replace(cache, **{field: change(getattr(cache, field))})
    broken.save(tmp_path / 'a')  # with a right checksum
    with pytest.raises(ValueError, match=f'its {field} do not fit the rest'):
        GraphCache.load(tmp_path / 'a')
