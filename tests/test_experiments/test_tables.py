# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Committed results hold what they must, and documents show them."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest

from hpml_mm.cli import main
from hpml_mm.cli.results.documents import DOCUMENTS
from hpml_mm.experiments.rows import ResultRow, read_results, write_results
from hpml_mm.experiments.tables import read_rows, results_table, write_tables

ROOT = Path(__file__).parents[2]
RESULTS = sorted((ROOT / 'results').rglob('*.csv'))
DOCUMENTS = [path for glob in DOCUMENTS for path in sorted(ROOT.glob(glob))]
COMMON = {
    'command': 'python x',
    'commit': 'abc',
    'device': 'a CPU',
    'torch': '2',
    'date': '2026-01-02',
}
ROWS = [
    ResultRow('a/x', 'accuracy/top1', '%', 61.284, 0.251, 3, 60.0, **COMMON),
    ResultRow('a/y', 'speed(img/s)', 'img/s', 1234.56, None, 1, None, **COMMON),
    ResultRow('b/y', 'speed(img/s)', 'img/s', 2.0, None, 1, None, **COMMON),
]
BEFORE = "Text\n<!-- table: results/a.csv --match 'a/*' -->\n"
AFTER = '<!-- /table -->\nmore.\n'


@pytest.fixture
def folder(tmp_path):
    write_results(tmp_path / 'results' / 'a.csv', ROWS)
    return tmp_path


@pytest.mark.parametrize('path', RESULTS, ids=lambda path: path.name)
def test_columns_values_and_ratios_of_a_file(path):
    """Reading recomputes each ratio and wants n, and a spread where n > 1."""
    assert read_results(path)
    assert path.parent == ROOT / 'results'


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_tables_are_those_of_the_results(path):
    """``make tables`` would change nothing, and no table of rows is left out."""
    text = path.read_text(encoding='utf-8')
    assert write_tables(text, ROOT) == text
    assert text.count('\n| experiment | metric |') == text.count('<!-- table: ')


def test_a_table_leaves_out_what_is_not_known():
    assert results_table(ROWS[:2]).splitlines()[2:] == [
        '| a/x | accuracy/top1 | 61.28 % | 0.25 | 3 | 1.02 |',
        '| a/y | speed(img/s) | 1,235 |  | 1 |  |',
    ]


def test_rows_of_several_devices_are_told_apart():
    other = replace(ROWS[1], device='a GPU')
    header, _, first, second = results_table([ROWS[1], other]).splitlines()
    assert header.endswith('| ratio | device |')
    assert first == '| a/y | speed(img/s) | 1,235 |  | 1 |  | a CPU |'
    assert second.endswith('| a GPU |')


@pytest.mark.parametrize(
    ('metric', 'rows', 'chosen'),
    [
        (None, None, 'a/x a/y b/y'),
        (['speed(img/s)'], None, 'a/y b/y'),
        (None, ['b/*', '* accuracy/top1'], 'a/x b/y'),
        (['speed(img/s)'], ['a/*'], 'a/y'),
    ],
)
def test_rows_are_chosen_by_metric_and_by_glob(folder, metric, rows, chosen):
    args = Namespace(files=[Path('results/a.csv')], metric=metric, match=rows)
    assert [row.experiment for row in read_rows(args, folder)] == chosen.split()


@pytest.mark.parametrize(
    ('metric', 'rows', 'problem'),
    [
        (['loss'], None, r"'loss'; there are accuracy/top1, speed\(img/s\)"),
        (None, ['c/*'], "'c/\\*'"),
    ],
)
def test_a_choice_that_no_row_meets_is_refused(folder, metric, rows, problem):
    args = Namespace(files=[Path('results/a.csv')], metric=metric, match=rows)
    with pytest.raises(ValueError, match=problem):
        read_rows(args, folder)


def test_documents_get_the_tables_that_their_markers_ask_for(folder, capsys):
    other = folder / 'docs' / 'other.md'
    other.parent.mkdir()
    other.write_text('No table.\n')
    (folder / 'README.md').write_text(f'{BEFORE}| old |\n{AFTER}{BEFORE}{AFTER}')
    main(['results', 'documents', '--root', str(folder)])
    table = f'{BEFORE}{results_table(ROWS[:2])}\n{AFTER}'
    assert (folder / 'README.md').read_text() == 2 * table
    assert capsys.readouterr().out == 'README.md has new tables\n'
