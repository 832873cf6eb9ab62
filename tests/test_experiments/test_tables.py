# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
from hpml_mm.experiments.rows import ResultRow
from hpml_mm.experiments.tables import results_table

COMMON = {
    'command': 'python x',
    'commit': 'abc',
    'device': 'a CPU',
    'torch': '2',
    'date': '2026-01-02',
}


def test_a_table_leaves_out_what_is_not_known():
    rows = [
        ResultRow('a/x', 'accuracy/top1', '%', 61.284, 0.251, 3, 60.0, **COMMON),
        ResultRow('a/y', 'speed(img/s)', 'img/s', 1234.56, None, 1, None, **COMMON),
    ]
    assert results_table(rows).splitlines()[2:] == [
        '| a/x | accuracy/top1 | 61.28 % | 0.25 | 3 | 1.02 |',
        '| a/y | speed(img/s) | 1,235 |  | 1 |  |',
    ]
