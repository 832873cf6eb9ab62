# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Share of keypoints found, for each keypoint by its name."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmpose.evaluation.functional import keypoint_pck_accuracy
from mmpose.evaluation.metrics import PCKAccuracy

from hpml_mm.registry import METRICS

from .oks import check_annotated


@METRICS.register_module()
class KeypointPCK(PCKAccuracy):
    """MMPose's PCK by the size of the box, at several distances, keypoint by keypoint.

    A keypoint is found if it lies nearer to the truth than ``threshold`` times the
    longer side of the true box. ``PCK@0.2/L_Eye`` is the share of all visible left
    eyes that are found, 0 to 1. ``PCK@0.2`` is the plain mean of these shares over
    the keypoints, so that a seldom visible one weighs as much as any other: the same
    number as ``mmpose.PCKAccuracy(thr=0.2)``, and not the share of all visible points.

    A keypoint that is visible nowhere in the data has no share. MMEngine can log no
    None, so its key is left out, and the mean runs over the others. Where nothing is
    visible at all there is no key.

    Args:
        thresholds: Shares of the box's longer side.
        collect_device: Where results of several processes meet, ``'cpu'`` or
            ``'gpu'``.
        prefix: Put before every key, with a slash.

    Raises:
        ValueError: If a threshold is not above 0, or there is none.
    """

    # Not None, or MMEngine warns that it is unset: the keys are complete already.
    default_prefix = ''
    name_patterns = ('PCK@*',)

    def __init__(
        self,
        thresholds: Sequence[float] = (0.05, 0.2),
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if not thresholds or min(thresholds) <= 0:
            raise ValueError(
                'KeypointPCK: thresholds must be shares of the box above 0, got '
                f'{thresholds}'
            )
        self.thresholds = tuple(thresholds)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the prediction, the truth and the size of the box of each sample.

        Raises:
            ValueError: If a sample comes from a detected box: its keypoints are
                placeholders, which MMPose marks as visible.
        """
        check_annotated(data_samples, type(self).__name__)
        super().process(data_batch, data_samples)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the shares.

        Args:
            results: What :meth:`process` has kept, one dict a sample.

        Returns:
            Shares by name, 0 to 1.
        """
        predicted, truth, visible, sizes = (
            np.concatenate([result[key] for result in results])
            for key in ('pred_coords', 'gt_coords', 'mask', 'bbox_size')
        )
        names = self.dataset_meta['keypoint_id2name']
        metrics = {}
        for threshold in self.thresholds:
            # MMPose writes into the sizes it is given.
            shares, mean, count = keypoint_pck_accuracy(
                predicted, truth, visible, threshold, sizes.copy()
            )
            if count == 0:  # MMPose's mean is 0 then
                continue
            metrics[f'PCK@{threshold:g}'] = float(mean)
            for index, share in enumerate(shares):
                if share >= 0:  # -1 where it is never visible
                    metrics[f'PCK@{threshold:g}/{names[index]}'] = float(share)
        return metrics
