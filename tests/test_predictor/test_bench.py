# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A table of networks: its label, its equal networks, its files."""

import dataclasses

from predictor_toys import macro_cache, toy_cache

from hpml_mm.predictor.data.bench import LABELS, Bench
from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.predictor.spaces import get_space

MACRO = 'nas-bench-macro'


def test_a_cache_tells_its_space_and_label(tmp_path):
    path = tmp_path / 'some.safetensors'
    macro_cache(5).save(path)
    found = Bench.of_cache(path)
    assert (found.space, found.metric, found.families) == (MACRO, LABELS[MACRO], None)
    toy_cache().save(path)
    assert len(Bench.of_cache(path, 'toy/top1(%)', labelled_only=True)) == 16


def test_networks_without_an_arch_are_equal_by_their_statistics():
    first, second = macro_cache(2)
    pairs = [(first, 'F/one'), (second, 'F/two'), (first, 'G/three')]
    label = {LABELS['mmpretrain']: 70.0}
    entries = [
        dataclasses.replace(entry, name=name, arch=None, metrics=label)
        for entry, name in pairs
    ]
    bench = Bench('mmpretrain', GraphCache.from_entries(entries), LABELS['mmpretrain'])
    assert bench.groups[0] == bench.groups[2] != bench.groups[1]
    assert bench.families.tolist() == ['F', 'F', 'G']


def test_cells_that_differ_without_effect_are_equal():
    home, cut = get_space('nas-bench-201'), '|none~0|+|{}~0|skip_connect~1|'
    end = '+|nor_conv_3x3~0|none~1|none~2|'
    # The second node of the cell is read by nobody.
    archs = [cut.format(name) + end for name in ('none', 'nor_conv_1x1')]
    archs.append(archs[0].replace('nor_conv_3x3', 'avg_pool_3x3'))
    graph, metric = home.graph(home.decode(archs[0])), LABELS['nas-bench-201']
    entries = [Entry(arch, graph, arch, {metric: 80.0}) for arch in archs]
    bench = Bench('nas-bench-201', GraphCache.from_entries(entries), metric)
    assert bench.groups[0] == bench.groups[1] != bench.groups[2]
