# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Tables of networks times tasks: units, directions, holes, and bad input."""

import numpy as np
import pytest

from hpml_mm.predictor.graphs.cache import GraphCache
from hpml_mm.predictor.graphs.graph import Entry
from hpml_mm.predictor.spaces import get_space
from hpml_mm.predictor.spaces.tables import Row
from hpml_mm.predictor.tasks.metric import TaskMetric
from hpml_mm.predictor.tasks.table import TaskTable, table_rows

OWN = """arch,coco/box_ap(%):max,depth/abs_rel(m):min,macs,note
nas-bench-macro:22212200,40.5,0.2,1e6,good
nas-bench-macro:00000000,,0.9,2e6,
nas-bench-macro:11111111,31,0.5,3e6,x
"""


@pytest.fixture
def read(tmp_path):
    """Reads a table of a text."""

    def read(text: str, **options) -> TaskTable:
        path = tmp_path / 'own.csv'
        path.write_text(text, encoding='utf-8')
        return TaskTable.read(path, **options)

    return read


def test_a_table_of_ones_own(read):
    table = read(OWN)
    assert table.space == 'nas-bench-macro'
    assert table.names == ('22212200', '00000000', '11111111')
    assert table.metrics == (
        TaskMetric('coco/box_ap', '%', True),
        TaskMetric('depth/abs_rel', 'm', False),
    )
    hole = np.isnan(table.scores)
    assert hole.tolist() == [[False, False], [True, False], [False, False]]
    assert table.complete.tolist() == [0, 2]
    # What is less, and better, is greater for a predictor.
    assert table.oriented[:, 1].tolist() == [-0.2, -0.9, -0.5]
    assert table.oriented[0, 0] == 40.5
    assert table.metrics[1].orient(table.oriented[:, 1]).tolist() == [0.2, 0.9, 0.5]
    assert table.costs['macs'].tolist() == [[1e6, 1e6], [2e6, 2e6], [3e6, 3e6]]
    assert list(table.left_out) == ["column 'note': neither unit nor direction"]
    some = table.take(np.array([2, 0]))
    assert some.names == ('11111111', '22212200')
    assert some.scores[:, 0].tolist() == [31, 40.5]
    assert some.costs['macs'][:, 1].tolist() == [3e6, 1e6]


def test_what_cannot_be_used_is_named_and_the_rest_goes_on(read):
    table = read(
        OWN
        + 'nas-bench-macro:22222222,n/a,inf,,\n'
        + 'nas-bench-macro:99999999,50,1,,\n'
        + 'nas-bench-macro:11111111,50,1,,\n'
        + ',50,1,,\n'
        + 'nas-bench-macro:00000001,50\n'
    )
    assert table.names == ('22212200', '00000000', '11111111', '22222222')
    assert np.isnan(table.scores[3]).all()
    reasons = list(table.left_out[1:])
    assert reasons[0] == "line 5, coco/box_ap(%):max: 'n/a' is no finite number"
    assert reasons[1] == "line 5, depth/abs_rel(m):min: 'inf' is no finite number"
    assert reasons[2].startswith('line 6: nas-bench-macro: ')
    assert reasons[3] == "line 7: '11111111' was there before"
    assert reasons[4:] == ['line 8: no arch', 'line 9: 2 cells, not 5']


@pytest.mark.parametrize(
    ('header', 'message'),
    [
        ('arch,ap(%):max,ap(%):min', r'task ap\(%\) is there twice'),
        ('arch,ap(%):max,ap(%):max', r"'ap\(%\):max' twice"),
        ('arch,x/speed(1)', r'no direction: write x/speed\(1\):max'),
        ('arch,ap(%):up', "direction is 'up'"),
        ('arch,ap:max', r"'ap:max' is not as NAME\(UNIT\)"),
        ('arch,score', 'no column NAME'),
        ('name,ap(%):max', "no column 'arch'"),
        ('', "no column 'arch' .*; there are none"),
    ],
)
def test_a_table_that_cannot_be_read(read, header, message):
    with pytest.raises(ValueError, match=f'own.csv.*{message}'):
        read(f'{header}\n22212200,1,2\n')


