# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""COCO's annotation files, as MMPose reads them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import coco


class COCO(coco.COCO):
    """Annotations of a file.

    Args:
        annotation_file: File; without it nothing is read.
        test_index: Keypoints to keep; None keeps all.
        ann_data: Content of the file, if it has been read already.
    """

    def __init__(
        self,
        annotation_file: str | None = None,
        test_index: Sequence[int] | None = None,
        ann_data: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(annotation_file if ann_data is None else None)
        if ann_data is not None:
            self.dataset = ann_data
            self.createIndex()
        self.anno_file: list[Any] = [annotation_file]
        self.test_index = test_index
        for annotation in self.dataset.get('annotations', ()):
            annotation.setdefault('iscrowd', False)
            if test_index is not None:
                points = np.array(annotation['keypoints']).reshape(-1, 3)
                annotation['keypoints'] = points[list(test_index)].ravel().tolist()

    def loadRes(
        self,
        resFile: str | np.ndarray | list[dict[str, Any]],
        resData: list[dict[str, Any]] | None = None,
    ) -> coco.COCO:
        """Detections as annotations of the same images; there may be none.

        Args:
            resFile: File, array of boxes, or list of detections.
            resData: Content of the file, if it has been read already.
        """
        found: Any = resFile
        if isinstance(resFile, str):
            found = (
                json.loads(Path(resFile).read_text()) if resData is None else resData
            )
        if len(self.anno_file) == 1:
            self.anno_file.append(resFile)
        if not (isinstance(found, list) and not found):
            return super().loadRes(found)
        result = coco.COCO()
        result.dataset = {'images': list(self.dataset['images']), 'annotations': []}
        result.createIndex()
        return result
