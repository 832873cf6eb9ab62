# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Faces that occur more than once, found by their pixels."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from hpml_mm.datasets.image_io import read_image

from .classes import FER_CLASSES


class Face(NamedTuple):
    """Name, split and label of a face."""

    name: str
    split: str
    label: int


class DuplicateGroup(NamedTuple):
    """Two or more faces with the same pixels."""

    faces: list[Face]

    @property
    def crosses_splits(self) -> bool:
        """True if the faces lie in different splits."""
        return len({face.split for face in self.faces}) > 1

    @property
    def conflicts(self) -> bool:
        """True if the faces have different labels."""
        return len({face.label for face in self.faces}) > 1

    def to_dict(self, classes: Sequence[str] = FER_CLASSES) -> dict:
        """Return plain values for a JSON file."""
        return {
            'crosses_splits': self.crosses_splits,
            'conflicting_labels': self.conflicts,
            'faces': [
                {**face._asdict(), 'class': _name(face.label, classes)}
                for face in self.faces
            ],
        }


def _name(label: int, classes: Sequence[str]) -> str | None:
    return classes[label] if 0 <= label < len(classes) else None


def item_key(item: Mapping[str, Any]) -> bytes:
    """Compute a digest that is equal for pixel-identical faces only.

    A colour image whose three channels are equal has the key of the grey one, so
    that the way a grey face is stored makes no difference.

    Args:
        item: A data set's item: ``img`` of shape (H, W) or (H, W, 3), or else the
            ``img_path`` of a file to read.
    """
    image = item.get('img')
    if image is None:
        image = read_image(item['img_path'], 'color')
    if image.ndim == 3 and (image == image[..., :1]).all():
        image = image[..., 0]
    digest = blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(image.tobytes())
    return digest.digest()


def group_duplicates(faces: Iterable[tuple[bytes, Face]]) -> list[DuplicateGroup]:
    """Collect the faces that share a key, in order of their first appearance."""
    by_key: dict[bytes, list[Face]] = defaultdict(list)
    for key, face in faces:
        by_key[key].append(face)
    return [DuplicateGroup(group) for group in by_key.values() if len(group) > 1]


def count_groups(groups: Iterable[DuplicateGroup]) -> dict[str, int]:
    """Count the groups, those across splits, and those that contradict themselves.

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
