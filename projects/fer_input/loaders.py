# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Training loaders of two published FER projects, for ``hpml benchmark data``.

They are written again from the projects' training scripts, with the same transforms,
batch size, workers and collation.
"""

from pathlib import Path

import numpy as np
from mmengine.config import Config
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from hpml_mm.datasets.fer.folder_dataset import find_split_folders
from projects.light_fer.recipe import FacesInMemory


def hpml_2023(cfg: Config, batch_size: int | None, workers: int | None) -> DataLoader:
    """Faces enlarged, flipped, blurred and sharpened at random, in batches of 16.

    Args:
        cfg: A config that trains on folders of faces.
        batch_size: Instead of the project's own.
        workers: Instead of the project's four.

    Raises:
        ValueError: If the config's faces do not lie in folders.
    """
    steps = [
        transforms.Resize((224, 224)),
        transforms.RandomHorizontalFlip(p=0.5),
        transforms.GaussianBlur(kernel_size=(5, 9), sigma=(0.1, 5)),
        transforms.RandomAdjustSharpness(sharpness_factor=2, p=0.5),
        transforms.ToTensor(),
        transforms.Normalize(mean=[0.5] * 3, std=[0.5] * 3),
    ]
    data = ImageFolder(str(training_folder(cfg)), transforms.Compose(steps))
    return _loader(data, batch_size or 16, 4 if workers is None else workers)


def light_fer(cfg: Config, batch_size: int | None, workers: int | None) -> DataLoader:
    """Grey faces in memory, cropped and flipped one by one, in batches of 128.

    The original reads them from a CSV; once in memory they are the same.

    Args:
        cfg: A config that trains on folders of faces.
        batch_size: Instead of the project's own.
        workers: Instead of the project's one.

    Raises:
        ValueError: If the config's faces do not lie in folders.
    """
    files = ImageFolder(str(training_folder(cfg))).samples
    faces = np.stack([_grey(path) for path, _ in files])
    steps = [
        transforms.RandomCrop(44),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
    ]
    labels = [label for _, label in files]
    data = FacesInMemory((faces, labels), transforms.Compose(steps))
    return _loader(data, batch_size or 128, 1 if workers is None else workers)


def training_folder(cfg: Config) -> Path:
    """Folder of a config's training faces, with one folder for each class.

    Raises:
        ValueError: If they do not lie in folders.
    """
    dataset = cfg.train_dataloader.dataset
    while dataset is not None and 'data_root' not in dataset:
        dataset = dataset.get('source') or dataset.get('dataset')
    root = None if dataset is None else dataset.data_root
    if root is None or not Path(root).is_dir():
        raise ValueError(
            f'{cfg.filename}: these loaders read one folder of faces a class, and '
            f'train_dataloader.dataset names no such folder ({root!r})'
        )
    folders = find_split_folders(root)
    if 'train' not in folders:
        raise ValueError(f'{root} has no folder "train"')
    return folders['train']


def _loader(data: Dataset, batch_size: int, workers: int) -> DataLoader:
    return DataLoader(data, batch_size, shuffle=True, num_workers=workers)


def _grey(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert('L'))
