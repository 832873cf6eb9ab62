# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Predictions drawn over their images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
from mmpretrain.structures import DataSample
from mmpretrain.visualization import UniversalVisualizer

from hpml_mm.datasets.image_io import read_image

from .predict import ClassPrediction, PosePrediction

#: Smaller images are enlarged for their drawing, or nothing could be read.
MIN_SIDE = 256


def draw_prediction(
    prediction: ClassPrediction | PosePrediction,
    metainfo: Mapping[str, Any],
    min_score: float,
) -> np.ndarray:
    """Draw a prediction over its image.

    Args:
        prediction: Of a file that is still there.
        metainfo: Of a pose: its skeleton and colours, under MMPose's names.
        min_score: Keypoints below it are small grey dots.

    Returns:
        RGB picture, uint8, its shorter side at least :data:`MIN_SIDE` pixels.
    """
    image = mmcv.bgr2rgb(read_image(prediction.image, 'color'))
    zoom = max(1.0, MIN_SIDE / min(image.shape[:2]))
    picture = cv2.resize(image, None, fx=zoom, fy=zoom)
    if isinstance(prediction, ClassPrediction):
        return _draw_class(picture, prediction)
    # Imports mmpose, which a classifier does without.
    from hpml_mm.visualization.pose_panel import draw_pose

    for one in prediction.objects:
        shown = one.scores >= min_score
        points, box = one.keypoints * zoom, np.array(one.box) * zoom
        picture = draw_pose(picture, points, shown, metainfo, box, faint=~shown)
    return picture


def write_drawing(picture: np.ndarray, path: Path) -> None:
    """Write an RGB picture; its folder is made where it is missing.

    Raises:
        OSError: If it cannot be written.
    """
    if not mmcv.imwrite(mmcv.rgb2bgr(picture), str(path)):
        raise OSError(f'cannot write {path}')


def _draw_class(picture: np.ndarray, prediction: ClassPrediction) -> np.ndarray:
    names, scores = zip(*prediction.scores.items(), strict=True)
    sample = DataSample().set_pred_score(np.array(scores, np.float32))
    sample.set_pred_label(int(np.argmax(scores)))
    visualizer = UniversalVisualizer(vis_backends=None)
    return visualizer.visualize_cls(picture, sample, classes=names, draw_gt=False)
