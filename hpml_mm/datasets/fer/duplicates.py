# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Faces that occur more than once, found by their pixels."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from hpml_mm.datasets.image_io import read_image

from .classes import FER_CLASSES


@dataclass(frozen=True)
class Face:
    """Where a face is filed."""

    name: str
    split: str
    label: int


@dataclass(frozen=True)
class DuplicateGroup:
    """Two or more faces with the same pixels."""

    faces: tuple[Face, ...]

    @property
    def crosses_splits(self) -> bool:
        """Whether the faces lie in different splits."""
        return len({face.split for face in self.faces}) > 1

    @property
    def conflicts(self) -> bool:
        """Whether the faces have different labels."""
        return len({face.label for face in self.faces}) > 1

    def to_dict(self) -> dict:
        """Plain values for a JSON file."""
        return {
            'crosses_splits': self.crosses_splits,
            'conflicting_labels': self.conflicts,
            'faces': [
                {**asdict(face), 'class': FER_CLASSES[face.label]}
                for face in self.faces
            ],
        }


def pixel_key(image: np.ndarray) -> bytes:
    """A digest that is equal for pixel-identical images only.

    A colour image whose three channels are equal has the key of the grey one, so
    that the way a grey face is stored makes no difference.

    Args:
        image: Pixels of shape (H, W) or (H, W, 3).
    """
    if image.ndim == 3 and (image == image[..., :1]).all():
        image = image[..., 0]
    digest = blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image))
    return digest.digest()


def item_key(item: Mapping[str, Any]) -> bytes:
    """The :func:`pixel_key` of a data set's item, which holds ``img`` or else the
    ``img_path`` of a file to read."""
    image = item.get('img')
    return pixel_key(read_image(item['img_path'], 'color') if image is None else image)


def group_duplicates(faces: Iterable[tuple[bytes, Face]]) -> list[DuplicateGroup]:
    """Collect the faces that share a key, in order of their first appearance."""
    by_key: dict[bytes, list[Face]] = defaultdict(list)
    for key, face in faces:
        by_key[key].append(face)
    return [DuplicateGroup(tuple(group)) for group in by_key.values() if len(group) > 1]


def count_groups(groups: Iterable[DuplicateGroup]) -> dict[str, int]:
    """How many groups there are, cross the splits, and contradict themselves.

    Returns:
        ``groups``, ``crossing`` (faces in more than one split), ``conflicting``
        (more than one label), ``crossing_and_conflicting``, and ``surplus``: the
        faces beyond the first one of each group.
    """
    groups = list(groups)
    return {
        'groups': len(groups),
        'crossing': sum(group.crosses_splits for group in groups),
        'conflicting': sum(group.conflicts for group in groups),
        'crossing_and_conflicting': sum(
            group.crosses_splits and group.conflicts for group in groups
        ),
        'surplus': sum(len(group.faces) - 1 for group in groups),
    }
