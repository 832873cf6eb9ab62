# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Images in memory or a file that forked processes share, as in a loader."""

import copy
import errno
import multiprocessing
import os
import pickle

import numpy as np
import pytest

from hpml_mm.datasets.image_cache import FileState, ImageCache

SIDE = 32  # 3,072 bytes, a multiple of a cache line
NUM_BYTES = SIDE * SIDE * 3
FIRST, CHANGED = FileState(100, 1), FileState(100, 2)
FORK = multiprocessing.get_context('fork')


def grey(level: int, side: int = SIDE) -> np.ndarray:
    return np.full((side, side, 3), level, np.uint8)


class Disk:
    """Gives an image of one grey and counts how often."""

    def __init__(self, level: int):
        self.level, self.reads = level, 0

    def __call__(self) -> np.ndarray:
        self.reads += 1
        return grey(self.level)


def in_a_child(work) -> None:
    """Run a function in a forked process and fail where it fails."""
    child = FORK.Process(target=work)
    child.start()
    child.join(30)
    assert child.exitcode == 0


@pytest.fixture(params=['memory', 'disk'])
def folder(request, tmp_path):
    """Where the pixels lie."""
    return None if request.param == 'memory' else tmp_path


def test_an_image_is_decoded_once(folder):
    cache, disk = ImageCache(10 * NUM_BYTES, folder), Disk(7)
    for _ in range(3):
        image, is_first_miss = cache.get('a.jpg', FIRST, disk)
        assert np.array_equal(image, grey(7))
        assert not is_first_miss
    assert disk.reads == 1
    assert len(cache) == 1


def test_images_of_all_shapes_keep_apart(folder):
    cache = ImageCache(10**6, folder)
    rng = np.random.default_rng(0)
    images = {
        f'{h}x{w}': rng.integers(0, 256, (h, w, 3), np.uint8)
        for h, w in [(1, 1), (7, 5), (33, 21), (64, 64), (5, 7)]
    }
    for name, image in images.items():
        cache.get(name, FIRST, image.copy)
    for name, image in images.items():
        stored, _ = cache.get(name, FIRST, Disk(0))
        assert np.array_equal(stored, image)


@pytest.mark.parametrize('room', [10, 1])
def test_an_image_cannot_be_changed_in_place(room, folder):
    cache = ImageCache(room * NUM_BYTES, folder)
    cache.get('first.jpg', FIRST, Disk(1))
    for _ in range(2):  # stored or not, just now or before
        image, _ = cache.get('a.jpg', FIRST, Disk(7))
        with pytest.raises(ValueError, match='read-only'):
            image[:] = 0


def test_what_does_not_fit_is_decoded_each_time_and_told_once():
    cache = ImageCache(2 * NUM_BYTES)
    disks = [Disk(level) for level in range(4)]
    told = [cache.get(str(d.level), FIRST, d)[1] for d in disks * 3]
    assert [disk.reads for disk in disks] == [1, 1, 3, 3]
    assert told == [False, False, True] + 9 * [False]
    assert np.array_equal(cache.get('3', FIRST, disks[3])[0], grey(3))
    # A smaller one may still fit.
    cache = ImageCache(2 * NUM_BYTES - 64)
    for name, side in (('a', SIDE), ('b', SIDE), ('small', 8)):
        cache.get(name, FIRST, lambda side=side: grey(3, side))
    assert len(cache) == 2


def test_the_log_can_be_full_before_the_memory():
    cache = ImageCache(16 * 1024)
    disks = [Disk(number) for number in range(100)]
    tiny = [lambda d=disk: d()[:1, :1].copy() for disk in disks]
    for _ in range(2):
        images = [cache.get(str(n), FIRST, one)[0] for n, one in enumerate(tiny)]
    assert [int(image[0, 0, 0]) for image in images] == list(range(100))
    assert len(cache) == 65
    assert [disk.reads for disk in disks] == 65 * [1] + 35 * [2]


def test_a_changed_file_is_decoded_anew():
    cache, disk = ImageCache(10 * NUM_BYTES), Disk(1)
    cache.get('a.jpg', FIRST, disk)
    disk.level = 2
    for _ in range(2):
        assert np.array_equal(cache.get('a.jpg', CHANGED, disk)[0], grey(2))
    assert disk.reads == 2


def test_a_process_takes_over_a_changed_file_from_another_one():
    cache = ImageCache(10 * NUM_BYTES)
    cache.get('a.jpg', FIRST, Disk(1))
    in_a_child(lambda: cache.get('a.jpg', CHANGED, Disk(2)))
    disk = Disk(0)
    assert np.array_equal(cache.get('a.jpg', CHANGED, disk)[0], grey(2))
    assert disk.reads == 0
    # One that read before the change has what it asks for, and not the newer one.
    assert np.array_equal(cache.get('a.jpg', FIRST, Disk(1))[0], grey(1))


