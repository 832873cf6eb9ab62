# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest

from hpml_mm.utils.messages import markdown_table


def test_a_table_has_a_line_a_row():
    assert markdown_table(('a', 'n'), [('x', '1'), ('yy', '')]).splitlines() == [
        '| a | n |',
        '|---|---|',
        '| x | 1 |',
        '| yy |  |',
    ]


def test_numbers_stand_below_each_other():
    table = markdown_table(('a', 'n'), [('x', '1'), ('yyy', '22')], padded=True)
    assert table.splitlines() == [
        '| a   |  n |',
        '| --- | -: |',
        '| x   |  1 |',
        '| yyy | 22 |',
    ]


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match='has not 2 cells'):
        markdown_table(('a', 'n'), [('x',)])
