# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""FER2013 from folders to CSV and back, keeping pixels, labels and splits."""

import csv
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from hpml_mm.datasets.image_io import BrokenImageError, read_image

from .classes import FER_CLASSES, SPLIT_USAGE
from .csv_dataset import COLUMNS, SIDE, FERCSVDataset
from .folder_dataset import find_class_files, find_split_folders


def folder_to_csv(
    root: str | Path, target: str | Path, on_error: str = 'raise'
) -> tuple[int, int]:
    """Write the faces of ``{train,val,test}/CLASS/*`` into one CSV file.

    The rows go by split and then by file name, so that folders made by
    :func:`csv_to_folder` give the rows back in their old order. Of JPEG files it is the
    decoded pixels that are kept. ``on_error='skip'`` leaves damaged images out.

    Returns:
        Number of faces written, and left out.

    Raises:
        FileExistsError: The target exists.
        ValueError: An image is damaged, in colour or not 48 x 48, or a class folder
            is wrong. Nothing is left behind.
    """
    folders = find_split_folders(root)
    if not folders:
        raise ValueError(f'{root} holds none of the folders {", ".join(SPLIT_USAGE)}')
    num_faces = num_skipped = 0
    with new_path(target) as path, path.open('x', newline='') as file:
        writer = csv.writer(file, lineterminator='\n')
        writer.writerow(COLUMNS)
        for split, folder in folders.items():
            for label, name in _by_file_name(find_class_files(folder, True)):
                try:
                    image = _read_grey(name)
                except BrokenImageError:
                    if on_error == 'raise':
                        raise
                    num_skipped += 1
                    continue
                pixels = ' '.join(map(str, image.ravel().tolist()))
                writer.writerow((label, pixels, SPLIT_USAGE[split]))
                num_faces += 1
    return num_faces, num_skipped


def csv_to_folder(
    source: str | Path, target: str | Path, on_error: str = 'raise'
) -> tuple[int, int]:
    """Write the faces of a CSV file as PNG files into class folders.

    A file is named by usage and row, such as ``Training_000001.png``.
    ``on_error='skip'`` leaves bad rows out.

    Returns:
        Number of faces written, and left out.

    Raises:
        FileExistsError: The target exists.
        ValueError: A row is bad. Nothing is left behind.
    """
    path = os.path.abspath(source)
    faces = FERCSVDataset(split=list(SPLIT_USAGE), ann_file=path, on_error=on_error)
    items = map(faces.get_data_info, range(len(faces)))
    with new_path(target) as folder:
        write_folder(
            ((i['img'], i['split'], i['gt_label'], _row_name(i)) for i in items),
            folder,
        )
    return len(faces), faces.num_skipped


def write_folder(
    faces: Iterable[tuple[np.ndarray, str, int, str]], root: str | Path
) -> None:
    """Write faces as PNG files into class folders below ``root``, which is made.

    Every split gets all seven class folders, some of them perhaps empty. A face is its
    pixels, split, label and file name.

    Raises:
        FileExistsError: The folder exists, or a name occurs twice in a class.
        OSError: A file cannot be written.
    """
    root = Path(root)
    root.mkdir(parents=True)
    for image, split, label, name in faces:
        folder = root / split / FER_CLASSES[label]
        if not folder.is_dir():
            for class_name in FER_CLASSES:
                (root / split / class_name).mkdir(parents=True, exist_ok=True)
        with (folder / name).open('xb') as file:
            file.write(cv2.imencode('.png', image)[1].tobytes())


@contextmanager
def new_path(target: str | Path) -> Iterator[Path]:
    """Give a path to write to, which becomes the target only if all goes well.

    Raises:
        FileExistsError: The target exists.
    """
    target = Path(target)
    if target.exists() or target.is_symlink():
        raise FileExistsError(f'{target} exists already: delete it or choose another')
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f'.{target.name}.{os.getpid()}.partial')
    try:
        yield partial
        partial.rename(target)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial)
        else:
            partial.unlink(missing_ok=True)


def _row_name(item: dict) -> str:
    row = int(item['img_path'].rpartition(' ')[2])
    return f'{SPLIT_USAGE[item["split"]]}_{row:06d}.png'


def _by_file_name(files: list[list[str]]) -> list[tuple[int, str]]:
    pairs = [(label, name) for label, names in enumerate(files) for name in names]
    return sorted(pairs, key=lambda pair: (os.path.basename(pair[1]), pair[0]))


def _read_grey(name: str) -> np.ndarray:
    image = read_image(name, 'color')
    if image.shape != (SIDE, SIDE, 3):
        height, width = image.shape[:2]
        raise ValueError(
            f'{name} is {width} x {height} pixels, but the CSV file holds '
            f'{SIDE} x {SIDE} only'
        )
    if (image != image[..., :1]).any():
        raise ValueError(f'{name} is in colour, but the CSV file holds grey only')
    return image[..., 0]
