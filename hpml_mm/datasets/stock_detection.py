# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Checks of the files that MMDetection's own data sets in COCO's form will read.

MMDetection fails on them in the midst of a run with an error that names no file, or
leaves out without a word what it does not know.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DATASETS, DefaultScope

from hpml_mm.config.lookup import find

from .coco_content import REMEDY, box_problems, checked_images, checked_maps
from .pose.coco_annotations import read_annotations
from .pose.coco_evidence import category_problem
from .pose.coco_problem import first_error
from .sources import leaves


def check_detection(cfg: Config, modes: Sequence[str]) -> None:
    """Check annotation files, images and maps of MMDetection's data sets.

    Data sets that only inherit from ``CocoDataset`` may read files of another form and
    are left alone, and so are files that are not on a disk.

    Args:
        cfg: Config of a run; nothing of it is built.
        modes: Of ``'train'``, ``'val'``, ``'test'`` those that will run.

    Raises:
        FileNotFoundError: A file, an image or a map is not there.
        ValueError: A file is malformed, or lacks a class that the config names.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        for mode in modes:
            for part, place in leaves(cfg, mode):
                if part.get('backend_args'):
                    continue
                kind = find(DATASETS, part['type'])
                # Not by an import: a run of faces has no MMDetection.
                module = getattr(kind, '__module__', '')
                name = getattr(kind, '__name__', '')
                if (module, name) == ('mmdet.datasets.coco', 'CocoDataset'):
                    _check_boxes(part, place)
                elif name == 'CocoPanopticDataset' and module.startswith('mmdet.'):
                    _check_panoptic(part)


def _check_boxes(part: Mapping, place: str) -> None:
    path = _path(part, part.get('ann_file'))
    if path is None:
        return
    test = part.get('test_mode')
    content = read_annotations(path, optional=('annotations',) if test else ())
    _check_categories(content, path, part, place)
    images = _images(content, path, part)
    categories = {each['id']: each for each in content['categories']}
    boxes = content['annotations']
    problems = list(box_problems(boxes, images, categories, empty=True))
    if problems:
        raise first_error(path, problems, REMEDY)


def _check_panoptic(part: Mapping) -> None:
    path = _path(part, part.get('ann_file'))
    if path is None:
        return
    images = _images(read_annotations(path), path, part)
    folder = _path(part, (part.get('data_prefix') or {}).get('seg'))
    if folder is not None:
        checked_maps(path, images, folder)


def _images(content: dict, path: str, part: Mapping) -> dict[int, dict]:
    folder = _path(part, (part.get('data_prefix') or {}).get('img') or '.')
    return checked_images(path, content['images'], folder or '')


def _check_categories(content: dict, path: str, part: Mapping, place: str) -> None:
    """Compare the classes of a config with those of its file."""
    problem = category_problem({**content, 'annotations': []})
    if problem:
        raise ValueError(f'{path}: {problem}')
    classes = (part.get('metainfo') or {}).get('classes')
    if not isinstance(classes, list | tuple):
        return
    listed = [each.get('name') for each in content['categories']]
    unknown = [name for name in classes if name not in listed]
    if unknown:
        raise ValueError(
            f'{place}.metainfo.classes has {unknown[0]!r}, which is no category of '
            f'{path}: {", ".join(map(str, listed))}'
        )
    ordered = [name for name in listed if name in classes]
    if ordered != list(classes):
        print_log(
            f'{place}.metainfo.classes is in another order than the categories of '
            f'{path}. MMDetection numbers them as the file does, so scores of single '
            f'classes would have wrong names: set it to {ordered}',
            logger='current',
            level=logging.WARNING,
        )


def _path(part: Mapping, value: str | None) -> str | None:
    """Path on a disk of a file or folder of a data set; None if it has none there."""
    if not value:
        return None
    path = str(Path(part.get('data_root') or '') / value)
    return None if '://' in f'{part.get("data_root")}{value}' else path
