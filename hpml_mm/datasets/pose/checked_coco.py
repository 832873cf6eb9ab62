# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""MMPose's COCO-style data set with every annotation checked while loading."""

import atexit
import json
import logging
import os
import pickle
import shutil
import tempfile
from collections.abc import Mapping

from mmengine.logging import MessageHub, print_log
from mmpose.datasets.datasets.base import BaseCocoStyleDataset

from .coco_annotations import check_detections, read_annotations, select_category
from .coco_checks import Form, check_annotations, sigmas_problem
from .coco_evidence import category_problem, file_problem
from .coco_images import ImageFolder
from .coco_problem import Problem, describe, first_error
from .coco_repairs import put_right_

# What transforms and models need of the metainfo: MMPose's own list.
_ITEM_METAINFO = (
    'dataset_name',
    'upper_body_ids',
    'lower_body_ids',
    'flip_pairs',
    'dataset_keypoint_weights',
    'flip_indices',
    'skeleton_links',
)


class CheckedCocoDataset(BaseCocoStyleDataset):
    """Keypoints in COCO's format, with every annotation checked.

    A bad annotation is an error that names file and id, see
    :func:`~hpml_mm.datasets.pose.coco_checks.check_annotations`, and so is a file whose
    coordinates cannot be meant, see
    :func:`~hpml_mm.datasets.pose.coco_evidence.file_problem`. Entries that mean one
    thing, however they are written, are put right and counted in the log, see
    :mod:`~hpml_mm.datasets.pose.coco_repairs`. Annotations that MMPose leaves out
    rightly, crowds and those without a labelled keypoint, are counted there too. Sizes
    of images are compared with those of their files, of up to
    :data:`~hpml_mm.datasets.pose.coco_images.SIZES_READ` images.

    In test mode, where only a part of the file is used or something was put right,
    ``CocoMetric`` evaluates on that, unless the metric has an ``ann_file`` of its own.

    Args:
        ann_file: Annotation file, relative to ``data_root``.
        on_error: What to do with a bad annotation: ``'raise'`` or ``'skip'``, which
            leaves it out, counts it in :attr:`num_skipped` and logs one line. A bad
            ``bbox_file`` is an error in any case.
        **kwargs: Passed to :class:`mmpose.datasets.BaseCocoStyleDataset`.

    Raises:
        FileNotFoundError: The file or an image of it is not there.
        ValueError: A file is malformed, an annotation is bad, or none is left.
    """

    ann_file: str

    category: str | None = None
    """Name of the one category to use, None for all."""

    size_remedies: Mapping[int, str] = {}
    """Settings for files with other numbers of keypoints."""

    def __init__(self, ann_file: str = '', on_error: str = 'raise', **kwargs) -> None:
        if on_error not in ('raise', 'skip'):
            raise ValueError(f"on_error must be 'raise' or 'skip', not {on_error!r}")
        self.on_error = on_error
        self.num_skipped = 0
        self._used_file: str | None = None
        self._notes: list[Problem] = []
        self._item_metainfo: bytes | None = None
        super().__init__(ann_file=ann_file, **kwargs)
        # MMPose has just named the whole file to CocoMetric.
        self._set_metric_file()

    def get_data_info(self, idx: int) -> dict:
        """Read an item, with the metainfo that transforms and models need.

        MMPose copies that metainfo deeply, which takes longer than to read the item.
        Unpickling gives as separate a copy in a tenth of the time.
        """
        info = super(BaseCocoStyleDataset, self).get_data_info(idx)
        if self._item_metainfo is None:
            chosen = {key: self._metainfo[key] for key in _ITEM_METAINFO}
            self._item_metainfo = pickle.dumps(chosen)
        info.update(pickle.loads(self._item_metainfo))
        return info

    def select(self, content: dict) -> dict:
        """Choose a part of the annotation file before it is checked."""
        if self.category is None:
            return content
        return select_category(content, self.category, self.ann_file)

    def _load_annotations(self) -> tuple[list[dict], list[dict]]:
        content = self._checked(self._read())
        if not content['annotations']:
            raise ValueError(
                f'{self.ann_file} holds no annotation that can be used; '
                f'{self.num_skipped:,} were left out'
            )
        self._raise(file_problem(content, area=self.test_mode))
        self._metainfo['CLASSES'] = content['categories']
        by_image: dict[int, list[dict]] = {}
        for annotation in content['annotations']:
            # As xtcocotools reads it.
            annotation.setdefault('iscrowd', 0)
            by_image.setdefault(annotation['image_id'], []).append(annotation)
        instances, images = [], []
        for image in content['images']:
            if image['id'] % self.sample_interval:
                continue
            path = os.path.join(self.data_prefix['img'], image['file_name'])
            images.append({**image, 'img_id': image['id'], 'img_path': path})
            instances += [
                self.parse_data_info({'raw_ann_info': each, 'raw_img_info': images[-1]})
                for each in by_image.get(image['id'], ())
            ]
        return instances, images

    def _get_topdown_data_infos(self, instance_list: list[dict]) -> list[dict]:
        used = super()._get_topdown_data_infos(instance_list)
        if len(used) < len(instance_list):
            print_log(
                f'{self.ann_file}: {len(instance_list) - len(used):,} of '
                f'{len(instance_list):,} annotations are crowds or have no labelled '
                'keypoint, and are not used',
                logger='current',
            )
        return used

    def _load_detection_results(self) -> list[dict]:
        whole = self._read(labelled=False)
        image_ids = {each['id'] for each in self._checked(whole)['images']}
        check_detections(self.bbox_file, {each.get('id') for each in whole['images']})
        original = self.ann_file
        if self._notes:  # MMPose reads the file itself
            self.ann_file = _write_temporary(whole)
        try:
            found = super()._load_detection_results()
        finally:
            self.ann_file = original
        used = [each for each in found if each['img_id'] in image_ids]
        if not used:
            raise ValueError(
                f'{self.bbox_file} has no box of category 1, the only one that MMPose '
                f'reads, in any image that is used of {self.ann_file}'
            )
        return used

    def _read(self, labelled: bool = True) -> dict:
        """Read the annotation file, and put right what means one thing."""
        self._raise(sigmas_problem(self.metainfo))
        # Images to be detected on need no annotations.
        optional = () if labelled else ('annotations',)
        content = read_annotations(self.ann_file, optional)
        self._files = ImageFolder(self.data_prefix['img'])
        number = self.metainfo['num_keypoints']
        self._notes = put_right_(content, number, self._files)
        if self._notes:
            print_log(
                f'{self.ann_file}: put right in {len(self._notes):,} places: '
                f'{describe(self._notes)}',
                logger='current',
                level=logging.WARNING,
            )
        names = self.metainfo['keypoint_id2name']
        ordered = [names[index] for index in range(len(names))]
        self._raise(category_problem(content, ordered))
        return content

    def _raise(self, problem: str | None) -> None:
        if problem:
            raise ValueError(f'{self.ann_file}: {problem}')

    def _checked(self, whole: dict) -> dict:
        """Choose the part of the annotation file that is used, without bad entries."""
        chosen = self.select(whole)
        if _is_part(chosen, whole):
            print_log(
                f'{self.ann_file}: chose {len(chosen["images"]):,} of '
                f'{len(whole["images"]):,} images and {len(chosen["annotations"]):,} '
                f'of {len(whole["annotations"]):,} annotations',
                logger='current',
            )
        form = Form(self.metainfo['num_keypoints'], remedies=self.size_remedies)
        content, problems = check_annotations(chosen, form, self._files)
        self.num_skipped = len(chosen['annotations']) - len(content['annotations'])
        self._report(problems)
        if self.test_mode and (self._notes or _is_part(content, whole)):
            self._used_file = _write_temporary(content)
            self._set_metric_file()
        return content

    def _report(self, problems: list[Problem]) -> None:
        if not problems:
            return
        if self.on_error == 'raise':
            remedy = "on_error='skip' leaves bad annotations out"
            raise first_error(self.ann_file, problems, remedy)
        print_log(
            f'{self.ann_file}: left out {self.num_skipped:,} bad annotations: '
            f'{describe(problems)}',
            logger='current',
            level=logging.WARNING,
        )

    def _set_metric_file(self) -> None:
        """Set the file that ``CocoMetric`` evaluates on, in MMEngine's message hub."""
        if self._used_file:
            key = f'{self.metainfo["dataset_name"]}_ann_file'
            MessageHub.get_current_instance().update_info(key, self._used_file)


def _is_part(content: Mapping, whole: Mapping) -> bool:
    return any(len(content[key]) < len(whole[key]) for key in ('images', 'annotations'))


def _write_temporary(content: dict) -> str:
    """Write annotations to a file that is removed when this process ends."""
    folder = tempfile.mkdtemp(prefix='hpml_mm_')
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = os.path.join(folder, 'annotations.json')
    with open(path, 'w') as file:
        json.dump(content, file)
    return path
