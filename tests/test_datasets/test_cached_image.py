# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Images of a pose data set that are read from disk once."""

import os

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from mmpose.datasets.transforms import LoadImage
from torch.utils.data import DataLoader, Dataset

from hpml_mm.datasets.image_io import BrokenImageError
from hpml_mm.datasets.transforms import LoadCachedImage

WIDTH, HEIGHT = 40, 24
IMAGE_GIB = WIDTH * HEIGHT * 3 / 2**30


@pytest.fixture
def paths(tmp_path) -> list[str]:
    """Six images, of which each looks different."""
    rng = np.random.default_rng(0)
    paths = []
    for number in range(6):
        image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        paths.append(str(tmp_path / f'{number}.jpg'))
        cv2.imwrite(paths[-1], image)
    return paths


def load(transform, path: str) -> np.ndarray:
    return transform({'img_path': path})['img']


@pytest.mark.parametrize('on_disk', [False, True])
@pytest.mark.parametrize('cache_gib', [0, 2.5 * IMAGE_GIB, 0.01])
def test_it_gives_what_mmpose_gives(paths, cache_gib, on_disk):
    folder = os.path.dirname(paths[0])
    ours = LoadCachedImage(cache_gib, folder if on_disk else None)
    theirs = LoadImage()
    assert len(os.listdir(folder)) == len(paths)  # its file has no name
    for path in paths * 2:
        mine, other = ours({'img_path': path}), theirs({'img_path': path})
        assert mine.keys() == other.keys()
        assert np.array_equal(mine.pop('img'), other.pop('img'))
        assert mine == other


@pytest.mark.parametrize('prob', [0.0, 1.0])  # unflipped it is the cache's own array
@pytest.mark.parametrize('package', ['mmpretrain', 'mmdet'])
def test_it_stands_in_for_the_loading_of_other_packages(paths, tmp_path, package, prob):
    pack = {'mmpretrain': 'PackInputs', 'mmdet': 'PackDetInputs'}[package]
    rest = [{'type': 'RandomFlip', 'prob': prob}, {'type': pack}]
    with DefaultScope.overwrite_default_scope(package):
        ours = Compose([LoadCachedImage(0.01, str(tmp_path)), *rest])
        theirs = Compose([{'type': 'LoadImageFromFile'}, *rest])
    for path in paths * 2:
        mine, other = ({'img_path': path, 'img_id': 1} for _ in range(2))
        mine, other = ours(mine), theirs(other)
        assert torch.equal(mine['inputs'], other['inputs'])
        shapes = [one['data_samples'].metainfo['ori_shape'] for one in (mine, other)]
        assert shapes == [(HEIGHT, WIDTH)] * 2


def test_an_image_that_is_there_is_taken(paths):
    image = np.zeros((3, 5, 3), np.uint8)
    results = LoadCachedImage()({'img': image, 'img_path': paths[0]})
    assert results['img'] is image
    assert results['img_shape'] == results['ori_shape'] == (3, 5)


def test_a_full_cache_warns_once(paths, messages):
    transform = LoadCachedImage(2.5 * IMAGE_GIB)
    for path in paths * 3:
        load(transform, path)
    (warning,) = [text for text in messages if 'LoadCachedImage' in text]
    assert 'holds 2 images and has no room for more' in warning
    assert 'cache_gib=' in warning


def test_an_image_that_changes_on_disk(paths):
    transform = LoadCachedImage(0.01)
    load(transform, paths[0])
    before = os.stat(paths[0])
    cv2.imwrite(paths[0], np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    # However coarse the file system's clock is.
    os.utime(paths[0], ns=(before.st_atime_ns, before.st_mtime_ns + 10**9))
    assert abs(load(transform, paths[0]).astype(int) - 90).max() <= 1


def test_a_damaged_image_is_named(paths):
    transform = LoadCachedImage(0.01)
    load(transform, paths[0])
    with open(paths[0], 'rb') as file:
        data = file.read()
    with open(paths[0], 'wb') as file:
        file.write(data[: len(data) // 2])
    for _ in range(2):  # nothing of it is kept
        with pytest.raises(BrokenImageError, match=r'0\.jpg is truncated') as caught:
            load(transform, paths[0])
    assert 'annotation file' in str(caught.value)
    with open(paths[1], 'w') as file:
        file.write('no image')
    with pytest.raises(BrokenImageError, match=r'1\.jpg cannot be decoded'):
        load(transform, paths[1])
    for cache_gib in (0, 0.01):
        with pytest.raises(FileNotFoundError, match=r'gone\.jpg'):
            load(LoadCachedImage(cache_gib), 'gone.jpg')
    with pytest.raises(ValueError, match=r'cache_gib=-1 must be 0 or more'):
        LoadCachedImage(-1)
    with pytest.raises(FileNotFoundError, match=r"no folder cache_dir='gone'; make it"):
        LoadCachedImage(1, 'gone')


class Images(Dataset):
    def __init__(self, paths):
        self.paths, self.transform = paths, LoadCachedImage(0.01)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return int(load(self.transform, self.paths[index]).sum())


@pytest.mark.parametrize('persistent', [False, True])
def test_workers_fill_it_and_later_ones_read_from_it(paths, persistent):
    dataset = Images(paths)
    expected = [int(load(LoadImage(), path).sum()) for path in paths]
    loader = DataLoader(
        dataset, 2, num_workers=2, collate_fn=list, persistent_workers=persistent
    )
    for _ in range(3):
        assert [value for batch in loader for value in batch] == expected
    assert len(dataset.transform.cache) == len(paths)
    # The main process has them too, without reading a file itself.
    assert len(dataset.transform.cache._index) == 0
    assert dataset[3] == expected[3]
    assert len(dataset.transform.cache) == len(paths)
