# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The cached array: found again, never trusted where it is stale or damaged."""

import multiprocessing
import os
import resource
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from hpml_mm.datasets import DemoFaceDataset, FERFolderDataset
from hpml_mm.datasets.fer.array import table_cache, table_file
from hpml_mm.datasets.fer.array.face_table import read_table
from hpml_mm.datasets.fer.array.fingerprint import fingerprint, table_name
from hpml_mm.datasets.fer.array.table_cache import cached_table, default_cache_dir
from hpml_mm.datasets.fer.array.table_file import load_table, save_table
from hpml_mm.registry import DATASETS


@pytest.fixture
def root(tmp_path, make_split) -> Path:
    """14 training and 14 validation faces in files."""
    make_split(tmp_path / 'data' / 'train')
    make_split(tmp_path / 'data' / 'val')
    return tmp_path / 'data'


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / 'cache'


def config_of(root, split='train', **arguments):
    kind = 'hpml_mm.FERFolderDataset'
    return dict(type=kind, data_root=str(root), split=split, **arguments)


def table_of(root, cache, split='train', **arguments):
    config = config_of(root, split, **arguments)
    source = DATASETS.build({**config, 'lazy_init': True})
    return cached_table(source, config, cache)


def the_file(cache) -> Path:
    (path,) = cache.iterdir()
    return path


def greys(table):
    assert (table.levels == table.levels[:, :1, :1]).all()
    return table.levels[:, 0, 0].tolist()


GREYS = [10 * label + number for label in range(7) for number in range(2)]


@pytest.fixture
def reads(monkeypatch) -> list:
    """What was read from a source instead of a file."""
    seen = []

    def read(source):
        seen.append(source.splits)
        return read_table(source)

    monkeypatch.setattr(table_cache, 'read_table', read)
    return seen


def test_files_are_read_once(root, cache, reads, messages):
    first = table_of(root, cache)
    second = table_of(root, cache)
    assert reads == [('train',)]
    for table in (first, second):
        assert greys(table) == GREYS
        assert table.labels == np.repeat(np.arange(7), 2).tolist()
        assert table.splits == ['train'] * 14
        assert table.paths[3] == str(root / 'train' / 'Disgust' / '1.png')
        # Pages of the file, which the processes on a machine share.
        assert isinstance(table.levels, np.memmap)
    assert any('14 faces from' in message for message in messages)


def test_counts_of_what_was_left_out_are_kept(root, cache):
    (root / 'train' / 'Sad' / '1.png').write_bytes(b'')
    arguments = {'on_error': 'skip'}
    table_of(root, cache, **arguments)
    assert table_of(root, cache, **arguments).num_skipped == 1
    crossing = {'on_error': 'skip', 'drop_crossing': True}
    cv2.imwrite(str(root / 'train' / 'Happy' / '0.png'), np.full((48, 48), 99))
    for _ in range(2):
        table = table_of(root, cache, **crossing)
        assert greys(table) == [99]
        assert (table.num_skipped, table.num_crossing) == (1, 12)


def test_a_changed_file_is_seen(root, cache, messages):
    table_of(root, cache)
    path = root / 'train' / 'Sad' / '0.png'
    before = path.stat()
    cv2.imwrite(str(path), np.full((48, 48), 43, np.uint8))
    # Made to look as it did.
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert greys(table_of(root, cache))[8] == 43
    assert any('the data set has changed since' in message for message in messages)
    # In the place of the stale one.
    the_file(cache)


@pytest.mark.parametrize('change', ['added', 'removed', 'renamed'])
def test_another_set_of_files_is_seen(root, cache, change):
    table_of(root, cache)
    path = root / 'train' / 'Angry' / '0.png'
    if change == 'added':
        shutil.copy(path, path.with_name('2.png'))
    elif change == 'removed':
        path.unlink()
    else:
        path.rename(path.with_name('7.png'))
    expected = {
        'added': [0, 1, 0, *GREYS[2:]],
        'removed': GREYS[1:],
        'renamed': [1, 0, *GREYS[2:]],
    }
    assert greys(table_of(root, cache)) == expected[change]


def test_each_choice_of_faces_has_its_own_file(root, cache, reads):
    for _ in range(2):
        table_of(root, cache)
        table_of(root, cache, split=['train', 'val'])
        table_of(root, cache, on_error='skip')
        table_of(root, cache, indices=5)
    assert len(reads) == 4
    assert len(list(cache.iterdir())) == 4
    assert len(table_of(root, cache, indices=5)) == 5
    # Changes nothing about the faces.
    table_of(root, cache, test_mode=True)
    assert len(reads) == 4


