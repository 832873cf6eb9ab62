# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Faces in one folder for each class."""

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from hpml_mm.datasets.image_io import (
    BrokenImageError,
    is_image_name,
    is_litter,
    read_image,
)
from hpml_mm.registry import DATASETS
from hpml_mm.utils.messages import listed

from .base import BaseFERDataset
from .classes import FER_CLASSES, SPLITS, class_id, did_you_mean, split_of


@DATASETS.register_module()
class FERFolderDataset(BaseFERDataset):
    """Faces in folders named by their class, in any case.

    Two layouts are known. With ``layout='splits'`` each split has its folder,
    ``ROOT/{train,val,test}/CLASS/*``; the CSV's names ``Training``,
    ``PublicTest`` and ``PrivateTest`` are understood too, and a root may hold
    one split only. With ``layout='single'`` the root holds the folder ``Train``,
    of which a seeded, stratified share becomes the validation split, and perhaps
    ``Test``, as Kaggle has it. The layout is never guessed: a root with nothing but
    ``train`` fits both.

    Items come in label order and by file name within a class.

    Args:
        data_root: Folder that holds the split folders.
        split: As in :class:`BaseFERDataset`.
        layout: ``'splits'`` or ``'single'``.
        val_ratio: Share of each class that becomes the validation split; for
            ``layout='single'`` only.
        split_seed: Seed of that choice.
        **kwargs: Passed to :class:`BaseFERDataset`. With ``on_error='skip'``
            every image is decoded once while loading, about a second for all of
            FER2013.

    Raises:
        FileNotFoundError: ``data_root`` does not exist.
        ValueError: A class folder is unknown, missing, empty or there twice.
    """

    def __init__(
        self,
        data_root: str,
        split: str | Sequence[str] = 'train',
        layout: str = 'splits',
        val_ratio: float = 0.1,
        split_seed: int = 0,
        **kwargs,
    ) -> None:
        if layout not in ('splits', 'single'):
            raise ValueError(f"layout must be 'splits' or 'single', not {layout!r}")
        if not 0 < val_ratio < 1:
            raise ValueError(f'val_ratio must be between 0 and 1, not {val_ratio}')
        self.layout = layout
        self.val_ratio = val_ratio
        self.split_seed = split_seed
        super().__init__(data_root, split, **kwargs)

    def load_splits(self, wanted: Sequence[str]) -> dict[str, list[dict]]:
        """Find the files, see :meth:`BaseFERDataset.load_splits`."""
        folders = find_split_folders(self.data_root)
        if self.layout == 'single':
            found = self._load_single(folders, wanted)
        else:
            found = {
                split: _items(find_class_files(folder), split)
                if split in wanted
                else []
                for split, folder in folders.items()
            }
        return self._without_damaged(found) if self.on_error == 'skip' else found

    def source_files(self) -> Iterator[str]:
        """Name all files below the split folders, whatever they are."""
        for folder in find_split_folders(self.data_root).values():
            for place, _, names in os.walk(folder):
                yield from (os.path.join(place, name) for name in names)

    def _load_single(
        self, folders: dict[str, Path], wanted: Sequence[str]
    ) -> dict[str, list[dict]]:
        if 'train' not in folders or 'val' in folders:
            remedy = "use layout='splits'" if folders else 'set data_root'
            raise ValueError(
                "layout='single' makes val of a part of the folder Train and needs a "
                f'root with Train and without Val, but {self.data_root} holds: '
                f'{listed(folders) or "no split"}; {remedy}'
            )
        files = find_class_files(folders['train'])
        parts = split_stratified(files, self.val_ratio, self.split_seed)
        found = dict(zip(('train', 'val'), parts, strict=True))
        if 'test' in folders:
            found['test'] = (
                find_class_files(folders['test']) if 'test' in wanted else []
            )
        return {
            split: _items(part, split) if split in wanted else []
            for split, part in found.items()
        }

    def _without_damaged(self, found: dict[str, list[dict]]) -> dict[str, list[dict]]:
        problems = []

        def is_whole(item: dict) -> bool:
            try:
                read_image(item['img_path'])
            except (BrokenImageError, OSError) as error:
                problems.append(str(error))
                return False
            return True

        kept = {split: list(filter(is_whole, items)) for split, items in found.items()}
        self._report_skipped(problems)
        return kept

    def _absence_hint(self) -> str:
        splittable = 'train' in find_split_folders(self.data_root)
        if self.layout == 'single' or 'val' not in self.splits or not splittable:
            return ''
        return " To make val of a part of the folder train, set layout='single'."


