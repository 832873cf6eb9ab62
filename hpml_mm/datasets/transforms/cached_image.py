# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Read each image of a pose data set from disk once."""

import logging
import os
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log

from hpml_mm.datasets.image_cache import FileState, ImageCache
from hpml_mm.datasets.image_io import decode_image
from hpml_mm.registry import TRANSFORMS

_REMEDY = 'replace it, or take its annotations out of the annotation file'


@TRANSFORMS.register_module()
class LoadCachedImage(BaseTransform):
    """MMPose's ``LoadImage`` with the decoded images kept in memory or on disk.

    All workers of a loader share one cache, which they fill as they read. What does
    not fit is decoded each time, as without a cache, and one warning says so. Each
    data set and each process of a distributed run has a cache of its own.

    A file is looked at each time: one whose size or time of change is another than
    when it was read is decoded anew. Nothing is left on disk after a run.

    The image cannot be written to: a transform that changes it in place, instead of
    a copy, ends in NumPy's ``assignment destination is read-only`` and not in a
    cache whose images change from epoch to epoch.

    Required Keys:

    - img_path
    - img (optional): taken as it is

    Modified Keys:

    - img: uint8 of shape (H, W, 3), BGR

    Added Keys:

    - img_shape
    - ori_shape

    Args:
        cache_gib: Room that the images may take, in GiB. Width times height times
            three bytes each. It is taken as images come in, not at once. With 0
            nothing is kept.
        cache_dir: Folder on a fast local disk for images that do not fit in memory,
            of which the system keeps in memory what it can; None for memory. Not the
            disk of the checkpoints, which it may fill.

    Raises:
        FileNotFoundError: There is no such folder.
        OSError: No file can be made there.
        ValueError: ``cache_gib`` is below 0 or more than can be set aside.
    """

    def __init__(self, cache_gib: float = 1.0, cache_dir: str | None = None) -> None:
        if cache_gib < 0:
            raise ValueError(
                f'LoadCachedImage: cache_gib={cache_gib} must be 0 or more'
            )
        if cache_dir is not None:
            cache_dir = os.path.expanduser(cache_dir)
        if cache_dir is not None and not os.path.isdir(cache_dir):
            raise FileNotFoundError(
                f'LoadCachedImage: there is no folder cache_dir={cache_dir!r}; make '
                'it, on a local disk'
            )
        self.cache_gib, self.cache_dir = cache_gib, cache_dir
        num_bytes = int(cache_gib * 2**30)
        self.cache = ImageCache(num_bytes, cache_dir) if num_bytes else None

    def transform(self, results: dict) -> dict:
        """Set the pixels and their shape.

        Raises:
            FileNotFoundError: There is no such file.
            BrokenImageError: The image is incomplete or not an image.
        """
        image = results.get('img')
        if image is None:
            image = self._load(results['img_path'])
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _load(self, path: str) -> np.ndarray:
        if self.cache is None:
            return _decode(path)
        found = os.stat(path)
        state = FileState(found.st_size, found.st_mtime_ns)
        image, is_first_miss = self.cache.get(path, state, lambda: _decode(path))
        if is_first_miss:
            print_log(
                f'{self} holds {len(self.cache):,} images and has no room for more; '
                'the others are decoded each time they are needed',
                logger='current',
                level=logging.WARNING,
            )
        return image

    def __repr__(self) -> str:
        where = '' if self.cache_dir is None else f', cache_dir={self.cache_dir!r}'
        return f'{type(self).__name__}(cache_gib={self.cache_gib:g}{where})'


def _decode(path: str) -> np.ndarray:
    return decode_image(Path(path).read_bytes(), path, 'color', _REMEDY)
