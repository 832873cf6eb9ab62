# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Images of an annotation file, and their files on disk."""

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from mmengine.fileio import isdir, list_dir_or_file

from hpml_mm.datasets.image_io import read_image_size

from .coco_problem import Problem, first_not_finite, image_name, key_problem

#: Images whose size is read from their heads while loading: all of a file with no
#: more, else so many, evenly spread. A network drive takes milliseconds for each.
SIZES_READ = 1000
_KEYS = ('id', 'file_name', 'width', 'height')


class ImageFolder:
    """Image files below a folder, each folder in it listed once.

    Asking for each of COCO's files takes minutes on a network drive.

    Args:
        folder: Folder that file names are relative to.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._listed: dict[str, frozenset[str]] = {}

    def path(self, name: str) -> str:
        """Path of a file."""
        return os.path.join(self.folder, name)

    def has(self, name: str) -> bool:
        """True if the file is there."""
        place, name = os.path.split(self.path(name))
        place = place or '.'
        if place not in self._listed:
            files = list_dir_or_file(place, list_dir=False) if isdir(place) else ()
            self._listed[place] = frozenset(files)
        return name in self._listed[place]

    def spelling(self, name: str) -> str:
        """Spell a name as its file does: with slashes, without a URL's escapes.

        Returns:
            The name itself where it is there, or no other spelling is.
        """
        slashes = name.replace('\\', '/')
        others = (slashes, unquote(name), unquote(slashes))
        return next((each for each in (name, *others) if self.has(each)), name)

    def size(self, name: str) -> tuple[int, int] | None:
        """Width and height as the image is decoded; None if its head cannot be read."""
        # Other places would send the whole image.
        return None if '://' in self.folder else read_image_size(self.path(name))


def check_images(entries: list[dict]) -> tuple[dict, set, list[Problem]]:
    """Whole images by id, the ids of the others, and the problems."""
    images: dict[Any, dict] = {}
    bad: set = set()
    problems = []
    for place, image in enumerate(entries):
        number = image.get('id')
        found = _image_problem(image)
        if not found and number in images:
            names = f'{images[number]["file_name"]!r} and {image["file_name"]!r}'
            found = ('duplicate image id', f'is there twice: {names}')
        if found:
            problems.append(Problem(found[0], image_name(image, place), found[1]))
            if isinstance(number, int):
                bad.add(number)
        else:
            images[number] = image
    return images, bad - images.keys(), problems


def check_files(
    images: Mapping[int, Mapping], files: ImageFolder
) -> dict[int, Problem]:
    """Problems of images on disk by their ids: absent ones, and those of another size.

    Sizes of :data:`SIZES_READ` images are read, evenly spread. The coordinates of an
    image of another size are in one of the two, and nothing says in which.
    """
    problems = {}
    for number, image in images.items():
        if not files.has(image['file_name']):
            problems[number] = Problem(
                'image not on disk',
                f'image {number}',
                f'is not on disk: there is no {files.path(image["file_name"])!r}; look '
                'at data_root and data_prefix',
                FileNotFoundError,
            )
    present = [number for number in images if number not in problems]
    for number in present[:: -(-len(present) // SIZES_READ) or 1]:
        image = images[number]
        told, found = (image['width'], image['height']), files.size(image['file_name'])
        if found is None or (round(told[0]), round(told[1])) == found:
            continue
        turned = told == found[::-1]
        problems[number] = Problem(
            'size of another image',
            f'image {number}',
            f'has the size {told[0]} x {told[1]} in the file, but '
            f'{files.path(image["file_name"])!r} is read as {found[0]} x {found[1]}: '
            + (
                'its EXIF orientation turns it; export the coordinates of the image as '
                'it is seen, or remove the mark'
                if turned
                else 'use the images that were annotated, or scale the annotations'
            ),
        )
    return problems


def _image_problem(image: dict) -> tuple[str, str] | None:
    problem = key_problem(image, _KEYS)
    if problem:
        return problem
    if not isinstance(image['file_name'], str):
        return 'file name', f'has the file_name {image["file_name"]!r}, not a text'
    size = [image['width'], image['height']]
    if first_not_finite(size) is not None or min(size) <= 0:
        return 'image size', f'has the size {size[0]!r} x {size[1]!r}'
    return None
