# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Checks of the files that MMPose's own data sets and metrics are going to read.

They change nothing: what this project's data sets would put right is an error here,
unless MMPose reads it as it is meant.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DATASETS, METRICS, DefaultScope, Registry
from mmpose.datasets import (
    CocoWholeBodyDataset,
    CocoWholeBodyFaceDataset,
    CrowdPoseDataset,
    MpiiDataset,
)
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.evaluation.metrics import CocoMetric, PoseTrack18Metric

from hpml_mm.config.lookup import find

from .checked_coco import CheckedCocoDataset
from .coco_annotations import check_detections, read_annotations, read_json
from .coco_checks import Form, check_annotations, sigmas_problem
from .coco_evidence import category_problem, file_problem
from .coco_images import ImageFolder
from .coco_problem import Problem, describe, first_error, first_not_finite, is_finite
from .coco_repairs import put_right_

_WHOLE_BODY = ('keypoints', 'foot_kpts', 'face_kpts', 'lefthand_kpts', 'righthand_kpts')
# MMPose leaves out such objects: public data sets have a few.
_LEFT_OUT = {'empty box', 'box outside the image', 'no box'}
# Of these xtcocotools cannot evaluate one.
_NEEDED = {'no box'}
_READ_ALIKE = {'num_keypoints of no labelled keypoints', 'num_keypoints as a number'}
# Of no matter where xtcocotools does not read the file.
_EVALUATED = {'no keypoints', 'nested keypoints', 'iscrowd null'}
_AREAS = {'area from the segmentation', 'area from the box'}
_REMEDY = 'mend the file, or read it with hpml_mm.CocoPoseDataset and your metainfo'
_OTHERWISE = f'MMPose reads it otherwise: {_REMEDY}'


def check_loaders(cfg: Config, modes: Sequence[str]) -> None:
    """Check the annotation files of MMPose's data sets in COCO's form, and MPII's.

    Each file is read once more than MMPose does: seconds for the whole of COCO. Files
    of this project's data sets are checked when they are loaded; here only the copies
    that a metric reads on its own.

    Args:
        cfg: Config of a run; nothing of it is built.
        modes: Of ``'train'``, ``'val'``, ``'test'`` those that will run.

    Raises:
        FileNotFoundError: A file or an image is not there.
        ValueError: MMPose would misread a file, or fail on it in the midst of a run.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        for mode in modes:
            loader = cfg.get(f'{mode}_dataloader')
            if not isinstance(loader, Mapping):
                continue
            datasets = list(
                _parts(loader.get('dataset'), DATASETS, BaseCocoStyleDataset)
            )
            metrics = [
                metric
                for metric in _parts(cfg.get(f'{mode}_evaluator'), METRICS, CocoMetric)
                if mode != 'train' and not _is(metric, METRICS, PoseTrack18Metric)
            ]
            paired = len(metrics) == len(datasets)
            for place, dataset in enumerate(datasets):
                own = metrics[place : place + 1] if paired else metrics
                _check(dataset, own, has_files=not _is_remote(loader))


def _parts(value: Any, registry: Registry, base: type) -> Iterator[Mapping]:
    """Configs of a class, at any depth."""
    if isinstance(value, Mapping):
        if _is(value, registry, base):
            yield value
            return
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _parts(each, registry, base)


def _is(part: Mapping, registry: Registry, base: type) -> bool:
    kind = find(registry, part['type']) if part.get('type') else None
    return isinstance(kind, type) and issubclass(kind, base)


def _is_remote(part: Any) -> bool:
    """True if images are loaded by a backend of one's own."""
    if isinstance(part, Mapping):
        backends = (part.get('backend_args'), part.get('file_client_args'))
        given = [b for b in backends if isinstance(b, Mapping)]
        return any(b.get('backend') != 'local' for b in given) or _is_remote(
            list(part.values())
        )
    return isinstance(part, list | tuple) and any(map(_is_remote, part))


def _check(part: Mapping, metrics: list[Mapping], has_files: bool) -> None:
    dataset = DATASETS.build({**part, 'lazy_init': True, 'pipeline': []})
    if problem := sigmas_problem(dataset.metainfo, needed=bool(metrics)):
        raise ValueError(f'{type(dataset).__name__}: {problem}')
    area = any(metric.get('use_area', True) for metric in metrics)
    for path in {metric['ann_file'] for metric in metrics if metric.get('ann_file')}:
        if path != dataset.ann_file or isinstance(dataset, CheckedCocoDataset):
            _StockFile(path, Form(None, shares=True), True, area).check()
    if isinstance(dataset, CheckedCocoDataset):
        # Its content is checked when it is loaded; here, that it can be read at all.
        read_json(dataset.ann_file, 'annotation file', 'set ann_file')
        return
    files = ImageFolder(dataset.data_prefix.get('img', '')) if has_files else None
    if isinstance(dataset, MpiiDataset):
        content = read_json(dataset.ann_file, 'annotation file', 'set ann_file')
        found = mpii_problem(content, dataset.metainfo['num_keypoints'], files)
        if found:
            raise first_error(dataset.ann_file, [found], 'mend the file')
    form = _form(dataset)
    if form is None:
        return
    alike = _READ_ALIKE
    if isinstance(dataset, CrowdPoseDataset):  # counts only keypoints in sight
        alike = {*alike, 'num_keypoints of labelled keypoints'}
    file = _StockFile(dataset.ann_file, form, bool(metrics), area, alike)
    file.check(files, dataset.metainfo, dataset.bbox_file)


