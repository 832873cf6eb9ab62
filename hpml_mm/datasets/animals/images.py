# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Images of an annotation file in COCO's format, and their maps, checked."""

from pathlib import PurePath

from hpml_mm.datasets.pose.coco_images import ImageFolder, check_files, check_images
from hpml_mm.datasets.pose.coco_problem import first_error

_REMEDY = 'correct the file, or the folder that is named'


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
        raise first_error(path, problems, _REMEDY)
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
        raise first_error(path, problems, _REMEDY)
    return {number: files.path(each['file_name']) for number, each in maps.items()}


def map_name(image_name: str) -> str:
    """Name of the map of an image."""
    return str(PurePath(image_name).with_suffix('.png'))
