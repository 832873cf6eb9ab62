# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The table of a folder of configs is that of the results."""

from pathlib import Path

import pytest

from hpml_mm.experiments.rows import ResultRow, read_results
from hpml_mm.report.reading.sources import measured, read_source
from projects.cat_grid.grid import grid_table, replace_grid

ROOT = Path(__file__).parents[3]
CATS = ROOT / 'configs' / 'cat_pose'


def row(command, value=0.25, spread=None, experiment='s/a'):
    return ResultRow(
        *(experiment, 'coco/AP', '1', value, spread, 1 if spread is None else 3, None),
        *(command, 'abc', 'cpu', '2', '2026-01-01'),
    )


TRAIN = 'python tools/train.py configs/p/a_1.py'
SWEEP = (
    'hpml sweep --name s --variant a configs/p/a_1.py '
    '--variant b configs/p/b_1.py train_cfg.max_epochs=3 --rows results/s.csv'
)


@pytest.mark.parametrize(
    ('rows', 'config'),
    [
        ([row(SWEEP), row(SWEEP, experiment='s/b')], ['a_1']),  # b was overridden
        ([row(TRAIN, 0.1), row(TRAIN)], ['a_1']),  # the last one counts
        ([row(f'{TRAIN} --cfg-options train_cfg.max_epochs=1')], []),
        ([row(f'{TRAIN} --amp')], []),
        ([row('python tools/test.py configs/p/a_1.py a.pth')], []),
    ],
)
def test_a_row_belongs_to_a_config_that_was_trained_unchanged(rows, config):
    found = measured(rows, 'coco/AP')
    assert list(found) == config
    assert [row.value for row in found.values()] == [0.25] * len(config)
    assert measured(rows, 'coco/AR') == {}


def test_the_table_line_by_line():
    leaves = [Path(f'configs/p/{n}.py') for n in ('z_1xb2', 'e02_m', 'e01_m')]
    source = {
        'e01': {'change': 'base', 'final': '', 'best': '0.14'},
        'e02': {'change': 'more', 'final': '', 'best': ''},
    }
    final = {'z_1xb2': row('c', 0.2504, 0.012)}
    lines = grid_table(leaves, source, final, {}).splitlines()
    assert lines[2:] == [
        '| e01 | [m](e01_m.py) | base | - / 0.14 |  |',
        '| e02 | [m](e02_m.py) | more |  |  |',
        '|  | [z_1xb2](z_1xb2.py) |  |  | 0.250 ± 0.012 (n=3) / - |',
    ]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('experiment,change\n', 'the columns must be experiment,change,final,best'),
        ('experiment,change,final,best\ne1,a,,\ne1,b,,\n', ':3: e1 is there twice'),
        ('experiment,change,final,best\ne1,a,x,\n', ":2: final is no score: 'x'"),
    ],
)
def test_a_bad_source_is_an_error_with_its_place(tmp_path, text, message):
    path = tmp_path / 'source.csv'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_source(path)


def test_a_document_without_marks_is_left_alone():
    with pytest.raises(ValueError, match='has no <!-- grid -->'):
        replace_grid('text', 'table')


def test_the_readme_holds_the_table_of_the_results():
    rows = [
        r for p in sorted((ROOT / 'results').glob('*.csv')) for r in read_results(p)
    ]
    table = grid_table(
        CATS.glob('*.py'),
        read_source(CATS / 'source.csv'),
        measured(rows, 'coco/AP'),
        measured(rows, 'best/coco/AP'),
    )
    assert f'<!-- grid -->\n{table}\n<!-- /grid -->' in (CATS / 'README.md').read_text()


def test_every_experiment_of_the_source_has_a_config():
    numbers = {path.name.split('_')[0] for path in CATS.glob('e[0-9]*.py')}
    assert numbers == set(read_source(CATS / 'source.csv'))