def test_a_failed_read_stores_nothing():
    def fail():
        raise OSError('damaged')

    cache = ImageCache(10 * NUM_BYTES)
    with pytest.raises(OSError, match='damaged'):
        cache.get('a.jpg', FIRST, fail)
    assert len(cache) == 0
    assert np.array_equal(cache.get('a.jpg', FIRST, Disk(5))[0], grey(5))


def test_a_process_reads_what_another_one_stored(folder):
    cache = ImageCache(10 * NUM_BYTES, folder)
    in_a_child(lambda: cache.get('a.jpg', FIRST, Disk(7)))
    disk = Disk(0)
    assert np.array_equal(cache.get('a.jpg', FIRST, disk)[0], grey(7))
    assert disk.reads == 0

    def sees_both():
        for name, level in (('a.jpg', 7), ('b.jpg', 8)):
            again = Disk(0)
            assert np.array_equal(cache.get(name, FIRST, again)[0], grey(level))
            assert again.reads == 0

    cache.get('b.jpg', FIRST, Disk(8))
    in_a_child(sees_both)


def test_two_processes_fill_it_at_once(folder):
    cache = ImageCache(300 * NUM_BYTES, folder)
    barrier = FORK.Barrier(3)

    def fill(order):
        barrier.wait(20)
        for number in order:
            image, _ = cache.get(str(number), FIRST, Disk(number))
            assert np.array_equal(image, grey(number)), number

    orders = [range(100), range(99, -1, -1), [*range(50, 100), *range(50)]]
    children = [FORK.Process(target=fill, args=(order,)) for order in orders]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0, 0]
    # Where two read the same at the same moment, both are kept.
    assert 100 <= len(cache) <= 300
    disk = Disk(0)
    for number in range(100):
        assert np.array_equal(cache.get(str(number), FIRST, disk)[0], grey(number))
    assert disk.reads == 0


def test_a_full_cache_is_told_by_one_process_only():
    cache = ImageCache(NUM_BYTES)
    told = FORK.Queue()

    def fill(names):
        for name in names:
            told.put(cache.get(name, FIRST, Disk(1))[1])

    in_a_child(lambda: fill('abc'))
    in_a_child(lambda: fill('def'))
    assert [told.get(timeout=10) for _ in range(6)].count(True) == 1


def test_a_copy_shares_and_a_pickle_begins_anew(folder):
    cache = ImageCache(10 * NUM_BYTES, folder)
    cache.get('a.jpg', FIRST, Disk(1))
    assert len(copy.deepcopy(cache)) == 1
    again = pickle.loads(pickle.dumps(cache))
    assert len(again) == 0
    assert (again.num_bytes, again.folder) == (cache.num_bytes, cache.folder)
    again.get('b.jpg', FIRST, Disk(2))
    assert len(cache) == 1


def test_a_disk_that_gets_full_and_one_that_fails(tmp_path, monkeypatch):
    cache = ImageCache(10 * NUM_BYTES, tmp_path)
    cache.get('first', FIRST, Disk(1))
    written = []

    def write(file, data, offset):
        written.append(offset)
        if len(written) > 1:
            raise OSError(number, 'no')
        return real(file, data[:100], offset)  # as a write may be cut short

    real, number = os.pwrite, errno.ENOSPC
    monkeypatch.setattr(os, 'pwrite', write)
    disks = [Disk(level) for level in (2, 3)]
    told = []
    for disk in disks * 2:
        image, is_first_miss = cache.get(str(disk.level), FIRST, disk)
        told.append(is_first_miss)
        assert np.array_equal(image, grey(disk.level))
    assert told == [True, False, False, False]
    assert [disk.reads for disk in disks] == [2, 2]
    assert len(written) == 2  # a full disk is not tried again
    assert np.array_equal(cache.get('first', FIRST, Disk(0))[0], grey(1))
    number = errno.EIO
    with pytest.raises(OSError, match='no'):
        ImageCache(10 * NUM_BYTES, tmp_path).get('a', FIRST, Disk(1))


def test_memory_that_is_not_there():
    with pytest.raises(ValueError, match=r'1073741824\.0 GiB .* a smaller cache_gib'):
        ImageCache(2**60)
    with pytest.raises(ValueError, match='num_bytes=0 must be above 0'):
        ImageCache(0)