def test_a_table_of_which_nothing_is_left_says_why(read):
    with pytest.raises(
        ValueError, match='no network .* line 2: transnas-macro: .64-99'
    ):
        read('arch,ap(%):max\n64-99-basic,1\n', space='transnas-macro')
    with pytest.raises(ValueError, match='1 networks and 0 tasks'):
        TaskTable('', ('a',), (), np.empty((1, 0)))
    with pytest.raises(FileNotFoundError, match='no table nowhere.csv'):
        TaskTable.read('nowhere.csv')


def test_published_names_of_metrics_have_a_direction():
    for heading, greater in [
        ('imagenet/top1(%)', True),
        ('coco/box_AP(%)', True),
        ('room_layout/neg_loss(1)', True),
        ('depth/mae(m)', False),
        ('x/loss(1):max', True),
    ]:
        assert TaskMetric.parse(heading).greater_is_better is greater
    assert TaskMetric.parse('x/loss(1):max').heading == 'x/loss(1)'


def test_tasks_are_found_by_name(read):
    table = read(OWN + 'nas-bench-macro:22222222,1,1,,\n')
    assert table.task('coco') == table.task('coco/box_ap(%)') == 0
    assert table.task('depth/abs_rel') == 1
    with pytest.raises(ValueError, match=r"no task 'coco/box'.*coco/box_ap\(%\)"):
        table.task('coco/box')
    twice = read('arch,coco/ap(%):max,coco/pq(%):max\n22212200,1,2\n')
    with pytest.raises(ValueError, match="2 tasks 'coco'"):
        twice.task('coco')


def _cache(*records: tuple[str, dict]) -> GraphCache:
    home = get_space('nas-bench-macro')
    entries = [
        Entry(f'{home.name}:{a}', home.graph(home.decode(a)), a, metrics)
        for a, metrics in records
    ]
    return GraphCache.from_entries(entries)


def test_a_cache_gives_a_table():
    cache = _cache(
        ('22212200', {'a/top1(%)': 50.0, 'macs': 1e6, 'b/speed(x)': 3.0}),
        ('11111111', {'a/top1(%)': 60.0, 'b/params': 7.0}),
    )
    with pytest.raises(ValueError, match=r'b/speed\(x\) has no direction|no direction'):
        TaskTable.of_cache(cache)
    table = TaskTable.of_cache(cache, ['a/top1(%)', 'b/speed(x):min'])
    assert (table.space, table.names) == ('nas-bench-macro', ('22212200', '11111111'))
    assert [m.greater_is_better for m in table.metrics] == [True, False]
    assert table.scores[:, 0].tolist() == [50, 60]
    assert np.isnan(table.scores[1, 1])
    # 'macs' is of all tasks, 'b/params' of one.
    assert table.costs['macs'][0].tolist() == [1e6, 1e6]
    assert np.isnan(table.costs['params'][1, 0])
    assert table.costs['params'][1, 1] == 7
    with pytest.raises(ValueError, match='no metric'):
        TaskTable.of_cache(cache, ['c/top1(%)'])


def test_networks_of_ones_own_table_for_a_cache(tmp_path):
    path = tmp_path / 'own.csv'
    path.write_text(OWN + 'nas-bench-macro:99999999,50,1,,\n', encoding='utf-8')
    rows, left_out = table_rows(path, 'nas-bench-macro')
    assert rows == [
        Row('22212200', {'coco/box_ap(%)': 40.5, 'depth/abs_rel(m)': 0.2}),
        Row('00000000', {'depth/abs_rel(m)': 0.9}),
        Row('11111111', {'coco/box_ap(%)': 31, 'depth/abs_rel(m)': 0.5}),
    ]
    assert len(left_out) == 2
    assert left_out[1].startswith('line 5: ')


@pytest.mark.real_data
@pytest.mark.parametrize(
    ('space', 'networks', 'complete'),
    [('macro', 580, 531), ('micro', 566, 566)],
)
def test_published_tables_are_read_as_they_are(real_data, space, networks, complete):
    table = TaskTable.read(real_data / f'nas/tnb101_{space}_7tasks.csv')
    assert table.space == f'transnas-{space}'
    assert (len(table), len(table.metrics)) == (networks, 7)
    assert len(table.complete) == complete
    assert {m.heading: m.greater_is_better for m in table.metrics}[
        'room_layout/neg_loss(1)'
    ]
    assert table.left_out == ()
    jigsaw = table.task('jigsaw')
    first = {'macro': 230383744, 'micro': 40761856}[space]
    assert table.costs['flops'][0, jigsaw] == pytest.approx(first)
