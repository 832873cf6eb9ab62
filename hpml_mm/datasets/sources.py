# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Checks of the files that data sets are going to read, before a model is built."""

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, TRANSFORMS, DefaultScope
from mmpretrain.datasets import CustomDataset

from hpml_mm.config.lookup import find

from .fer.folder_dataset import FERFolderDataset

# Data sets within others, and where they stand.
_WITHIN = ('dataset', 'datasets', 'source')
# Of these every pipeline ends with a step that is named so.
_PACKAGES = frozenset({'mmcv', 'mmpretrain', 'mmpose', 'mmdet', 'hpml_mm'})


def check_sources(cfg: Config, modes: Sequence[str]) -> None:
    """Check that the folders and files of a run's data sets are there.

    Data sets that download, or read from elsewhere than a disk, are left alone, and so
    are classes that are no ``BaseDataset`` of MMEngine.

    Args:
        cfg: Config of a run.
        modes: Of ``'train'``, ``'val'``, ``'test'`` those that will run.

    Raises:
        FileNotFoundError: One is not there; the message names its place in the config.
        ValueError: A folder is empty, the folders of the classes are wrong, or the
            model has fewer outputs than there are classes.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        for mode in modes:
            for leaf, place in leaves(cfg, mode):
                _check(leaf, place, cfg)


def leaves(cfg: Config, mode: str) -> Iterator[tuple[Mapping, str]]:
    """Configs of the data sets that read files, with their places.

    Args:
        cfg: Config of a run.
        mode: ``'train'``, ``'val'`` or ``'test'``.
    """
    loader = cfg.get(f'{mode}_dataloader')
    for part in loader if isinstance(loader, list) else [loader]:
        if isinstance(part, Mapping):
            yield from _leaves(part, f'{mode}_dataloader')


def _leaves(part: Mapping, place: str) -> Iterator[tuple[Mapping, str]]:
    inner = [(key, part[key]) for key in _WITHIN if part.get(key)]
    if not inner and 'type' in part:
        yield part, place
    for key, value in inner:
        many = isinstance(value, list | tuple)
        for number, one in enumerate(value if many else [value]):
            if isinstance(one, Mapping):
                yield from _leaves(one, f'{place}.{key}{f".{number}" if many else ""}')


def _check(part: Mapping, place: str, cfg: Config) -> None:
    kind = find(DATASETS, part['type'])
    if not (isinstance(kind, type) and issubclass(kind, BaseDataset)):
        return
    if 'download' in inspect.signature(kind.__init__).parameters:  # type: ignore[misc]
        return
    root = os.path.expanduser(str(part.get('data_root') or ''))
    prefix = part.get('data_prefix')
    prefixes = prefix if isinstance(prefix, Mapping) else {'': prefix}
    wanted = {
        'data_root': root,
        'ann_file': _joined(root, part.get('ann_file')),
        **{
            f'data_prefix.{key}'.rstrip('.'): _joined(root, value)
            for key, value in prefixes.items()
        },
    }
    for key, path in wanted.items():
        _check_path(path, f'{place}.{key}')
    if issubclass(kind, FERFolderDataset):
        # Reads names alone: no picture.
        DATASETS.build({**part, 'pipeline': [], 'drop_crossing': False})
    _check_steps(part, kind, place)
    _check_classes(part, place, cfg)


def _joined(root: str, value: Any) -> str:
    if not (isinstance(value, str) and value):
        return ''
    return value if os.path.isabs(value) or '://' in value else str(Path(root, value))


def _check_path(path: str, place: str) -> None:
    if not path or '://' in path:
        return
    if not os.path.exists(path):
        parent = Path(path).parent
        there = parent.is_dir() and sorted(one.name for one in parent.iterdir())[:6]
        beside = f' ({parent} holds {", ".join(there)})' if there else ''
        raise FileNotFoundError(
            f'{place}: there is no {path!r}{beside}; set it to where your data are, or '
            'HPML_MM_DATA if the config reads that'
        )
    if os.path.isdir(path) and not any(os.scandir(path)):
        raise ValueError(f'{place}: {path!r} is empty; set it to where your data are')


def _steps(pipeline: Any) -> Iterator[Mapping]:
    """Steps of a pipeline, and those within a step such as TestTimeAug."""
    if isinstance(pipeline, list | tuple):
        for step in pipeline:
            yield from _steps(step)
    elif isinstance(pipeline, Mapping):
        yield pipeline
        yield from _steps(pipeline.get('transforms'))


def _check_steps(part: Mapping, kind: type, place: str) -> None:
    """Refuse a pipeline that hands no picture on, if all of its steps are known."""
    found = [
        find(TRANSFORMS, step.get('type')) for step in _steps(part.get('pipeline'))
    ]
    packages = {getattr(one, '__module__', '').partition('.')[0] for one in found}
    if not found or not packages <= _PACKAGES:
        return
    names = [getattr(one, '__name__', '') for one in found]
    shown = ', '.join(names)
    if not any(name.startswith('Pack') for name in names):
        raise ValueError(
            f'{place}.pipeline ({shown}) packs nothing: end it with PackInputs, '
            'PackPoseInputs or PackDetInputs'
        )
    reads = issubclass(kind, FERFolderDataset | CustomDataset)
    if reads and not any('Load' in name or 'Cache' in name for name in names):
        raise ValueError(
            f'{place}.pipeline ({shown}) loads no picture: begin it with '
            'LoadImageFromFile'
        )


def _check_classes(part: Mapping, place: str, cfg: Config) -> None:
    """Compare the classes that a data set names with the outputs of a classifier."""
    kind = find(DATASETS, part['type'])
    own = part.get('metainfo')
    named = part.get('classes') or (own or {}).get('classes')
    classes = named or getattr(kind, 'METAINFO', {}).get('classes')
    model = cfg.get('model')
    head = model.get('head') if isinstance(model, Mapping) else None
    outputs = head.get('num_classes') if isinstance(head, Mapping) else None
    if not isinstance(classes, list | tuple) or not isinstance(outputs, int):
        return
    if len(classes) > outputs:
        raise ValueError(
            f'model.head.num_classes is {outputs}, and {place} has {len(classes)} '
            f'classes: set model.head.num_classes={len(classes)}'
        )
