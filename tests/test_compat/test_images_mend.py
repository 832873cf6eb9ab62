# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The stock loaders of images name a damaged file in one line."""

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmpose.datasets.transforms import LoadImage
from torch.utils.data import DataLoader

from hpml_mm.compat.mends.images import BrokenImageError
from hpml_mm.config.command.errors import is_user_error

WHOLE = cv2.imencode('.png', np.arange(9, dtype=np.uint8).reshape(3, 3))[1].tobytes()
LOADERS = [
    LoadImageFromFile(),
    LoadImageFromFile(imdecode_backend='pillow'),
    LoadImage(),
]


@pytest.mark.parametrize('data', [b'', b'text', bytes(99), WHOLE[: len(WHOLE) // 2]])
@pytest.mark.parametrize('loader', LOADERS)
def test_a_damaged_image_is_named(tmp_path, data, loader):
    path = tmp_path / 'a.png'
    path.write_bytes(data)
    with pytest.raises(BrokenImageError, match=r'a\.png cannot be decoded') as caught:
        loader({'img_path': str(path)})
    assert '\n' not in str(caught.value)
    assert is_user_error(caught.value)


@pytest.mark.parametrize('loader', LOADERS)
def test_all_else_is_as_it_was(tmp_path, loader):
    path = tmp_path / 'a.png'
    path.write_bytes(WHOLE)
    assert loader({'img_path': str(path)})['img'].shape == (3, 3, 3)
    with pytest.raises(FileNotFoundError):
        loader({'img_path': str(tmp_path / 'gone.png')})
    with pytest.raises(KeyError):
        LoadImageFromFile()({})
    path.write_bytes(b'')
    assert LoadImageFromFile(ignore_empty=True)({'img_path': str(path)}) is None


def test_a_worker_hands_over_the_line(tmp_path):
    path = tmp_path / 'a.png'
    path.write_bytes(b'text')
    data = [{'img_path': str(path)}]
    loader = DataLoader(data, num_workers=1, collate_fn=lambda i: LOADERS[0](i[0]))
    with pytest.raises(BrokenImageError) as caught:
        next(iter(loader))
    assert str(caught.value) == f'{path} cannot be decoded: replace or delete it'
