# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Faults of a whole annotation file, which no single entry gives away."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

#: Annotations that are looked at, evenly spread over the file.
SAMPLE = 2000
# Two boxes may look like anything.
_ENOUGH = 3
# Areas of persons in COCO are .15 to .95 of their boxes, those of box tools 1.
_AREA_SHARES = (0.05, 1.5)


def category_problem(content: Mapping, names: Sequence[str] = ()) -> str | None:
    """Describe categories that annotations cannot name, or keypoints out of order.

    Args:
        content: The file.
        names: Names of the data set's keypoints in their order.
    """
    categories = content['categories']
    bad = next((c for c in categories if not isinstance(c.get('id'), int)), None)
    if bad is not None:
        return f'category {bad.get("name")!r} has the id {bad.get("id")!r}, no integer'
    for number, count in Counter(c['id'] for c in categories).items():
        if count > 1:
            return f'{count} categories have the id {number}: number them anew'
    used = {annotation.get('category_id') for annotation in content['annotations']}
    wanted = [_plain(name) for name in names]
    for category in categories:
        listed = category.get('keypoints')
        if category['id'] not in used or not isinstance(listed, list):
            continue
        found = [_plain(name) for name in listed]
        if found != wanted and sorted(found) == sorted(wanted):
            place = next(i for i, name in enumerate(found) if name != wanted[i])
            return (
                f'category {category.get("name")!r} has its keypoints in another order '
                f'than the data set: number {place} is {listed[place]!r}, not '
                f'{names[place]!r}; reorder the keypoints of all annotations, or give '
                'a metainfo in the order of the file'
            )
    return None


def file_problem(content: Mapping, area: bool = False) -> str | None:
    """Describe coordinates that are none in pixels, or boxes that are corners.

    Args:
        content: A file whose entries are checked.
        area: True if areas are to be compared with boxes too.
    """
    labelled = [
        annotation
        for annotation in content['annotations']
        if not annotation.get('iscrowd') and any(annotation['keypoints'][2::3])
    ]
    if not labelled:
        return (
            f'none of its {len(content["annotations"]):,} annotations has a labelled '
            'keypoint (visibility 1 or 2) and is no crowd: there is nothing to train '
            'or evaluate on; export the keypoints too'
        )
    chosen = labelled[:: -(-len(labelled) // SAMPLE)]
    if any('bbox' not in annotation for annotation in chosen):
        return None
    sizes = {each['id']: (each['width'], each['height']) for each in content['images']}
    sample = _Sample(chosen, np.array([sizes[a['image_id']] for a in chosen], float))
    first = f'(annotation {chosen[0]["id"]}: {chosen[0]["bbox"]})'
    if sample.is_normalised():
        return (
            f'its boxes or its keypoints all lie between 0 and 1 {first}, but wanted '
            'are pixels: multiply x by the width and y by the height of the image'
        )
    if sample.is_corners():
        return (
            f'its boxes are two corners, x1, y1, x2, y2 {first}, but wanted are x, y, '
            'width, height: write [x1, y1, x2 - x1, y2 - y1]'
        )
    share = sample.area_share() if area else None
    if share is not None and not _AREA_SHARES[0] <= share <= _AREA_SHARES[1]:
        return (
            f'its areas are {share:.3g} of their boxes (median; annotation '
            f'{chosen[0]["id"]}: area {chosen[0].get("area")}, box '
            f'{chosen[0]["bbox"]}), and errors of keypoints count against it: write '
            'areas in pixels of the image, or none, for 0.53 of the box'
        )
    return None


class _Sample:
    """Labelled objects of a file as arrays.

    Args:
        annotations: N of them.
        sizes: Width and height of the image of each, shape (N, 2).
    """

    def __init__(self, annotations: list[dict], sizes: np.ndarray) -> None:
        self.sizes = sizes
        self.boxes = np.array([a['bbox'] for a in annotations], float)
        self.areas = np.array([a.get('area', np.nan) for a in annotations], float)
        ends = []
        for annotation in annotations:
            points = np.array(annotation['keypoints'], float).reshape(-1, 3)
            points = points[points[:, 2] > 0, :2]
            ends.append([points.min(0), points.max(0)])
        self.low, self.high = np.array(ends).transpose(1, 0, 2)

    def is_normalised(self) -> bool:
        """True if all boxes or all keypoints lie within the first pixel."""
        largest = min(self.boxes.max(), self.high.max())
        return bool(self.sizes.min() > 2 and largest <= 1)

    def is_corners(self) -> bool:
        """True if boxes must be corners: only so do they fit their keypoints.

        Nearly all are possible corners, with all keypoints in them; and read as a
        corner and a size, a fifth of them reaches over the image, or their keypoints
        lie far to the left in them, though objects look to either side. Areas that are
        those of the boxes decide it.
        """
        start, end = self.boxes[:, :2], self.boxes[:, 2:]
        fits = (end > start) & (end <= self.sizes + 1)
        fits &= (self.low >= start - 1) & (self.high <= end + 1)
        if len(fits) < _ENOUGH or fits.all(1).mean() < 0.99:
            return False
        by_size, by_corners = end.prod(1), (end - start).prod(1)
        told = [
            float(np.isclose(self.areas, area, 0.02).mean())
            for area in (by_size, by_corners)
        ]
        if max(told) > 0.5:
            return told[0] < told[1]
        if (start + end > self.sizes + 2).any(1).mean() >= 0.2:
            return True
        left, right = self.low[:, 0] - start[:, 0], start[:, 0] + end[:, 0]
        skew = ((right - self.high[:, 0] - left) / end[:, 0]).mean()
        width = end[:, 0] - start[:, 0]
        other = ((end[:, 0] - self.high[:, 0] - left) / np.maximum(width, 1)).mean()
        return bool(skew > 0.2 and abs(other) < skew / 2)

    def area_share(self) -> float | None:
        """Median of the areas as shares of their boxes; None without areas."""
        boxes = self.boxes[:, 2:].prod(1)
        known = ~np.isnan(self.areas) & (boxes > 0)
        return (
            float(np.median(self.areas[known] / boxes[known])) if any(known) else None
        )


def _plain(name: object) -> str:
    return ''.join(filter(str.isalnum, str(name))).lower()
