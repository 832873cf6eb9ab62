# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import os
import pickle
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from hpml_mm.datasets.image_io import (
    BrokenImageError,
    decode_image,
    image_problem,
    list_images,
    read_image,
    read_image_size,
)


def encode(suffix: str) -> bytes:
    image = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    return cv2.imencode(suffix, image)[1].tobytes()


@pytest.mark.parametrize('suffix', ['.jpg', '.png', '.bmp'])
@pytest.mark.parametrize('share', [0.3, 0.6, 0.95, 0.999])
def test_a_truncated_image_is_refused_and_named(suffix, share):
    data = encode(suffix)
    cut = data[: min(int(len(data) * share), len(data) - 1)]
    with pytest.raises(BrokenImageError, match=r'face\.x (is truncated|cannot be de)'):
        decode_image(cut, 'face.x')


def test_an_image_whose_tail_was_never_written_is_refused():
    data = encode('.jpg')
    zeroed = data[: len(data) // 2] + bytes(len(data) // 2)
    # The reason for all this: OpenCV alone takes it without a word.
    array = np.frombuffer(zeroed, np.uint8)
    assert cv2.imdecode(array, cv2.IMREAD_GRAYSCALE) is not None
    with pytest.raises(BrokenImageError, match='a JPEG without its end marker'):
        decode_image(zeroed, 'face.jpg')


def test_bytes_after_the_end_are_harmless():
    for suffix in ('.jpg', '.png'):
        data = encode(suffix)
        padded = decode_image(data + b'\0\0\n and a comment', 'x')
        np.testing.assert_array_equal(padded, decode_image(data, 'x'))


def test_a_thumbnail_does_not_stand_in_for_the_end():
    # An embedded preview has an end marker of its own.
    data, preview = encode('.jpg'), encode('.jpg')
    exif = b'\xff\xe1' + (len(preview) + 2).to_bytes(2, 'big') + preview
    whole = data[:2] + exif + data[2:]
    assert image_problem(whole) is None
    assert 'truncated' in image_problem(whole[:-100])


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (b'', 'x.jpg is empty'),
        (b'no image at all', r'x\.jpg cannot be decoded: its format is not known'),
        (b'\xff\xd8\xff\xda garbage \xff\xd9', r'x\.jpg cannot be decoded'),
    ],
)
def test_what_is_no_image_is_refused(data, message):
    with pytest.raises(BrokenImageError, match=message + '.*on_error'):
        decode_image(data, 'x.jpg')


def test_colour_and_grey(tmp_path):
    path = tmp_path / 'face.png'
    cv2.imwrite(str(path), np.full((4, 6, 3), (10, 20, 30), np.uint8))
    assert read_image(path).shape == (4, 6)
    np.testing.assert_array_equal(read_image(path, 'color')[0, 0], (10, 20, 30))


def test_the_error_survives_a_worker_process():
    error = BrokenImageError('a.jpg is empty; replace it')
    assert str(pickle.loads(pickle.dumps(error))) == 'a.jpg is empty; replace it'
    # What a DataLoader makes of it: the traceback as the message.
    wrapped = BrokenImageError(
        'Caught BrokenImageError in DataLoader worker process 0.\n'
        'Original Traceback (most recent call last):\n  File "x.py", line 1\n'
        'hpml_mm.datasets.image_io.BrokenImageError: a.jpg is empty; replace it\n'
    )
    assert str(wrapped) == 'a.jpg is empty; replace it'


@pytest.mark.parametrize('orientation', [1, 3, 6, 8])
def test_a_size_is_that_of_the_decoded_image(tmp_path, orientation):
    """Cameras turn an image by a mark in its head, which the decoder obeys."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / 'a.jpg'
    Image.new('RGB', (30, 20)).save(path, exif=exif)
    height, width = read_image(path).shape
    assert read_image_size(path) == (width, height)
    assert (width < height) == (orientation > 4)


def test_a_size_that_cannot_be_read_is_none(tmp_path):
    (tmp_path / 'a.jpg').touch()
    assert read_image_size(tmp_path / 'a.jpg') is None
    assert read_image_size(tmp_path / 'none.jpg') is None


def test_images_are_listed_without_litter(tmp_path):
    images = ('b.PNG', 'a/c.jpg', 'x/y/z.tif')
    litter = (
        *('._b.png', '.DS_Store', 'Thumbs.db', 'desktop.ini', 'notes.txt'),
        *('__MACOSX/b.png', 'a/__macosx/c.jpg', '.ipynb_checkpoints/b.png'),
        'x/@eaDir/z.jpg',
    )
    for name in (*images, *litter):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = [str(path.relative_to(tmp_path)) for path in list_images(tmp_path)]
    assert found == sorted(images)


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
def test_a_size_that_fills_the_memory_is_refused_unread(suffix, monkeypatch):
    data = bytearray(encode(suffix))
    if suffix == '.png':
        data[16:24] = struct.pack('>II', 30_000, 20_000)
    else:
        at = data.index(b'\xff\xc0')
        data[at + 5 : at + 9] = struct.pack('>HH', 20_000, 30_000)
    monkeypatch.setattr(cv2, 'imdecode', None)  # is not called
    with pytest.raises(BrokenImageError, match='x claims to have 30,000 x 20,000 pix'):
        decode_image(bytes(data), 'x')


def test_a_large_image_is_read():
    image = np.zeros((2000, 3000), np.uint8)
    for suffix in ('.png', '.jpg'):
        data = cv2.imencode(suffix, image)[1].tobytes()
        assert decode_image(data, 'x').shape == image.shape


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / 'a.png')
    with pytest.raises(BrokenImageError, match=r'a\.png is a pipe or a device'):
        read_image(tmp_path / 'a.png')
    with pytest.raises(BrokenImageError, match='is a folder'):
        read_image(tmp_path)
