# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Images, maps and boxes of an annotation file in COCO's format, checked."""

from collections.abc import Iterator, Mapping
from pathlib import PurePath

from hpml_mm.datasets.pose.coco_images import ImageFolder, check_files, check_images
from hpml_mm.datasets.pose.coco_problem import (
    Problem,
    annotation_name,
    first_error,
    first_not_finite,
    key_problem,
)

REMEDY = 'correct the file, or the folder that is named'
_KEYS = ('id', 'image_id', 'category_id', 'bbox')


def checked_images(path: str, entries: list[dict], folder: str) -> dict[int, dict]:
    """Images of a file by their ids.

    Args:
        path: The annotation file, for messages.
        entries: Its list of images.
        folder: Folder of the images.

    Raises:
        FileNotFoundError: One is not on disk.
        ValueError: One is malformed, there twice, or of another size on disk.
    """
    images, _, problems = check_images(entries)
    problems += check_files(images, ImageFolder(folder)).values()
    if problems:
        raise first_error(path, problems, REMEDY)
    return images


def checked_maps(path: str, images: dict[int, dict], folder: str) -> dict[int, str]:
    """Paths of the PNG maps of images, by the images' ids.

    Args:
        path: The annotation file, for messages.
        images: Images by their ids.
        folder: Folder of the maps, which have the names of their images.

    Raises:
        FileNotFoundError: One is not on disk.
        ValueError: One has another size than its image.
    """
    maps = {
        number: {**image, 'file_name': map_name(image['file_name'])}
        for number, image in images.items()
    }
    files = ImageFolder(folder)
    problems = list(check_files(maps, files).values())
    if problems:
        raise first_error(path, problems, REMEDY)
    return {number: files.path(each['file_name']) for number, each in maps.items()}


def map_name(image_name: str) -> str:
    """Name of the map of an image."""
    return str(PurePath(image_name).with_suffix('.png'))


def box_problems(
    annotations: list[dict],
    images: Mapping[int, Mapping],
    categories: Mapping[int, object],
    empty: bool = False,
) -> Iterator[Problem]:
    """Problems of annotations: ids that are not there, boxes and masks that are none.

    Args:
        annotations: They.
        images: Images by their ids.
        categories: Categories by their ids, in any form.
        empty: True to let boxes without an extent pass.
    """
    for place, each in enumerate(annotations):
        found = (
            key_problem(each, _KEYS)
            or _id_problem(each, images, categories)
            or _extent_problem(each, images[each['image_id']], empty)
        )
        if found:
            yield Problem(found[0], annotation_name(each, place), found[1])


def _id_problem(
    each: dict, images: Mapping[int, Mapping], categories: Mapping[int, object]
) -> tuple[str, str] | None:
    if each['image_id'] not in images:
        return 'unknown image', 'is of an image that is not listed'
    if each['category_id'] not in categories:
        known = ', '.join(map(str, categories)) or 'none'
        return (
            'unknown category',
            f'has the category {each["category_id"]!r}; those of the data set are '
            f'{known}',
        )
    return None


def _extent_problem(each: dict, image: Mapping, empty: bool) -> tuple[str, str] | None:
    box, mask = each['bbox'], each.get('segmentation')
    numbers = isinstance(box, list) and len(box) == 4 and first_not_finite(box) is None
    if not numbers or (min(box[2:]) <= 0 and not empty):
        return 'box', f'has the box {box!r}, not x, y, width, height'
    size = [image['height'], image['width']]
    if isinstance(mask, dict) and mask.get('size') != size:
        return (
            'mask of another size',
            f'has a mask of the size {mask.get("size")} (height, width), but its image '
            f'has {size}',
        )
    return None
