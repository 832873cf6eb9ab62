# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""PCK of the mean pose: what a model must beat to have learned anything."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from mmpose.datasets.transforms import GetBBoxCenterScale, TopdownAffine

from .heatmap_pck import found_keypoints, mean_share, true_cells


def mean_pose_pck(
    training: np.ndarray,
    poses: np.ndarray,
    size: tuple[int, int],
    threshold: float = 0.5,
) -> float | None:
    """``heatmap/PCK`` of a model that answers every image with the mean pose.

    Args:
        training: Cells of a heatmap, shape (N, K, 2), NaN where no keypoint is
            annotated: the poses to take the mean of, see :func:`poses_in_crops`.
        poses: The poses to find, in the same form.
        size: Width and height of the heatmap in cells.
        threshold: As of :class:`~hpml_mm.evaluation.heatmap_pck.HeatmapPCK`.

    Returns:
        0 to 1; None if there is no keypoint to find.
    """
    counts = np.isfinite(training).sum(axis=0)
    sums = np.nansum(training, axis=0)
    # Where nobody shows a keypoint, the middle.
    middle = np.broadcast_to(np.array(size) / 2, sums.shape)
    mean = np.divide(sums, counts, out=middle.copy(), where=counts > 0)
    mean = np.floor(mean + 0.5)
    return mean_share(
        np.stack([found_keypoints(mean, pose, size, threshold) for pose in poses])
    )


def poses_in_crops(
    dataset: Any, size: tuple[int, int], padding: float = 1.25
) -> np.ndarray:
    """Read where the keypoints of a data set of MMPose lie in its top-down crops.

    No image is read.

    Args:
        dataset: One with an object an item, read by ``get_data_info``.
        size: Width and height of the heatmap in cells; the crop has their ratio.
        padding: Size of a crop in that of its box.

    Returns:
        Cells of the heatmap, shape (N, K, 2); NaN where a keypoint is not annotated or
        not in the crop.
    """
    return np.stack(list(_poses(dataset, size, GetBBoxCenterScale(padding))))


def _poses(
    dataset: Any, size: tuple[int, int], box: GetBBoxCenterScale
) -> Iterable[np.ndarray]:
    for index in range(len(dataset)):
        info = box(dataset.get_data_info(index))
        scale = TopdownAffine._fix_aspect_ratio(info['bbox_scale'], size[0] / size[1])
        yield true_cells(
            info['keypoints'][0, :, :2],
            info['keypoints_visible'][0],
            info['bbox_center'][0],
            scale[0],
            size,
        )
