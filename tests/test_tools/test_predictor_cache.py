# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""``hpml nas cache``: caches are built, joined, chosen from and summed up."""

import json
from pathlib import Path

import pytest
from predictor_command import printed
from toy_graphs import toy_entries

from hpml_mm.predictor.graphs.cache import GraphCache

MACRO = 'nas-bench-macro'


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Everything is written below a directory of its own, which has a cache."""
    monkeypatch.chdir(tmp_path)
    GraphCache.from_entries(toy_entries()).save('toy')


def test_caches_are_built_merged_and_filtered(capsys):
    table = {'11111111': {'mean_acc': 90.0, 'params': 1, 'flops': 2}}
    Path('t.json').write_text(json.dumps(table))
    build = ('cache', 'build', 't.json', '--space', MACRO, '--out', 'a.cache')
    (line,) = printed(capsys, *build)
    size = Path('a.cache').stat().st_size
    assert line == f'1 graph written to a.cache ({size:,} bytes)'
    printed(capsys, 'cache', 'merge', 'a.cache', 'toy', '--out', 'c.cache')
    assert len(GraphCache.load('c.cache')) == 5
    printed(capsys, 'cache', 'filter', 'c.cache', '--space', MACRO, '--out', 'd.cache')
    assert GraphCache.load('d.cache').names == [f'{MACRO}:11111111']


@pytest.mark.parametrize(
    ('conditions', 'names'),
    [
        (['macs<=1'], ['net0', 'net1']),
        (['macs < 1'], ['net0']),
        (['macs!=4e0', 'top1(%)>70'], ['net1', 'net3']),
        (['top1(%) == 71'], ['net1']),
        (['rare>=-inf'], ['net2']),  # the others do not have it
        (['rare!=9'], ['net2']),
    ],
)
def test_all_conditions_hold_for_what_is_chosen(capsys, conditions, names):
    printed(capsys, 'cache', 'filter', 'toy', '--out', 'o', '--where', *conditions)
    assert GraphCache.load('o').names == names


def test_the_table_sums_up_each_metric(capsys):
    pairs = ('--srcc', 'macs', 'top1(%)', '--srcc', 'rare', 'macs')
    lines = printed(capsys, 'cache', 'summary', 'toy', *pairs)
    assert lines[0].strip() == '4 networks'
    rows = [[cell.strip() for cell in line.split('│')[1:-1]] for line in lines]
    assert [row for row in rows if row] == [
        ['top1(%)', '4', '71.5', '1.11803', '70', '73'],
        ['macs', '4', '3.5', '3.5', '0', '9'],  # 0, 1, 4, 9
        ['rare', '1', '1.5', '0', '1.5', '1.5'],
        ['graph nodes', '4', '7', '2.23607', '4', '10'],
        ['graph edges', '4', '6', '2.23607', '3', '9'],
    ]
    assert lines[-2:] == [
        'SRCC of macs and top1(%): 1.0000 (n = 4)',
        'SRCC of rare and macs: not defined (n = 1)',
    ]
    GraphCache.from_entries([]).save('empty')
    assert 'unknown' in ''.join(printed(capsys, 'cache', 'summary', 'empty'))
