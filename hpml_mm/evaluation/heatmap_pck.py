# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Share of keypoints found, by the peaks of heatmaps."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmpose.evaluation.functional import keypoint_pck_accuracy

from hpml_mm.registry import METRICS

from .oks import check_annotated


@METRICS.register_module()
class HeatmapPCK(BaseMetric):
    """PCK of the peaks of heatmaps, as AIO-P's labels of pose estimation measure it.

    A keypoint is found if the peak of its heatmap lies nearer to the cell of the truth
    than ``threshold`` times a tenth of the heatmap's height. ``heatmap/PCK`` is the
    mean over images of the share of each image's keypoints that are found: the source
    validates one image at a time. ``heatmap/PCK/neck`` is the share of the images with
    a neck in which it is found. Keypoints that are not annotated, or lie outside the
    crop, are not counted, and neither are images without any other.

    With ``model.test_cfg.flip_test`` the heatmaps are the means of those of the image
    and of its mirror image, as in the source. It leaves out keypoints in the first row
    or column of the crop too.

    Args:
        threshold: In tenths of the heatmap's height.
        keypoints: Names of those that ``heatmap/PCK`` is the mean of; None for all.
            The source's on MPII are ankles, knees, hips, elbows and wrists.
        collect_device: Where results of several processes meet, ``'cpu'`` or
            ``'gpu'``.
        prefix: Put before every key, with a slash, in place of ``heatmap``.

    Raises:
        ValueError: ``threshold`` is not above 0.
    """

    default_prefix = 'heatmap'
    name_patterns = ('PCK', 'PCK/*')

    def __init__(
        self,
        threshold: float = 0.5,
        keypoints: Sequence[str] | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if threshold <= 0:
            raise ValueError(f'HeatmapPCK: threshold is {threshold}; it is above 0')
        self.threshold = threshold
        self.keypoints = keypoints

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep which keypoints of each sample are found: 1, 0, or -1 if not counted.

        Raises:
            ValueError: A sample comes from a detected box, or has no heatmaps.
        """
        check_annotated(data_samples, type(self).__name__)
        for sample in data_samples:
            if 'pred_fields' not in sample:
                raise ValueError(
                    'HeatmapPCK: the model gives no heatmaps: set '
                    'model.test_cfg.output_heatmaps=True'
                )
            heatmaps = sample['pred_fields']['heatmaps'].float().cpu().numpy()
            size = heatmaps.shape[2], heatmaps.shape[1]
            places, truth = _peaks(heatmaps), _truth(sample, size)
            self.results.append(found_keypoints(places, truth, size, self.threshold))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the shares, 0 to 1, from what :meth:`process` has kept.

        Raises:
            ValueError: There is no keypoint of such a name.
        """
        names = self.dataset_meta['keypoint_id2name']
        names = [names[index] for index in range(len(names))]
        wanted = names if self.keypoints is None else self.keypoints
        if unknown := set(wanted) - set(names):
            raise ValueError(
                f'HeatmapPCK: there is no keypoint {sorted(unknown)[0]!r} of these: '
                f'{", ".join(names)}'
            )
        found = np.stack(results)
        mean = mean_share(found[:, [names.index(name) for name in wanted]])
        metrics = {} if mean is None else {'PCK': mean}
        for index, name in enumerate(names):
            share = mean_share(found[:, [index]])
            if share is not None:
                metrics[f'PCK/{name}'] = share
        return metrics


def found_keypoints(
    places: np.ndarray,
    truth: np.ndarray,
    size: tuple[int, int],
    threshold: float = 0.5,
) -> np.ndarray:
    """Find out which keypoints of a pose are found.

    Args:
        places: Cells of the heatmap, x and y, shape (K, 2).
        truth: The true ones, NaN where none is to be counted.
        size: Width and height of the heatmap in cells.
        threshold: In tenths of the height.

    Returns:
        1 or 0 for each keypoint, and -1 for those that are not counted, shape (K,).
    """
    visible = np.isfinite(truth).all(axis=1)
    tenth = np.full((1, 2), size[1] / 10)
    shares, _, _ = keypoint_pck_accuracy(
        places[None], truth[None], visible[None], threshold, tenth
    )
    return shares


def mean_share(found: np.ndarray) -> float | None:
    """Mean over rows of the mean over a row's entries that are counted, not -1.

    None if none is.
    """
    shares = np.ma.masked_less(found, 0).mean(axis=1)
    return float(shares.mean()) if shares.count() else None


def true_cells(
    keypoints: np.ndarray,
    visible: np.ndarray,
    center: np.ndarray,
    scale: np.ndarray,
    size: tuple[int, int],
) -> np.ndarray:
    """Cells of a heatmap in which annotated keypoints lie, as ``MSRAHeatmap`` has them.

    Args:
        keypoints: Pixels of the image, shape (K, 2).
        visible: Above 0 for those that are annotated, shape (K,).
        center: Of the crop, in pixels of the image, shape (2,).
        scale: Width and height of the crop, in pixels of the image, shape (2,).
        size: Width and height of the heatmap in cells.

    Returns:
        Whole numbers x and y, shape (K, 2); NaN where a keypoint is not annotated or
        not in the crop.
    """
    cells = np.floor(((keypoints - center) / scale + 0.5) * size + 0.5)
    inside = (cells >= 0).all(axis=1) & (cells < size).all(axis=1)
    cells[~(inside & (np.asarray(visible) > 0))] = np.nan
    return cells


def _truth(sample: Mapping, size: tuple[int, int]) -> np.ndarray:
    """True cells of a sample of one object."""
    truth = sample['gt_instances']
    keypoints, visible = truth['keypoints'], truth['keypoints_visible']
    # With weights for the loss, it has two numbers for a keypoint.
    visible = np.reshape(visible, (*keypoints.shape[1:2], -1))[:, 0]
    center, scale = np.ravel(sample['input_center']), np.ravel(sample['input_scale'])
    return true_cells(keypoints[0, :, :2], visible, center, scale, size)


def _peaks(heatmaps: np.ndarray) -> np.ndarray:
    """Cells of the largest values, x and y, shape (K, 2)."""
    rows, columns = np.unravel_index(
        heatmaps.reshape(len(heatmaps), -1).argmax(axis=1), heatmaps.shape[1:]
    )
    return np.stack([columns, rows], axis=1)
