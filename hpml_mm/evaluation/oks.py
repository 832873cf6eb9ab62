# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Object keypoint similarity (OKS), on which COCO's AP of poses is based."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from mmpose.structures import PoseDataSample
from numpy.typing import ArrayLike

#: COCO's stand-in for the area of an object that has a box only, as a share of it.
SHARE_OF_BOX = 0.53


def oks(
    predicted: np.ndarray,
    truth: np.ndarray,
    visible: np.ndarray,
    area: ArrayLike,
    sigmas: ArrayLike,
) -> np.ndarray:
    """Similarity of N predicted poses to the N true ones, pair by pair.

    ``mean over visible keypoints of exp(-d^2 / (2 s k^2))``, with the distance d in
    pixels, the area s in square pixels and ``k = 2 sigma``: see
    https://cocodataset.org/#keypoints-eval. It equals ``COCOeval.computeOks`` of
    xtcocotools, except that an object without a visible keypoint has none: COCO then
    compares with its box, and leaves the object out of AP.

    Args:
        predicted: Pixels, shape (N, K, 2).
        truth: Pixels, shape (N, K, 2).
        visible: True if a keypoint is labelled in the truth, hidden or not, shape
            (N, K).
        area: Square pixels of each true object, shape (N,). What an annotation calls
            its area decides how strict the measure is: COCO's is that of the segment,
            about half the box, many animal data sets' is the whole box, and then the
            same distance costs half as much in the exponent.
        sigmas: Standard deviation of the annotators for each keypoint, as a share
            of the square root of the area, shape (K,).

    Returns:
        0 to 1 for each pair, shape (N,); NaN where no keypoint is visible.

    Raises:
        ValueError: If the shapes do not agree.
    """
    predicted, truth = np.asarray(predicted, float), np.asarray(truth, float)
    visible, area = np.asarray(visible).astype(bool), np.asarray(area, float)
    sigmas = np.asarray(sigmas, float)
    _check_shapes(predicted, truth, visible, area, sigmas)
    squares = np.square(predicted - truth).sum(axis=2)
    # xtcocotools adds the spacing too, for an object of no area.
    denominator = 2 * np.square(2 * sigmas) * (area + np.spacing(1))[:, None]
    similar = np.where(visible, np.exp(-squares / denominator), 0).sum(axis=1)
    count = visible.sum(axis=1)
    result = np.full(len(area), np.nan)
    np.divide(similar, count, out=result, where=count > 0)
    return result


def object_area(annotation: Mapping[str, Any]) -> float:
    """Find the area of a COCO annotation in square pixels, or else of its box.

    Without ``area`` it is the box's times .53, as ``CocoMetric(use_area=False)`` has.
    """
    if 'area' in annotation:
        return float(annotation['area'])
    _, _, width, height = annotation['bbox']
    return float(SHARE_OF_BOX * width * height)


def check_annotated(data_samples: Iterable[PoseDataSample | Mapping], who: str) -> None:
    """Refuse samples of detected boxes.

    MMPose gives them keypoints too: all zero, and all marked as visible.

    Args:
        data_samples: Samples with a prediction.
        who: What wants to compare, for the message.

    Raises:
        ValueError: If a sample has no annotation of its own.
    """
    for data_sample in data_samples:
        if 'raw_ann_info' not in data_sample:
            raise ValueError(
                f'{who}: sample {data_sample.get("id")} of '
                f'{data_sample.get("img_path")} has no annotation to compare with. '
                "The boxes of a data set's bbox_file have none: leave bbox_file out, "
                'or evaluate them with CocoMetric alone. Elsewhere PackPoseInputs '
                "needs 'raw_ann_info' among its meta_keys"
            )


def _check_shapes(
    predicted: np.ndarray,
    truth: np.ndarray,
    visible: np.ndarray,
    area: np.ndarray,
    sigmas: np.ndarray,
) -> None:
    """Refuse shapes that disagree; broadcasting would accept some of them."""
    shape = (len(area), len(sigmas))
    if not (predicted.shape == truth.shape == (*shape, 2) and visible.shape == shape):
        raise ValueError(
            f'oks: {len(area)} areas and {len(sigmas)} sigmas need poses of shape '
            f'{(*shape, 2)} and visibilities of shape {shape}, got '
            f'{predicted.shape}, {truth.shape} and {visible.shape}'
        )