def find_split_folders(root: str | Path) -> dict[str, Path]:
    """Find the split folders of a root, in the order train, val, test.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: Two folders stand for one split.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(
            f'there is no folder {str(root)!r}: set data_root, or HPML_MM_DATA if '
            'the config reads that'
        )
    folders: dict[str, Path] = {}
    for path in sorted(root.iterdir()):
        split = split_of(path.name) if path.is_dir() else None
        if split is None:
            continue
        if split in folders:
            raise ValueError(
                f'{folders[split]} and {path.name} are both the split {split!r}'
            )
        folders[split] = path
    return {split: folders[split] for split in sorted(folders, key=SPLITS.index)}


def find_class_files(folder: Path, allow_empty: bool = False) -> list[list[str]]:
    """Find the image files of one split, sorted, one list for each class.

    Args:
        folder: Folder of the split.
        allow_empty: True if a class folder may hold no image.

    Raises:
        ValueError: A class folder is unknown, missing, empty or there twice.
    """
    class_folders: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or is_litter(path.name):
            continue
        label = class_id(path.name)
        if label is None:
            raise ValueError(
                f'unknown class folder {str(path)!r} (classes: '
                f'{", ".join(FER_CLASSES)}){did_you_mean(path.name, FER_CLASSES)}'
            )
        if label in class_folders:
            raise ValueError(
                f'{class_folders[label]} and {path.name} are both the class '
                f'{FER_CLASSES[label]!r}'
            )
        class_folders[label] = path
    missing = [n for label, n in enumerate(FER_CLASSES) if label not in class_folders]
    if missing:
        raise ValueError(f'{folder} has no class folder {" or ".join(missing)}')
    files = [_image_files(class_folders[label]) for label in range(len(FER_CLASSES))]
    empty = [str(class_folders[i]) for i, names in enumerate(files) if not names]
    if empty and not allow_empty:
        raise ValueError(f'no image in class folder {" or ".join(empty)}')
    return files


def split_stratified(
    files: list[list[str]], val_ratio: float, seed: int
) -> tuple[list[list[str]], list[list[str]]]:
    """Split the files of each class into training and validation.

    Each class gives round(val_ratio * n) of its n files, but at least one, to the
    validation split. Its choice depends on no other class.

    Raises:
        ValueError: A class has too few files to be in both.
    """
    train, val = [], []
    for label, names in enumerate(files):
        num_val = max(1, round(val_ratio * len(names)))
        if num_val >= len(names):
            raise ValueError(
                f'class {FER_CLASSES[label]!r} has {len(names)} files, too few for a '
                f'validation share of {val_ratio}'
            )
        order = np.random.default_rng((seed, label)).permutation(len(names))
        held_out = set(order[:num_val].tolist())
        val.append([name for i, name in enumerate(names) if i in held_out])
        train.append([name for i, name in enumerate(names) if i not in held_out])
    return train, val


def _items(files: list[list[str]], split: str) -> list[dict]:
    return [
        {'img_path': name, 'gt_label': label, 'split': split}
        for label, names in enumerate(files)
        for name in names
    ]


def _image_files(folder: Path) -> list[str]:
    names, strays = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_image_name(entry.name):
                # A link to nothing too: it is an image that is lost.
                names.append(entry.path)
            elif not is_litter(entry.name):
                strays.append(entry.name)
    if strays:
        print_log(
            f'{folder}: ignored {len(strays)} entries that are no image, such as '
            f'{min(strays)!r}',
            logger='current',
            level=logging.WARNING,
        )
    return sorted(names)