def _form(dataset: BaseCocoStyleDataset) -> Form | None:
    """Form of a data set's annotations; None if its file is not in COCO's form."""
    base, kind = BaseCocoStyleDataset, type(dataset)
    number = dataset.metainfo['num_keypoints']
    if kind._load_annotations is not base._load_annotations:
        return None
    if isinstance(dataset, CocoWholeBodyDataset):
        return Form(number, _WHOLE_BODY, shares=True)
    if isinstance(dataset, CocoWholeBodyFaceDataset):
        return Form(number, ('face_kpts',), boxes=False, shares=True)
    if kind.parse_data_info is not base.parse_data_info:
        return Form(None, boxes=False, shares=True)
    return Form(number, shares=True)


class _StockFile:
    """Annotation file that MMPose or xtcocotools reads by itself.

    Args:
        path: The file.
        form: Form that its annotations must have.
        evaluated: True if xtcocotools evaluates on it.
        area: True if it then uses areas.
        alike: Kinds of entries that are read as they are meant.
    """

    def __init__(
        self,
        path: str,
        form: Form,
        evaluated: bool,
        area: bool,
        alike: set[str] = _READ_ALIKE,
    ) -> None:
        self.path = path
        self.form = form
        self.evaluated = evaluated
        self.area = area and evaluated
        self.left_out = _LEFT_OUT - _NEEDED if evaluated else _LEFT_OUT
        self.harmless = alike | (set() if evaluated else _EVALUATED)
        self.harmless |= set() if self.area else _AREAS

    def check(
        self,
        files: ImageFolder | None = None,
        metainfo: Mapping | None = None,
        boxes: str | None = None,
    ) -> None:
        """Read and check the file, with its images, names and detected boxes."""
        optional = [] if self.evaluated else ['categories']
        optional += ['annotations'] if boxes else []
        content = read_annotations(self.path, optional)
        self.refuse(put_right_(content, self.form.num_keypoints, files), _OTHERWISE)
        names = (metainfo or {}).get('keypoint_id2name', {})
        ordered = [names[index] for index in range(len(names))]
        self.raise_(category_problem(content, ordered))
        if not self.evaluated:  # MMPose trains on any category
            used = {each.get('category_id') for each in content['annotations']}
            content['categories'] = [{'id': number} for number in used]
        kept, problems = check_annotations(content, self.form, files)
        if problems and not kept['annotations']:
            self.left_out = set()
        self.refuse(problems, _REMEDY)
        if boxes:
            check_detections(boxes, {each['id'] for each in content['images']})
        else:
            self.raise_(file_problem(kept, self.area))

    def refuse(self, problems: list[Problem], remedy: str) -> None:
        """Raise the first problem that matters, and count objects that are left out."""
        bad = [p for p in problems if p.kind not in self.harmless | self.left_out]
        if bad:
            if bad[0].kind in _AREAS:
                remedy += ', or set use_area=False in the metric'
            raise first_error(self.path, bad, remedy)
        left_out = [p for p in problems if p.kind in self.left_out]
        if left_out:
            missed = ', and counts them as missed' if self.evaluated else ''
            print_log(
                f'{self.path}: MMPose leaves out {describe(left_out)}{missed}',
                logger='current',
                level=logging.WARNING,
            )

    def raise_(self, problem: str | None) -> None:
        """Raise the problem of the whole file, if there is one."""
        if problem:
            raise ValueError(f'{self.path}: {problem}')


def mpii_problem(
    content: Any, num_keypoints: int, files: ImageFolder | None
) -> Problem | None:
    """Find the first bad entry of a file of MPII's form.

    Args:
        content: List of ``dict(image=, center=, scale=, joints=, joints_vis=)``.
        num_keypoints: Number of keypoints of each entry.
        files: Folder of the images; None if they cannot be looked for.
    """
    if not isinstance(content, list) or not content:
        return Problem('form', 'the file', 'is no list of persons as MPII has it')
    for place, entry in enumerate(content):
        name = f'entry {place}'
        if not isinstance(entry, dict):
            return Problem('form', name, f'is no object but {entry!r:.40}')
        text = _entry_problem(entry, num_keypoints)
        if text:
            return Problem('entry', name, text)
        if files is not None and not files.has(entry['image']):
            path = files.path(entry['image'])
            text = f'names {path!r}, which is not on disk; look at data_prefix'
            return Problem('image not on disk', name, text, FileNotFoundError)
    return None


def _entry_problem(entry: dict, num_keypoints: int) -> str | None:
    image, scale = entry.get('image'), entry.get('scale')
    # MMPose takes the number before the first dot for the image's id.
    if not isinstance(image, str) or not image.partition('.')[0].isdecimal():
        return (
            f'has the image {image!r}, not a number and a suffix such as 015601864.jpg'
        )
    if not is_finite(scale) or scale <= 0:
        return f'has the scale {scale!r}, not a size in 200 pixels'
    if not _is_point(entry.get('center')):
        return f'has the center {entry.get("center")!r:.40}, not x, y'
    joints, seen = entry.get('joints'), entry.get('joints_vis')
    if not isinstance(joints, list) or len(joints) != num_keypoints:
        return f'has joints that are no list of {num_keypoints} points'
    bad = next((joint for joint in joints if not _is_point(joint)), None)
    if bad is not None:
        return f'has the joint {bad!r:.40}, not x, y'
    if not isinstance(seen, list) or len(seen) != num_keypoints:
        return f'has joints_vis that are no list of {num_keypoints} numbers'
    if any(each not in (0, 1) for each in seen):
        return f'has joints_vis {seen!r:.60}, not 0 or 1 each'
    return None


def _is_point(value: Any) -> bool:
    pair = isinstance(value, list) and len(value) == 2
    return pair and first_not_finite(value) is None
