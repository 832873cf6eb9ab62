# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Input pipelines of two published FER projects, as plain torch programs.

They are written again from the projects' training scripts, with the same transforms,
batch size, workers and collation, to have something to compare with.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from hpml_mm.config.overrides import load_config
from hpml_mm.datasets.fer.folder_dataset import find_split_folders
from projects.light_fer.recipe import FacesInMemory

from .jobs import Job
from .profiles import stage_profile
from .session import Session, loaded, lying_ready

# Batch size and workers that the projects use unless told otherwise.
DEFAULTS = {'hpml-2023': (16, 4), 'light-fer': (128, 1)}


def open_source(job: Job, serve: Callable[[Session], None]) -> None:
    """Serve a source's input pipeline over the faces that the config trains on.

    Raises:
        ValueError: If the config's faces do not lie in folders.
    """
    folder = training_folder(load_config(job.side.config, job.side.options))
    loader = source_loader(job.side.kind, folder, job.batch_size, job.workers)
    device = torch.device(get_device())
    prepare = partial(_to_device, device)
    steps = partial(loaded, loader, prepare)
    profile = partial(stage_profile, loader, prepare)
    serve(Session(steps, device, profile, rewarm=lying_ready(loader)))


def source_loader(
    name: str, folder: Path, batch_size: int | None, workers: int | None
) -> DataLoader:
    """A source's training loader.

    Args:
        name: One of ``DEFAULTS``.
        folder: Holds one folder of faces for each class.
        batch_size: Instead of the source's own.
        workers: The same.
    """
    own_batch, own_workers = DEFAULTS[name]
    build = {'hpml-2023': _hpml_2023, 'light-fer': _light_fer}[name]
    return DataLoader(
        build(folder),
        batch_size=own_batch if batch_size is None else batch_size,
        num_workers=own_workers if workers is None else workers,
        shuffle=True,
    )


def training_folder(cfg: Config) -> Path:
    """Where the training faces of a config lie, one folder a class.

    Raises:
        ValueError: If they do not lie in folders.
    """
    dataset = cfg.train_dataloader.dataset
    while 'data_root' not in dataset:
        dataset = dataset.get('source') or dataset.get('dataset')
        if dataset is None:
            break
    if dataset is None or not Path(dataset.data_root).is_dir():
        raise ValueError(
            f'{cfg.filename}: the sources read one folder of faces a class, and '
            f'train_dataloader.dataset names no such folder '
            f'({None if dataset is None else dataset.data_root!r})'
        )
    folders = find_split_folders(dataset.data_root)
    if 'train' not in folders:
        raise ValueError(f'{dataset.data_root} has no folder "train"')
    return folders['train']


def _hpml_2023(folder: Path) -> ImageFolder:
    """hpml-2023's data set: enlarged, flipped, blurred and sharpened at random."""
    steps = [
        transforms.Resize((224, 224)),
        transforms.RandomHorizontalFlip(p=0.5),
        transforms.GaussianBlur(kernel_size=(5, 9), sigma=(0.1, 5)),
        transforms.RandomAdjustSharpness(sharpness_factor=2, p=0.5),
        transforms.ToTensor(),
        transforms.Normalize(mean=[0.5] * 3, std=[0.5] * 3),
    ]
    return ImageFolder(str(folder), transforms.Compose(steps))


def _light_fer(folder: Path) -> FacesInMemory:
    """Light FER's data set: grey faces in memory, cropped and flipped one by one.

    The original reads them from a CSV; once in memory they are the same.
    """
    files = ImageFolder(str(folder)).samples
    faces = np.stack([_grey(path) for path, _ in files])
    steps = [
        transforms.RandomCrop(44),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
    ]
    labels = [label for _, label in files]
    return FacesInMemory((faces, labels), transforms.Compose(steps))


def _grey(path: str) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert('L'))


def _to_device(
    device: torch.device, batch: list[torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = batch
    return images.to(device), labels.to(device)
