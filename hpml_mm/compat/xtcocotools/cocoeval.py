# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""COCO's evaluation of keypoints: any of them, whole bodies, crowds, no areas.

It equals that of xtcocotools 1.14.3, with which a test compares it.
"""

import contextlib
import io
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from pycocotools import cocoeval
from pycocotools.coco import COCO

BOX_SHARE = 0.53  # of an object that has no area
PARTS = ('foot', 'face', 'lefthand', 'righthand')
FIELDS: dict[str, tuple[str, ...]] = {
    f'keypoints_{part}': (f'{part}_kpts',) for part in PARTS
}
FIELDS['keypoints_wholebody'] = ('keypoints', *(f'{part}_kpts' for part in PARTS))
#: Bounds between CrowdPose's easy, medium and hard images.
CROWD_BOUNDS = (0.2, 0.8)
CROWD_DETECTIONS = 20


class COCOeval(cocoeval.COCOeval):
    """Evaluation of detections.

    Args:
        cocoGt: Ground truth.
        cocoDt: Detections.
        iouType: ``segm``, ``bbox``, ``keypoints``, ``keypoints_crowd`` (CrowdPose), or
            a part of a whole body: ``keypoints_`` and ``body``, ``foot``, ``face``,
            ``lefthand``, ``righthand`` or ``wholebody``.
        sigmas: Deviation of each keypoint; None for those of COCO's 17.
        use_area: False where the ground truth has no areas.
    """

    evalImgs: list[Any]

    def __init__(
        self,
        cocoGt: COCO | None = None,
        cocoDt: COCO | None = None,
        iouType: str = 'keypoints',
        sigmas: Sequence[float] | np.ndarray | None = None,
        use_area: bool = True,
    ) -> None:
        of_keypoints = 'keypoints' in iouType
        super().__init__(cocoGt, cocoDt, 'keypoints' if of_keypoints else iouType)
        self.keypoint_type = iouType if of_keypoints else None
        if of_keypoints and sigmas is not None:
            self.params.kpt_oks_sigmas = np.asarray(sigmas)
        self.use_area = use_area

    def _prepare(self) -> None:
        if self.keypoint_type is None:
            super()._prepare()
        else:
            self._gts = grouped(map(self._object, self._chosen(self.cocoGt)))
            detections = map(self._detection, self._chosen(self.cocoDt))
            self._dts = grouped(one for one in detections if _visible(one))
        # pycocotools takes 0 for no match, and MMPose's ids may begin at 0.
        for groups in (self._gts, self._dts):
            for key, group in groups.items():
                groups[key] = [{**one, 'id': one['id'] + 1} for one in group]

    def _chosen(self, source: COCO) -> list[dict[str, Any]]:
        p = self.params
        categories = p.catIds if p.useCats else []
        return source.loadAnns(source.getAnnIds(imgIds=p.imgIds, catIds=categories))

    def _fields(self) -> tuple[str, ...]:
        return FIELDS.get(str(self.keypoint_type), ('keypoints',))

    def _object(self, annotation: dict[str, Any]) -> dict[str, Any]:
        """Copy of an annotation, with keypoints, area and number of the part."""
        one = {**annotation, 'keypoints': _joined(annotation, self._fields())}
        if not self.use_area:
            one['area'] = one['bbox'][2] * one['bbox'][3] * BOX_SHARE
        crowd = self.keypoint_type == 'keypoints_crowd'
        visible = annotation['num_keypoints'] if crowd else _visible(one)
        one['ignore'] = visible == 0 or annotation.get('iscrowd', False)
        return one

    def _detection(self, annotation: dict[str, Any]) -> dict[str, Any]:
        """Copy of a detection, with keypoints and score of the part."""
        fields = self._fields()
        one = {**annotation, 'keypoints': _joined(annotation, fields)}
        if fields != ('keypoints',):
            name = f'{str(self.keypoint_type).removeprefix("keypoints_")}_score'
            if name not in annotation:
                warnings.warn(f'{name!r} not found: using score', stacklevel=2)
            one['score'] = annotation.get(name, annotation['score'])
        return one

    def evaluateImg(
        self,
        imgId: int,
        catId: int,
        aRng: Sequence[float],
        maxDet: int,
    ) -> dict[str, Any] | None:
        """Match the detections of an image; -1 stands for no match."""
        found = super().evaluateImg(imgId, catId, aRng, maxDet)
        if found is None:
            return None
        for name in ('dtMatches', 'gtMatches'):
            found[name] = found[name].astype(np.int64) - 1
        for name in ('dtIds', 'gtIds'):
            found[name] = [number - 1 for number in found[name]]
        return found

    def accumulate(self, p: cocoeval.Params | None = None) -> None:
        """Compute precision and recall of all images together."""
        kept = self.evalImgs
        self.evalImgs = [
            one and {**one, 'dtMatches': one['dtMatches'] >= 0} for one in kept
        ]
        try:
            super().accumulate(p)
        finally:
            self.evalImgs = kept

    def summarize(self) -> None:
        """Print the averages, and keep them in ``stats``."""
        if self.keypoint_type != 'keypoints_crowd':
            super().summarize()
            return
        found = [
            self._mean(name, threshold)
            for name in ('precision', 'recall')
            for threshold in (None, 0.5, 0.75)
        ]
        easy, hard = CROWD_BOUNDS
        groups: tuple[list[int], ...] = ([], [], [])
        for key, image in self.cocoGt.imgs.items():
            index = image['crowdIndex']
            groups[int(index >= easy) + int(index >= hard)].append(key)
        self.stats = np.array(found + [self._precision(images) for images in groups])
        names = (
            'AP',
            'AP .5',
            'AP .75',
            'AR',
            'AR .5',
            'AR .75',
            'easy',
            'medium',
            'hard',
        )
        print(', '.join(f'{n} {v:.3f}' for n, v in zip(names, self.stats, strict=True)))

    def _mean(self, name: str, threshold: float | None) -> float:
        """Mean of ``precision`` or ``recall`` over all sizes; -1 of none."""
        p = self.params
        values = self.eval[name]
        if threshold is not None:
            values = values[np.where(threshold == p.iouThrs)[0]]
        values = values[
            ..., p.areaRngLbl.index('all'), p.maxDets.index(CROWD_DETECTIONS)
        ]
        values = values[values > -1]
        return float(values.mean()) if values.size else -1.0

    def _precision(self, images: list[int]) -> float:
        self.params.imgIds = images
        with contextlib.redirect_stdout(io.StringIO()):
            self.evaluate()
            self.accumulate()
        return round(float(np.mean(self.eval['precision'][:, :, :, 0, :])), 4)


def grouped(annotations: Iterable[dict[str, Any]]) -> defaultdict[tuple, list]:
    """Annotations by image and category."""
    groups: defaultdict[tuple, list] = defaultdict(list)
    for one in annotations:
        groups[one['image_id'], one['category_id']].append(one)
    return groups


def _joined(annotation: dict[str, Any], fields: Sequence[str]) -> list[float]:
    return [number for field in fields for number in annotation[field]]


def _visible(annotation: dict[str, Any]) -> int:
    return int(np.count_nonzero(np.asarray(annotation['keypoints'])[2::3] > 0))
