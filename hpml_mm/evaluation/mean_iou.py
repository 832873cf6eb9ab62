# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Mean intersection over union of semantic maps, beside that of one class alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from hpml_mm.registry import METRICS

from . import functional as F


@METRICS.register_module()
class MeanIoU(BaseMetric):
    """Metrics of semantic maps over all pixels of a data set, in percent.

    The keys are ``mIoU``, the plain mean over classes; ``IoU/<class>``;
    ``accuracy/pixel``; and ``mIoU/all_<class>``, which a map of nothing but the most
    frequent class reaches: a network below it has learned nothing. Classes that
    neither occur nor are predicted have no IoU and are in no mean.

    MMDetection's ``SemSegMetric`` averages the recalls of classes under the name of
    pixel accuracy, and rounds to two decimals.

    Args:
        ignore_index: Label of pixels that count nowhere.
        collect_device: Where results of several processes meet, ``'cpu'`` or
            ``'gpu'``.
        collect_dir: Folder in which they meet on the CPU; a temporary one if None.
        prefix: Put before every key, with a slash.
    """

    # Not None, or MMEngine warns that it is unset: the keys are complete already.
    default_prefix = ''
    name_patterns = ('mIoU', 'accuracy/pixel', 'IoU/*', 'mIoU/all_*')

    def __init__(
        self,
        ignore_index: int = 255,
        collect_device: str = 'cpu',
        collect_dir: str | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(
            collect_device=collect_device, collect_dir=collect_dir, prefix=prefix
        )
        self.ignore_index = ignore_index

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of their ids.

        Raises:
            ValueError: If the data set under evaluation does not name them.
        """
        classes = (self.dataset_meta or {}).get('classes')
        if not classes:
            raise ValueError(
                "MeanIoU: the data set's metainfo names no classes; evaluate a data "
                "set with `metainfo['classes']`"
            )
        return tuple(classes)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of each sample.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``pred_sem_seg`` and ``gt_sem_seg``, each with a
                ``sem_seg`` of class ids, shape (1, H, W).

        Raises:
            ValueError: The two of a sample differ in size, or hold another class.
        """
        for sample in data_samples:
            predicted, target = (
                sample[key]['sem_seg'].squeeze(0).cpu().numpy()
                for key in ('pred_sem_seg', 'gt_sem_seg')
            )
            if predicted.shape != target.shape:
                raise ValueError(
                    f'MeanIoU: {sample.get("img_path", "a sample")} has a predicted '
                    f'map of shape {predicted.shape} and a true one of {target.shape}; '
                    'load the true one after the resize, which then keeps its size'
                )
            used = target != self.ignore_index
            self.results.append(
                F.confusion_matrix(predicted[used], target[used], len(self.classes))
            )

    def compute_metrics(self, results: list[np.ndarray]) -> dict[str, float]:
        """Compute the metrics.

        Args:
            results: The confusion matrix of each sample.

        Returns:
            Percentages by name.
        """
        matrix = np.sum(results, axis=0)
        most = int(matrix.sum(axis=1).argmax())
        per_class = F.iou(matrix)
        values = {
            'mIoU': float(np.nanmean(per_class)),
            'accuracy/pixel': F.accuracy(matrix),
            f'mIoU/all_{self.classes[most]}': float(
                np.nanmean(F.iou(F.always(matrix, most)))
            ),
        }
        for name, value in zip(self.classes, per_class, strict=True):
            if not np.isnan(value):
                values[f'IoU/{name}'] = float(value)
        return {name: 100 * value for name, value in values.items()}
