# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import csv
import math
import os

import pytest

from hpml_mm.utils.text_file import (
    check_regular,
    csv_errors,
    parse_json,
    read_json,
    read_text,
)


@pytest.mark.parametrize('start', [b'', b'\xef\xbb\xbf'])
def test_a_text_comes_without_the_mark_before_it(tmp_path, start):
    (tmp_path / 'a').write_bytes(start + 'é\r\n'.encode())
    assert read_text(tmp_path / 'a') == 'é\r\n'


@pytest.mark.parametrize(
    ('data', 'reason'),
    [
        ('é'.encode('latin-1'), 'byte 0 is not UTF-8'),
        ('a'.encode('utf-16'), 'byte 0 is not UTF-8'),
        (b'a\nb\0', 'line 2: a byte of zero'),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, data, reason):
    path = tmp_path / 'a.txt'
    path.write_bytes(data)
    with pytest.raises(ValueError, match=rf'a\.txt.*{reason}'):
        read_text(path)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(ValueError, match='pipe is a pipe or a device, not a file'):
        read_text(tmp_path / 'pipe')
    with pytest.raises(ValueError, match='is a folder, not a file'):
        check_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        check_regular(tmp_path / 'gone')


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('{"a":\n 1,}', 'a, line 2, column 4: not JSON'),
        ('', 'a, line 1, column 1: not JSON'),
        ('[' * 100_000, 'a: not JSON: it is nested too deeply'),
        ('9' * 5000, 'a: not JSON: Exceeds the limit .* 5000 digits'),
    ],
)
def test_what_is_no_json_is_one_line(text, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        parse_json(text, 'a')
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('text', ['NaN', '-Infinity', '[1e999]'])
def test_numbers_that_json_does_not_have(tmp_path, text):
    (tmp_path / 'a').write_text(text)
    read_json(tmp_path / 'a')
    with pytest.raises(ValueError, match='a: not JSON: .* is no number that JSON'):
        read_json(tmp_path / 'a', finite=True)
    assert parse_json('[1.5, 2]', 'a', finite=True) == [1.5, 2]
    assert math.isnan(parse_json('NaN', 'a'))


def test_a_cell_without_an_end_is_one_line():
    with pytest.raises(ValueError, match='a cannot be read as CSV'), csv_errors('a'):
        list(csv.reader(['"' + 'x' * 200_000]))
