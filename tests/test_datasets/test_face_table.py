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

from hpml_mm.datasets.fer.array import face_table
from hpml_mm.datasets.fer.array.face_table import cached_table, read_faces
from hpml_mm.registry import DATASETS

GREYS = [10 * label + number for label in range(7) for number in range(2)]


@pytest.fixture
def root(tmp_path, make_split) -> Path:
    """14 training and 14 validation faces in files."""
    make_split(tmp_path / 'data' / 'train')
    make_split(tmp_path / 'data' / 'val')
    return tmp_path / 'data'


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / 'cache'


@pytest.fixture
def reads(monkeypatch) -> list:
    """Splits that were read from a source instead of the cache."""
    seen = []

    def read(source):
        seen.append(source.splits)
        return read_faces(source)

    monkeypatch.setattr(face_table, 'read_faces', read)
    return seen


def table_of(root, cache, kind='FERFolderDataset', **arguments):
    config = {'type': f'hpml_mm.{kind}', 'data_root': str(root), **arguments}
    source = DATASETS.build({**config, 'lazy_init': True})
    return cached_table(source, config, cache)


def the_file(cache) -> Path:
    (path,) = cache.iterdir()
    return path


def greys(table):
    assert (table.levels == table.levels[:, :1, :1]).all()
    return table.levels[:, 0, 0].tolist()


def test_files_are_read_once(root, cache, reads, messages):
    for _ in range(2):
        table = table_of(root, cache)
        assert greys(table) == GREYS
        assert table.labels == np.repeat(np.arange(7), 2).tolist()
        assert table.splits == ['train'] * 14
        assert table.paths[3] == str(root / 'train' / 'Disgust' / '1.png')
    assert reads == [('train',)]
    assert the_file(cache).name.startswith('data_train_')
    assert sum('14 faces from' in message for message in messages) == 1


def test_counts_of_what_was_left_out_are_kept(root, cache, reads):
    (root / 'train' / 'Sad' / '1.png').write_bytes(b'')
    cv2.imwrite(str(root / 'train' / 'Happy' / '0.png'), np.full((48, 48), 99))
    for _ in range(2):
        table = table_of(root, cache, on_error='skip', drop_crossing=True)
        assert greys(table) == [99]
        assert (table.num_skipped, table.num_crossing) == (1, 12)
    assert len(reads) == 1


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
    assert the_file(cache)


def test_another_set_of_files_is_seen(root, cache):
    table_of(root, cache)
    path = root / 'train' / 'Angry' / '0.png'
    shutil.copy(path, path.with_name('2.png'))
    assert greys(table_of(root, cache)) == [0, 1, 0, *GREYS[2:]]
    path.with_name('2.png').unlink()
    path.rename(path.with_name('7.png'))
    assert greys(table_of(root, cache)) == [1, 0, *GREYS[2:]]
    path.with_name('7.png').unlink()
    assert greys(table_of(root, cache)) == GREYS[1:]


def test_each_choice_of_faces_has_its_own_file(root, cache, reads):
    for _ in range(2):
        table_of(root, cache)
        table_of(root, cache, split=['train', 'val'])
        table_of(root, cache, on_error='skip')
        assert len(table_of(root, cache, indices=5)) == 5
    # Changes nothing about the faces.
    table_of(root, cache, test_mode=True)
    assert len(reads) == len(list(cache.iterdir())) == 4


def test_a_csv_is_cached_too(make_csv, cache, reads):
    path = make_csv([(3, 7, 'Training'), (4, 8, 'PublicTest')])
    for _ in range(2):
        assert greys(table_of(path.parent, cache, 'FERCSVDataset')) == [7]
    assert len(reads) == 1
    make_csv([(3, 9, 'Training'), (4, 8, 'PublicTest')])
    assert greys(table_of(path.parent, cache, 'FERCSVDataset')) == [9]
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r'CSV file .*fer2013\.csv'):
        table_of(path.parent, cache, 'FERCSVDataset')


def test_drawn_faces_have_no_files_that_could_vouch_for_them(cache):
    assert len(table_of('', cache, 'DemoFaceDataset', num_per_class=1)) == 7
    assert not cache.exists()


def flipped(where):
    def damage(content):
        changed = bytearray(content)
        changed[where if isinstance(where, int) else content.index(where)] ^= 1
        return bytes(changed)

    return damage


@pytest.mark.parametrize(
    'damage',
    [
        *map(flipped, [0, 30, 20_000, -1, b'"key', b'/Sad/1.png', b'"num_skipped']),
        *(lambda content, end=end: content[:end] for end in (0, 5, 1000, -1)),
        lambda content: b'hpml_mm faces, format 1\n' + content,
        lambda content: content.replace(b'\\"version\\": 2', b'\\"version\\": 1'),
    ],
)
def test_a_damaged_or_old_file_is_written_anew(root, cache, messages, damage):
    table_of(root, cache)
    path = the_file(cache)
    whole = path.read_bytes()
    assert damage(whole) != whole
    path.write_bytes(damage(whole))
    assert greys(table_of(root, cache)) == GREYS
    assert path.read_bytes() == whole
    assert sum('read from their source' in message for message in messages) == 1


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
    (warning,) = [m for m in messages if 'cannot be written' in m]
    assert 'File too large' in warning


def test_a_folder_that_cannot_be_written(root, tmp_path, messages):
    (tmp_path / 'file').write_text('')
    assert greys(table_of(root, tmp_path / 'file' / 'cache')) == GREYS
    assert any('cannot be written' in message for message in messages)


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


def test_faces_of_two_sizes_are_refused(root, cache):
    path = root / 'train' / 'Fear' / '1.png'
    cv2.imwrite(str(path), np.zeros((40, 48), np.uint8))
    with pytest.raises(ValueError, match=r'Fear/1.png has 40x48 .* has 48x48'):
        table_of(root, cache)


@pytest.mark.parametrize('variable', ['XDG_CACHE_HOME', 'HOME'])
def test_the_users_cache_folder(root, monkeypatch, tmp_path, variable):
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    table_of(root, None)
    base = tmp_path if variable == 'XDG_CACHE_HOME' else tmp_path / '.cache'
    assert the_file(base / 'hpml_mm' / 'faces')
