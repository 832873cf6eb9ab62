# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Checks of annotations and of detected boxes in COCO's format.

MMPose leaves out what it cannot use without a word, and lets pass what fails hours
later: a wrong number of keypoints in the evaluation, an absent image in some epoch.
"""

from collections.abc import Container, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from .coco_images import ImageFolder, check_files, check_images
from .coco_problem import (
    Problem,
    annotation_name,
    first_not_finite,
    key_problem,
)

_KEYS = ('id', 'image_id', 'category_id', 'keypoints')
_VISIBILITIES = frozenset((0, 1, 2))


@dataclass(frozen=True)
class Form:
    """Form of the annotations that a data set reads.

    Attributes:
        num_keypoints: Number of keypoints of an object; None for any.
        lists: Keys of the lists that hold them, in this order.
        boxes: True if objects have a ``bbox``.
        shares: True if visibilities may be any numbers from 0, as MMPose takes them.
        remedies: Settings for files with other numbers of keypoints.
    """

    num_keypoints: int | None
    lists: tuple[str, ...] = ('keypoints',)
    boxes: bool = True
    shares: bool = False
    remedies: Mapping[int, str] = field(default_factory=dict)


def check_annotations(
    content: Mapping, form: Form, files: ImageFolder | None
) -> tuple[dict, list[Problem]]:
    """Divide an annotation file into usable entries and problems.

    A crowd or an annotation without a visible keypoint is no error: COCO has many, and
    MMPose leaves them out of training. Only their boxes are not looked at.

    Args:
        content: The file.
        form: Form that its annotations must have.
        files: Folder of its images; None if they cannot be looked for. Images without
            annotation are not looked for.

    Returns:
        The content without the bad entries and without annotations of bad images, and
        one problem for each bad entry.
    """
    images, bad_images, problems = check_images(content['images'])
    categories = {category.get('id') for category in content['categories']}
    check = _Entries(images, bad_images, categories, form)
    annotations, more = check.divide(content['annotations'])
    shown = {annotation['image_id'] for annotation in annotations}
    chosen = {number: images[number] for number in images if number in shown}
    unlike = check_files(chosen, files) if files else {}
    kept = {
        **content,
        'images': [image for i, image in images.items() if i not in unlike],
        'annotations': [a for a in annotations if a['image_id'] not in unlike],
    }
    return kept, [*problems, *more, *unlike.values()]


@dataclass(frozen=True)
class _Entries:
    """Checks of annotations of known images and categories."""

    images: Mapping[int, Mapping]
    bad_images: Set
    categories: Set
    form: Form

    def divide(self, entries: list[dict]) -> tuple[list[dict], list[Problem]]:
        """Whole annotations, and the problems of others; bad images' are in neither."""
        whole: dict[Any, dict] = {}
        problems = []
        for place, annotation in enumerate(entries):
            image_id = annotation.get('image_id')
            if isinstance(image_id, int) and image_id in self.bad_images:
                continue  # The image is reported already.
            found = self.problem(annotation)
            if not found and annotation['id'] in whole:
                first = whole[annotation['id']]['image_id']
                text = f'has the id of one of image {first}'
                found = ('duplicate annotation id', text)
            if not found:
                whole[annotation['id']] = annotation
                continue
            name = annotation_name(annotation, place)
            problems.append(Problem(found[0], name, found[1]))
        return list(whole.values()), problems

    def problem(self, annotation: dict) -> tuple[str, str] | None:
        """Kind and text of an annotation's first problem."""
        found = self.form_problem(annotation)
        if found:
            return found
        keypoints = [v for key in self.form.lists for v in annotation[key]]
        found = self.count_problem(len(keypoints)) or self.number_problem(
            annotation, keypoints
        )
        if found or not self.form.boxes:
            return found
        return _box_problem(annotation, keypoints, self.images[annotation['image_id']])

    def number_problem(
        self, annotation: dict, keypoints: list
    ) -> tuple[str, str] | None:
        for key, values in (
            ('keypoints', keypoints),
            ('bbox', annotation['bbox'] if self.form.boxes else []),
            ('area', [annotation.get('area', 0)]),
        ):
            bad = first_not_finite(values)
            if bad is not None:
                return 'not a number', f'has {values[bad]!r:.40} at {key}[{bad}]'
        if annotation.get('area', 0) < 0:
            return 'area', f'has the area {annotation["area"]!r}, below 0'
        if annotation.get('iscrowd', 0) not in (0, 1):
            return 'iscrowd', f'has iscrowd {annotation["iscrowd"]!r:.40}, not 0 or 1'
        seen = keypoints[2::3]
        if _VISIBILITIES.issuperset(seen) or (self.form.shares and min(seen) >= 0):
            return None
        bad = next(i for i, v in enumerate(seen) if v not in _VISIBILITIES)
        return (
            'visibility',
            f'has visibility {seen[bad]!r} at keypoint {bad}, not 0 (not labelled), 1 '
            '(hidden) or 2 (visible)',
        )

    def form_problem(self, annotation: dict) -> tuple[str, str] | None:
        boxes = ('bbox',) if self.form.boxes else ()
        problem = key_problem(annotation, (*_KEYS, *boxes))
        if problem:
            return ('no box', problem[1]) if 'bbox' in problem[1] else problem
        if annotation['id'] < 0:  # xtcocotools marks with -1 what is not matched
            return 'id', f'has the id {annotation["id"]}, below 0'
        if annotation['image_id'] not in self.images:
            return 'unknown image', 'names an image that is not in the file'
        if annotation['category_id'] not in self.categories:
            known = ', '.join(map(str, sorted(self.categories, key=str))) or 'none'
            return (
                'unknown category',
                f'has the category_id {annotation["category_id"]}, which "categories" '
                f'lacks: it has {known}; xtcocotools would not evaluate it',
            )
        if boxes and not _has_four(annotation['bbox']):
            return 'empty box', f'has the box {annotation["bbox"]}, not four numbers'
        for key in self.form.lists:
            if not isinstance(annotation.get(key), list):
                wanted = self.form.num_keypoints or 'all'
                return (
                    'keypoint count',
                    f'has {key} that are no list of {wanted} x, y, visibility',
                )
        return None

    def count_problem(self, length: int) -> tuple[str, str] | None:
        kind, wanted = 'keypoint count', self.form.num_keypoints
        if length % 3:
            listed = wanted or 'all'
            return kind, f'has keypoints that are no list of {listed} x, y, visibility'
        found = length // 3
        if wanted is None or found == wanted:
            return None
        remedy = self.form.remedies.get(found)
        text = f'has {found} keypoints, the data set has {wanted}'
        return kind, f'{text}: set {remedy}' if remedy else text


