# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""JSON that every parser reads, and files that are whole."""

import contextlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hpml_mm.utils.files import dump_strict, replacing, to_strict, write_atomic


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        (math.nan, None),
        (-math.inf, None),
        (np.float32(0.5), 0.5),
        (np.float64('nan'), None),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (True, True),
        (torch.tensor(2.0), 2.0),
        (torch.tensor([[1.0, math.nan]]), [[1.0, None]]),
        (np.arange(3), [0, 1, 2]),
        ((1, (2.0, 'x')), [1, [2.0, 'x']]),
        ({'b', 'a'}, ['a', 'b']),
        ({1: Path('dir/file')}, {'1': 'dir/file'}),
        (nn.Linear, 'torch.nn.modules.linear.Linear'),
        (torch.float16, 'torch.float16'),
        (None, None),
    ],
)
def test_to_strict(value, expected):
    strict = to_strict(value)
    assert strict == expected
    assert type(strict) is type(expected)


def test_text_is_strict():
    def refuse(constant):
        raise AssertionError(f'{constant} is not JSON')

    text = dump_strict({'a': math.inf, 'b': [1, math.nan]})
    assert json.loads(text, parse_constant=refuse) == {'a': None, 'b': [1, None]}


def test_write_replaces_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / 'new' / 'file.json'
    write_atomic(path, 'one')
    write_atomic(path, b'two')
    assert path.read_text() == 'two'
    assert list(path.parent.iterdir()) == [path]


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'file.json'
    write_atomic(path, 'one')

    def full(handle):
        raise OSError(28, 'No space left on device')

    with contextlib.suppress(RuntimeError), replacing(path) as beside:
        beside.write_text('half')
        raise RuntimeError
    assert path.read_text() == 'one'
    monkeypatch.setattr('os.fsync', full)
    with pytest.raises(OSError, match='No space left'):
        write_atomic(path, 'two')
    assert path.read_text() == 'one'
    assert list(tmp_path.iterdir()) == [path]
