# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A table keeps its columns, and what is counted stands beside them."""

import csv

import pytest

from hpml_mm.predictor.data.arch_table import profile_table

# A cell whose quote is never closed.
ENDLESS = '"' + 'a' * (csv.field_size_limit() + 1)


@pytest.mark.real_data
def test_the_published_table_is_counted_exactly(tmp_path, real_data):
    source = real_data / 'nas' / 'ofa_mbv3_w1.0_imagenet.csv'
    lines = source.read_text().splitlines(keepends=True)
    (tmp_path / 'in.csv').write_text(''.join(lines[:1] + lines[1::50]))
    space = profile_table(tmp_path / 'in.csv', tmp_path / 'out.csv')
    assert space == 'ofa-mbv3-w1.0'
    with (tmp_path / 'out.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 38
    for row in rows:
        assert row['macs_counted'] == row['macs']
        assert row['params_counted'] == row['params']


def test_progress_is_told_and_the_space_may_stand_before_an_arch(tmp_path):
    archs = ['nas-bench-macro:11111111', 'nas-bench-macro:00000000']
    (tmp_path / 'a.csv').write_text('\n'.join(['arch', *archs]))
    calls = []
    space = profile_table(
        tmp_path / 'a.csv',
        tmp_path / 'b.csv',
        advanced=lambda done, total: calls.append((done, total)),
    )
    assert space == 'nas-bench-macro'
    assert calls == [(1, 2), (2, 2)]
    first, second = (tmp_path / 'b.csv').read_text().splitlines()[1:]
    assert first.startswith(f'{archs[0]},')
    assert int(first.split(',')[1]) > int(second.split(',')[1]) > 0


def test_a_table_without_rows_has_the_new_columns_too(tmp_path):
    (tmp_path / 'a.csv').write_text('arch\n')
    assert profile_table(tmp_path / 'a.csv', tmp_path / 'b.csv') == ''
    expected = 'arch,macs_counted,params_counted\n'
    assert (tmp_path / 'b.csv').read_text() == expected


@pytest.mark.parametrize(
    ('text', 'space', 'message'),
    [
        ('arch\n11111111\n', 'ofa-mbv3-w1.2', r'a\.csv, line 2: ofa-mbv3-w1\.2: '),
        ('arch\n\xe4\n', None, r'a\.csv: byte 5 is not UTF-8'),
        (ENDLESS, None, r'a\.csv cannot be read as CSV'),
        (f'arch\n{ENDLESS}', None, r'a\.csv cannot be read as CSV'),
    ],
    ids=['another-space', 'latin-1', 'endless-header', 'endless-row'],
)
def test_a_wrong_table_is_named_with_its_line(tmp_path, text, space, message):
    (tmp_path / 'a.csv').write_bytes(text.encode('latin-1'))
    with pytest.raises(ValueError, match=message):
        profile_table(tmp_path / 'a.csv', tmp_path / 'b.csv', space)
    assert not (tmp_path / 'b.csv').exists()


def test_the_table_itself_is_not_written_over(tmp_path):
    table, link = tmp_path / 'a.csv', tmp_path / 'b.csv'
    table.write_text('arch\n11111111\n')
    link.symlink_to(table)
    for source, out in ((table, table), (link, table)):
        with pytest.raises(ValueError, match=r'a\.csv is the table that is read'):
            profile_table(source, out)
    assert table.read_text() == 'arch\n11111111\n'
