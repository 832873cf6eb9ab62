# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Numbers about the data sets of a config: classes, sizes, intensities, duplicates."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .fer.duplicates import Face, count_groups, group_duplicates, item_key

#: Bins of the histograms over the 256 levels of grey.
BINS = 32
#: Groups of duplicates that a record lists.
LISTED = 50
_GREY = (0.299, 0.587, 0.114)


class Survey:
    """Counter of images, objects and pixels.

    Args:
        classes: Names in label order; empty where there are none.
        keypoints: Names of the keypoints; empty for data without poses.
    """

    def __init__(
        self, classes: Sequence[str] = (), keypoints: Sequence[str] = ()
    ) -> None:
        self.classes, self.keypoints = tuple(classes), tuple(keypoints)
        self.entries: Counter[str] = Counter()
        self.images: Counter[str] = Counter()
        self.per_class: dict[str, Counter[str]] = defaultdict(Counter)
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.damaged: list[str] = []
        self.visible: dict[str, np.ndarray] = {}
        self._sums: dict[tuple[str, str], np.ndarray] = {}
        self._numbers: Counter[tuple[str, str]] = Counter()
        self._faces: list[tuple[bytes, Face]] = []

    def name(self, label: int) -> str:
        """Name of a class."""
        known = 0 <= label < len(self.classes)
        return str(self.classes[label]) if known else str(label)

    def count(
        self, split: str, labels: Sequence[int], visible: np.ndarray | None = None
    ) -> None:
        """Count an entry of a data set.

        Args:
            split: Its split.
            labels: Its classes, each once.
            visible: Which keypoints are annotated, shape (N, K).
        """
        self.entries[split] += 1
        self.per_class[split].update(self.name(label) for label in labels)
        if visible is not None:
            found = np.asarray(visible, bool).reshape(-1, np.shape(visible)[-1])
            seen = np.array([*found.sum(axis=0), len(found)])
            self.visible[split] = self.visible.get(split, 0) + seen

    def look(
        self, split: str, labels: Sequence[int], name: str, image: np.ndarray
    ) -> None:
        """Take the pixels of an image in, each image once.

        Args:
            split: Its split.
            labels: Its classes.
            name: Its path.
            image: uint8 of shape (H, W), or (H, W, 3) in BGR order.
        """
        self.images[split] += 1
        height, width = image.shape[:2]
        self.sizes[width, height] += 1
        share = intensity(image)
        kinds = [('split', split), *(('class', self.name(label)) for label in labels)]
        for kind in kinds:
            self._sums[kind] = self._sums.get(kind, 0) + share
            self._numbers[kind] += 1
        label = labels[0] if len(labels) == 1 else -1
        self._faces.append((item_key({'img': image}), Face(name, split, label)))

    def intensities(self, kind: str) -> dict[str, np.ndarray]:
        """Mean share of an image's pixels in each bin of grey.

        Args:
            kind: ``'class'`` or ``'split'``.
        """
        return {
            key: total / self._numbers[which, key]
            for (which, key), total in self._sums.items()
            if which == kind
        }

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a JSON file."""
        groups = group_duplicates(self._faces)
        names = self.classes or sorted({n for c in self.per_class.values() for n in c})
        areas = sorted(self.sizes.elements(), key=lambda size: size[0] * size[1])
        return {
            'entries': dict(self.entries),
            'images': dict(self.images),
            'classes': {
                str(name): {s: self.per_class[s][str(name)] for s in self.entries}
                for name in names
            },
            'sizes': {
                'distinct': len(self.sizes),
                **(
                    {
                        'smallest': list(areas[0]),
                        'median': list(areas[len(areas) // 2]),
                        'largest': list(areas[-1]),
                    }
                    if areas
                    else {}
                ),
            },
            'intensity': {
                kind: {k: v.tolist() for k, v in self.intensities(kind).items()}
                for kind in ('split', 'class')
            },
            'keypoints': {
                name: {
                    split: float(seen[index] / seen[-1])
                    for split, seen in self.visible.items()
                }
                for index, name in enumerate(self.keypoints)
            },
            'duplicates': {
                **count_groups(groups),
                'examples': [g.to_dict(self.classes) for g in groups[:LISTED]],
            },
            'damaged': self.damaged,
        }


def intensity(image: np.ndarray) -> np.ndarray:
    """Share of the pixels in each of the :data:`BINS` bins of grey.

    Args:
        image: uint8 of shape (H, W), or (H, W, 3) in BGR order.
    """
    if image.ndim == 3:
        # Not cut off: a grey picture of three channels keeps its levels.
        image = np.rint(image[..., ::-1] @ np.array(_GREY)).astype(np.uint8)
    counts = np.bincount(image.ravel() // (256 // BINS), minlength=BINS)
    return counts / image.size


def labels_of(info: Mapping[str, Any]) -> list[int]:
    """Classes of an entry of MMPretrain or MMDetection, each once."""
    labels = info.get('gt_label')
    if labels is None:
        labels = ()
    if 'instances' in info:
        labels = [one.get('bbox_label', -1) for one in info['instances']]
    found = {int(label) for label in np.ravel(np.asarray(labels))}
    return sorted(label for label in found if label >= 0)


def visible_of(info: Mapping[str, Any]) -> np.ndarray | None:
    """Keypoints that an entry of MMPose annotates, shape (N, K)."""
    visible = info.get('keypoints_visible')
    if visible is None:
        return None
    visible = np.asarray(visible)
    return (visible[..., 0] if visible.ndim == 3 else visible) > 0


def entries_of(dataset: Any) -> Iterator[dict[str, Any]]:
    """Entries of a data set, each once, behind repetitions and class balancing."""
    parts = getattr(dataset, 'datasets', None)
    if parts:
        for part in parts:
            yield from entries_of(part)
        return
    inner = getattr(dataset, 'dataset', None)
    if inner is None:
        for index in range(len(dataset)):
            info = dict(dataset.get_data_info(index))
            if hasattr(dataset, 'get_image'):
                info['img'] = dataset.get_image(index)
            yield info
        return
    indices = getattr(dataset, 'indices', None)
    if indices is None:
        yield from entries_of(inner)
        return
    chosen = set(map(int, indices))  # of one fold, say
    for index, info in enumerate(entries_of(inner)):
        if index in chosen:
            yield info
