# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Reading images strictly: a damaged file is an error that names it.

OpenCV 4 fills the missing part of a truncated JPEG with grey and only prints a
warning; OpenCV 5 refuses that, but still takes one whose tail was never written and
reads as zeros. Either would be trained on. Looking for the format's own end marker
costs nothing beside decoding.
"""

import math
import os
import struct
from io import BytesIO
from pathlib import Path, PurePath

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from hpml_mm.compat.mends.images import BrokenImageError
from hpml_mm.utils.text_file import irregular

COLOR_FLAGS = {'grayscale': cv2.IMREAD_GRAYSCALE, 'color': cv2.IMREAD_COLOR}

_REMEDY = (
    "replace or delete it, or set on_error='skip' in the data set to leave such files "
    'out'
)

IMAGE_SUFFIXES = frozenset(
    ('.jpg', '.jpeg', '.png', '.bmp', '.pgm', '.ppm', '.tif', '.tiff', '.webp')
)
# What file managers and archivers leave behind, beside hidden files.
_LITTER = frozenset(('thumbs.db', 'ehthumbs.db', 'desktop.ini', '__macosx', '@eadir'))
_ORIENTATION = 0x0112  # EXIF's tag; from 5 on, rows become columns
# As Pillow: a head of a few bytes must not fill the memory.
MAX_PIXELS = 2 * 89_478_485
_PILLOW_ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error),
    Image.DecompressionBombError,
)


def is_litter(name: str) -> bool:
    """Tell files and folders that nobody put there from data, by their name.

    Hidden ones are litter, such as ``._a.jpg``, and what file managers leave, such as
    ``Thumbs.db`` and ``__MACOSX``.
    """
    return name.startswith('.') or name.lower() in _LITTER


def is_image_name(path: str | PurePath) -> bool:
    """Tell by its name whether a file is an image and no litter."""
    path = PurePath(path)
    return path.suffix.lower() in IMAGE_SUFFIXES and not is_litter(path.name)


def list_images(folder: Path) -> list[Path]:
    """List the images of a folder and of those below, in order of their paths."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_litter(name)]
        found += [Path(place, name) for name in names if is_image_name(name)]
    return sorted(found)


def read_image_size(path: str | Path) -> tuple[int, int] | None:
    """Read width and height from the head of a file, without its pixels.

    Returns:
        The size as OpenCV decodes it, which obeys the EXIF orientation; None for a file
        that is not there or whose format Pillow does not know.
    """
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
            return image.size[::-1] if turned else image.size
    except _PILLOW_ERRORS:
        return None


def image_problem(data: bytes) -> str | None:
    """Find damage in the bytes of an image file, without decoding JPEG or PNG.

    Returns:
        The end of the sentence "FILE ...", or None where nothing is missing.
    """
    if not data:
        return 'is empty'
    size = _claimed_size(data)
    if size is not None and math.prod(size) > MAX_PIXELS:
        return f'claims to have {size[0]:,} x {size[1]:,} pixels'
    if data.startswith(b'\xff\xd8'):
        # The pixels lie between the last start-of-scan marker and the
        # end-of-image marker. Neither can occur inside them, and bytes after
        # the end marker are harmless.
        whole = data.rfind(b'\xff\xd9') > data.rfind(b'\xff\xda')
        return None if whole else 'is truncated: a JPEG without its end marker'
    if data.startswith(b'\x89PNG'):
        # IEND is followed by its checksum of four bytes.
        end = data.rfind(b'IEND')
        whole = data.rfind(b'IDAT') < end <= len(data) - 8
        return None if whole else 'is truncated: a PNG without its last chunk'
    try:
        Image.open(BytesIO(data)).load()
    except UnidentifiedImageError:  # its text is an address in memory
        return 'cannot be decoded: its format is not known'
    except _PILLOW_ERRORS as error:
        return f'cannot be decoded: {error}'.rstrip('.')
    return None


def _claimed_size(data: bytes) -> tuple[int, int] | None:
    """Read width and height from the head of a PNG or a JPEG."""
    if data.startswith(b'\x89PNG') and len(data) >= 24:
        return struct.unpack('>II', data[16:24])
    at = 2
    # A marker, and the length of what it holds, until one that begins a frame.
    while data.startswith(b'\xff\xd8') and at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack('>HH', data[at + 5 : at + 9])
            return width, height
        at += 1 if marker == 0xFF else 2 + length
    return None


def decode_image(
    data: bytes, name: str, color_type: str = 'grayscale', remedy: str = _REMEDY
) -> np.ndarray:
    """Decode the bytes of an image file.

    Args:
        data: Content of the file.
        name: Name of the file for error messages.
        color_type: ``'grayscale'`` for shape (H, W), ``'color'`` for (H, W, 3)
            in BGR order.
        remedy: Advice at the end of an error.

    Raises:
        BrokenImageError: The image is incomplete or not an image.
    """
    problem = image_problem(data)
    if problem is None:
        # IMREAD_COLOR and IMREAD_GRAYSCALE also obey the EXIF orientation.
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), COLOR_FLAGS[color_type])
        except cv2.error:  # more pixels than OpenCV takes
            image = None
        if image is not None:
            return image
        problem = 'cannot be decoded'
    raise BrokenImageError(f'{name} {problem}; {remedy}')


def read_image(path: str | Path, color_type: str = 'grayscale') -> np.ndarray:
    """Read an image file, see :func:`decode_image`.

    Raises:
        BrokenImageError: It is damaged, no image, or no file.
        OSError: It is not there or must not be read.
    """
    kind = irregular(path)
    if kind is not None:
        raise BrokenImageError(f'{path} is {kind}, not a file; {_REMEDY}')
    return decode_image(Path(path).read_bytes(), str(path), color_type)