def detection_problem(detection: Any, image_ids: Container) -> str | None:
    """Describe the fault of a detected box, as the end of a sentence."""
    if not isinstance(detection, dict):
        return f'is no object but {detection!r:.40}'
    for key in ('category_id', 'image_id', 'bbox', 'score'):
        if detection.get(key) is None:
            return f'has no {key!r}'
        if detection['category_id'] != 1:
            return None
    box = detection['bbox']
    if detection['image_id'] not in image_ids:
        return f'names image {detection["image_id"]}, not in the annotation file'
    if not _has_four(box):
        return f'has the box {box}, not four numbers'
    bad = first_not_finite([*box, detection['score']])
    if bad is not None:
        return f'has {[*box, detection["score"]][bad]!r:.40} in its box or score'
    if box[2] <= 0 or box[3] <= 0:
        return f'has the empty box {box} (x, y, w, h)'
    return None


def _has_four(box: Any) -> bool:
    return isinstance(box, list) and len(box) == 4


def sigmas_problem(metainfo: Mapping, needed: bool = False) -> str | None:
    """Describe sigmas that are not one for each keypoint; none are wrong if needed."""
    sigmas, number = len(metainfo['sigmas']), metainfo['num_keypoints']
    if sigmas == number or not (sigmas or needed):
        return None
    return (
        f'metainfo {metainfo["dataset_name"]!r} has {sigmas} sigmas for {number} '
        'keypoints: give one for each, CocoMetric needs them'
    )


def _box_problem(
    annotation: dict, keypoints: list, image: Mapping
) -> tuple[str, str] | None:
    """As MMPose clips the box, of what it trains and evaluates on."""
    if annotation.get('iscrowd') or not any(keypoints[2::3]):
        return None
    x, y, width, height = annotation['bbox']
    if width <= 0 or height <= 0:
        return 'empty box', f'has the empty box {annotation["bbox"]} (x, y, w, h)'
    right, bottom = image['width'] - 1, image['height'] - 1
    if min(x + width, right) > max(x, 0) and min(y + height, bottom) > max(y, 0):
        return None
    return (
        'box outside the image',
        f'has the box {annotation["bbox"]} (x, y, w, h) outside its image of '
        f'{image["width"]} x {image["height"]} pixels',
    )
