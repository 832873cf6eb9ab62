# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Make the stock loader of images name the file that it cannot decode.

Its errors are those of OpenCV, of several lines, or of Pillow, neither of which knows
the file, or an AssertionError.
"""

from functools import wraps
from types import ModuleType
from typing import Any

_DECODERS = ('cv2', 'PIL', 'turbojpeg', 'tifffile')


class BrokenImageError(ValueError):
    """An image file is empty, truncated or cannot be decoded."""

    def __init__(self, message: str) -> None:
        # A DataLoader worker hands its whole traceback over as the message.
        # Its last line is the one that this project wrote.
        super().__init__(message.rpartition(f'{type(self).__name__}: ')[2].strip())


def mend(module: ModuleType) -> None:
    """Wrap the loader of a module of transforms."""
    loader = module.LoadImageFromFile
    if hasattr(loader.transform, '__wrapped__'):
        return
    original = loader.transform

    @wraps(original)
    def transform(self: Any, results: dict) -> dict | None:
        try:
            return original(self, results)
        except Exception as error:
            if not _is_of_decoder(error):
                raise
            raise BrokenImageError(
                f'{results["img_path"]} cannot be decoded: replace or delete it'
            ) from error

    loader.transform = transform


def _is_of_decoder(error: Exception) -> bool:
    if isinstance(error, AssertionError):
        return 'failed to load image' in str(error)
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    origin = last.tb_frame.f_globals.get('__name__', '') if last is not None else ''
    names = type(error).__module__, origin
    return any(name.partition('.')[0] in _DECODERS for name in names)
