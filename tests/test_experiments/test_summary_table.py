# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import io

from rich.console import Console

from hpml_mm.experiments.summary_table import print_table, summary_rows

SUMMARY = {
    'status': 'finished',
    'mode': 'train',
    'metrics': {'accuracy/top1': 61.2345},
    'best': {'accuracy/top1': 62.0},
    'measurements': {
        'throughput(img/s)': 1234.5,
        'data_wait(%)': 3.21,
        'memory/peak(GiB)': None,
        'verdict': 'compute-bound',
    },
}


def test_a_training_shows_accuracy_speed_wait_and_memory():
    assert summary_rows(SUMMARY) == [
        ('status', 'finished'),
        ('accuracy/top1', '61.23'),
        ('best accuracy/top1', '62.00'),
        ('images/s', '1,234'),
        ('data wait', '3.2 %'),
        ('peak memory', 'unknown'),
        ('verdict', 'compute-bound'),
    ]


def test_a_test_run_shows_metrics_only():
    assert summary_rows({**SUMMARY, 'mode': 'test', 'best': {}}) == [
        ('status', 'finished'),
        ('accuracy/top1', '61.23'),
    ]


def test_what_never_ran_is_unknown():
    rows = dict(summary_rows({'status': 'failed'}))
    assert rows == {
        'status': 'failed',
        'images/s': 'unknown',
        'data wait': 'unknown',
        'peak memory': 'unknown',
    }


def test_the_table_holds_all_rows():
    out = io.StringIO()
    print_table('toy', [('images/s', '12')], Console(file=out, width=60))
    assert 'toy' in out.getvalue()
    assert 'images/s' in out.getvalue()
    assert '\x1b' not in out.getvalue()
