# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Data sets to survey: those of a config, of a folder, or of a CSV file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine import fileio
from mmengine.registry import DATASETS, DefaultScope
from mmpretrain.datasets import CustomDataset

from hpml_mm.config.overrides import load_config

from .fer.classes import FER_CLASSES, SPLITS, class_id
from .fer.csv_dataset import FERCSVDataset
from .fer.folder_dataset import FERFolderDataset, find_split_folders
from .image_io import BrokenImageError, decode_image, is_litter
from .sample_pictures import Picture, original_of
from .survey import Survey, entries_of, labels_of, visible_of


@dataclass(frozen=True)
class Source:
    """Data sets by the names of their splits.

    Attributes:
        splits: A data set, or the entries of one, for each split.
        meta: Metainfo of the first.
    """

    splits: Mapping[str, Any]
    meta: Mapping[str, Any]


def open_config(config: str, options: Mapping[str, Any]) -> Source:
    """Open the data sets of a config's loaders, without their pipelines.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If it has no loader.
    """
    cfg = load_config(config, options)
    found: dict[str, Any] = {}
    seen = []
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        for split in SPLITS:
            loader = cfg.get(f'{split}_dataloader')
            loader = loader[0] if isinstance(loader, list | tuple) else loader
            part = loader.get('dataset') if isinstance(loader, Mapping) else None
            if part is None or part in seen:  # a test on the validation set
                continue
            seen.append(part)
            found[split] = DATASETS.build(_without_pipeline(part))
    if not found:
        raise ValueError(f'{config} has no loader with a dataset: there is no data')
    return Source(found, _meta(next(iter(found.values()))))


def open_files(path: Path) -> Source:
    """Open a folder of class folders, one of splits with such, or a CSV of FER2013.

    Raises:
        ValueError: If it holds neither.
    """
    if not path.is_dir():
        faces: Any = FERCSVDataset(split=list(SPLITS), ann_file=str(path.absolute()))
        return _by_split(faces)
    folders = find_split_folders(path)
    names = _class_names(next(iter(folders.values()), path))
    if not names:
        raise ValueError(
            f'{path} holds neither class folders nor train, val and test with such'
        )
    if folders and all(class_id(name) is not None for name in names):
        return _by_split(FERFolderDataset(str(path), list(folders)))
    found = {
        split: CustomDataset(data_root='', data_prefix=str(folder))
        for split, folder in (folders or {'all': path}).items()
    }
    return Source(found, _meta(next(iter(found.values()))))


def survey_of(
    source: Source,
    most: int | None,
    examples: int,
    show: Callable[[int, int], None],
) -> tuple[Survey, dict[str, list[Picture]]]:
    """Count all entries, and look at their images.

    Args:
        source: The data sets.
        most: Images of each split to look at, evenly spaced; None for all.
        examples: Pictures to keep of each class.
        show: Takes the number of entries that are done, and that of all.

    Returns:
        The survey, and pictures by the name of their class.
    """
    names = source.meta.get('keypoint_id2name') or {}
    keypoints = [names[index] for index in range(len(names))]
    survey = Survey(source.meta.get('classes') or (), keypoints)
    kept: dict[str, list[Picture]] = {}
    total = sum(len(part) for part in source.splits.values())
    done = 0
    for split, part in source.splits.items():
        step = max(1, -(-len(part) // most)) if most else 1
        paths: set[str] = set()
        entries = iter(part) if isinstance(part, list) else entries_of(part)
        for number, info in enumerate(entries):
            labels = labels_of(info)
            survey.count(split, labels, visible_of(info))
            name = str(info.get('img_path') or f'{split} {number}')
            if number % step == 0 and name not in paths:
                paths.add(name)
                _look(survey, split, labels, name, info, kept, examples)
            done += 1
            if done % 100 == 0 or done == total:
                show(done, total)
    return survey, {name: kept[name] for name in sorted(kept, key=_order(survey))}


def _look(
    survey: Survey,
    split: str,
    labels: list[int],
    name: str,
    info: dict[str, Any],
    kept: dict[str, list[Picture]],
    examples: int,
) -> None:
    image = info.get('img')
    try:
        if image is None:
            image = decode_image(fileio.get(name), name, 'color')
    except (BrokenImageError, OSError) as error:
        survey.damaged.append(str(error).partition(';')[0])
        return
    image = np.asarray(image)
    survey.look(split, labels, name, image)
    group = survey.name(labels[0]) if len(labels) == 1 else split
    held = kept.setdefault(group, [])
    if len(held) < examples:
        picture = original_of({**info, 'img': image}, False)
        if picture is not None:
            held.append(picture)


def _order(survey: Survey) -> Callable[[str], int]:
    places = {str(name): place for place, name in enumerate(survey.classes)}
    return lambda name: places.get(name, len(places))


def _by_split(faces: Any) -> Source:
    """Sort the entries of one data set of faces by their splits."""
    found: dict[str, list[dict]] = {split: [] for split in faces.splits}
    for info in entries_of(faces):
        found[info['split']].append(info)
    there = {split: items for split, items in found.items() if items}
    return Source(there, {'classes': FER_CLASSES})


def _without_pipeline(part: Any) -> Any:
    if isinstance(part, Mapping):
        return {
            key: [] if key == 'pipeline' else _without_pipeline(value)
            for key, value in part.items()
        }
    if isinstance(part, list):
        return [_without_pipeline(one) for one in part]
    return part


def _meta(dataset: Any) -> dict[str, Any]:
    meta = dict(getattr(dataset, 'metainfo', None) or {})
    if not meta.get('classes') and getattr(dataset, 'CLASSES', None):
        meta['classes'] = dataset.CLASSES
    return meta


def _class_names(folder: Path) -> list[str]:
    return [
        one.name
        for one in sorted(folder.iterdir())
        if one.is_dir() and not is_litter(one.name)
    ]
