# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""JSON that every parser reads, and files that are whole."""

import contextlib
import errno
import json
import math
import os
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hpml_mm.config.command.disk_errors import WriteError
from hpml_mm.config.command.errors import is_user_error
from hpml_mm.utils.files import (
    dump_strict,
    locked,
    remove_leftovers,
    replacing,
    to_strict,
    write_atomic,
)


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


@pytest.mark.parametrize(
    ('number', 'remedy'),
    [
        (errno.ENOSPC, 'free some space'),
        (errno.EDQUOT, 'your quota'),
        (errno.EROFS, 'can only be read from'),
        (errno.EACCES, 'change the rights'),
        (errno.EIO, 'log of the system'),
    ],
)
def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch, number, remedy):
    path = tmp_path / 'file.json'
    write_atomic(path, 'one')

    def fail(handle):
        raise OSError(number, os.strerror(number))

    with contextlib.suppress(RuntimeError), replacing(path) as beside:
        beside.write_text('half')
        raise RuntimeError
    assert path.read_text() == 'one'
    monkeypatch.setattr('os.fsync', fail)
    with pytest.raises(WriteError, match=f'file.json could not.*{remedy}') as caught:
        write_atomic(path, 'two')
    assert caught.value.errno == number
    assert is_user_error(caught.value)
    assert path.read_text() == 'one'
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_keeps_others_out_and_leaves_nothing(tmp_path):
    path, order = tmp_path / 'new' / 'file', []
    inside = threading.Event()

    def wait():
        inside.set()
        with locked(path) as waited:
            order.append(('second', waited))

    other = threading.Thread(target=wait)
    with locked(path) as waited:
        other.start()
        inside.wait()
        with (
            pytest.raises(OSError, match='file has been locked .* for 0.1 s'),
            locked(path, 0.1),
        ):
            pass
        order.append(('first', waited))
    other.join()
    assert order[0] == ('first', False)
    assert order[1][0] == 'second'
    assert not [*path.parent.iterdir()]


def test_a_lock_that_a_killed_process_left_is_none(tmp_path):
    (tmp_path / '.file.lock').touch()
    with locked(tmp_path / 'file', 0) as waited:
        assert not waited


def test_a_lock_ends_with_an_error(tmp_path):
    with contextlib.suppress(KeyError), locked(tmp_path / 'file'):
        raise KeyError
    with locked(tmp_path / 'file', 0) as waited:
        assert not waited


def test_one_counter_in_many_threads(tmp_path):
    # Each opens, locks and deletes the lock file that others are waiting for.
    path = tmp_path / 'count'
    path.write_text('0')

    def count():
        for _ in range(20):
            with locked(path):
                write_atomic(path, str(int(path.read_text()) + 1))

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() == '60'


def test_a_folder_in_the_place_of_a_file_goes_if_it_is_empty(tmp_path):
    path = tmp_path / 'file.json'
    path.mkdir()
    (path / 'mine').touch()
    with pytest.raises(WriteError, match='a folder is in its place'):
        write_atomic(path, 'one')
    (path / 'mine').unlink()
    write_atomic(path, 'one')
    assert path.read_text() == 'one'
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_began_is_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, 'gethostname', lambda: 'node 1')
    living, dead = os.getppid(), 2**22 + 1
    processes = [f'{pid}@node-1' for pid in (os.getpid(), dead, 10**12, living)]
    for process in (*processes, f'{dead}@other.node-7', f'{living}@long.gone'):
        for name in (f'.epoch_3.{process}.tmp.pth', f'.last_checkpoint.{process}.tmp'):
            (tmp_path / name).touch()
    for path in tmp_path.glob('*@long.gone*'):
        os.utime(path, (0, time.time() - 25 * 3600))
    others = {'.tmp', '.hidden.tmpl', 'epoch_3.tmp.pth', f'.a.{dead}.tmp.d'}
    for name in others:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    left = set(others)
    for process in (f'{living}@node-1', f'{dead}@other.node-7'):
        left |= {f'.epoch_3.{process}.tmp.pth', f'.last_checkpoint.{process}.tmp'}
    assert {path.name for path in tmp_path.iterdir()} == left
    remove_leftovers(tmp_path / 'gone')