def test_a_csv_is_cached_too(make_csv, cache, reads):
    path = make_csv([(3, 7, 'Training'), (4, 8, 'PublicTest')])
    config = dict(type='hpml_mm.FERCSVDataset', data_root=str(path.parent))

    def table():
        source = DATASETS.build({**config, 'lazy_init': True})
        return cached_table(source, config, cache)

    assert greys(table()) == greys(table()) == [7]
    assert len(reads) == 1
    make_csv([(3, 9, 'Training'), (4, 8, 'PublicTest')])
    assert greys(table()) == [9]


def test_drawn_faces_have_no_files_that_could_vouch_for_them(cache):
    config = dict(type='hpml_mm.DemoFaceDataset', num_per_class=1)
    source = DATASETS.build({**config, 'lazy_init': True})
    assert fingerprint(source) is None
    assert len(cached_table(source, config, cache)) == 7
    assert not cache.exists()


@pytest.mark.parametrize('where', [0, 30, 2000, -17, -1])
def test_a_flipped_byte_is_seen(root, cache, messages, where):
    table_of(root, cache)
    path = the_file(cache)
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)
    assert greys(table_of(root, cache)) == GREYS
    assert sum('is made anew' in message for message in messages) == 1
    # Mended: the third time it is used.
    table_of(root, cache)
    assert sum('is made anew' in message for message in messages) == 1


@pytest.mark.parametrize('length', [0, 5, 30, 1000, -1])
def test_a_truncated_file_is_seen(root, cache, messages, length):
    table_of(root, cache)
    path = the_file(cache)
    path.write_bytes(path.read_bytes()[:length])
    assert greys(table_of(root, cache)) == GREYS
    assert any('is made anew' in message for message in messages)
    assert greys(load_table(path, fingerprint(FERFolderDataset(root)))) == GREYS


def test_something_else_in_its_place_is_replaced(root, cache, messages):
    table_of(root, cache)
    the_file(cache).write_bytes(b'PK' + bytes(5000))
    assert greys(table_of(root, cache)) == GREYS
    assert any('no file of this format' in message for message in messages)


def test_a_full_disk_leaves_nothing_behind(root, cache, messages):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The 14 faces take 32,256 bytes.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        table = table_of(root, cache)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert greys(table) == GREYS
    assert list(cache.iterdir()) == []
    (warning,) = [m for m in messages if 'stay in memory' in m]
    assert 'File too large' in warning


def test_a_folder_that_cannot_be_written(root, tmp_path, messages):
    (tmp_path / 'file').write_text('')
    assert greys(table_of(root, tmp_path / 'file' / 'cache')) == GREYS
    assert any('stay in memory' in message for message in messages)


def test_a_table_in_use_outlives_its_replacement(root, cache):
    table = table_of(root, cache)
    save_table(read_table(DemoFaceDataset(num_per_class=1)), the_file(cache), 'other')
    assert greys(table) == GREYS


def _build(root, cache, barrier, results):
    barrier.wait()
    for _ in range(5):
        shutil.rmtree(cache, ignore_errors=True)
        results.put(greys(table_of(root, cache)))


def test_two_processes_may_build_it_at_once(root, cache):
    context = multiprocessing.get_context('fork')
    barrier, results = context.Barrier(2), context.Queue()
    processes = [
        context.Process(target=_build, args=(root, cache, barrier, results))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    assert [results.get(timeout=60) for _ in range(10)] == [GREYS] * 10
    for process in processes:
        process.join(60)
        assert process.exitcode == 0


def test_half_a_file_is_never_seen(root, cache, monkeypatch):
    """Stopped before the last step, a process leaves what was there."""
    table_of(root, cache)
    path = the_file(cache)
    before = path.read_bytes()

    class Killed(BaseException):
        pass

    def killed(*paths):
        raise Killed

    monkeypatch.setattr(table_file.os, 'replace', killed)
    (root / 'train' / 'Sad' / '0.png').unlink()
    with pytest.raises(Killed):
        table_of(root, cache)
    assert the_file(cache) == path
    assert path.read_bytes() == before


def test_faces_of_two_sizes_are_refused(root):
    path = root / 'train' / 'Fear' / '1.png'
    cv2.imwrite(str(path), np.zeros((40, 48), np.uint8))
    with pytest.raises(ValueError, match=r'Fear/1.png has 40x48 .* has 48x48'):
        read_table(FERFolderDataset(root))


def test_the_name_says_what_is_in_it(root):
    config = config_of(root, ['val', 'train'])
    source = DATASETS.build({**config, 'lazy_init': True})
    assert table_name(source, config).startswith('data_val-train_')


def test_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert default_cache_dir() == tmp_path / 'hpml_mm' / 'faces'
    monkeypatch.delenv('XDG_CACHE_HOME')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert default_cache_dir() == tmp_path / '.cache' / 'hpml_mm' / 'faces'
