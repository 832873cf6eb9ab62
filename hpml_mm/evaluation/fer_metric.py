# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Accuracy, macro F1 and per-class recall, apart for each split that occurs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from hpml_mm.registry import METRICS

from . import functional as F
from .confusion_counter import predicted_labels

#: What FER2013 calls the splits that the data sets here name train, val and test.
FER2013_SPLIT_NAMES = {'train': 'Training', 'val': 'PublicTest', 'test': 'PrivateTest'}


def _rank_of_split(split: str | None) -> int:
    known = list(FER2013_SPLIT_NAMES)
    return known.index(split) if split in known else len(known)


@METRICS.register_module()
class FERMetric(BaseMetric):
    """Metrics of a facial expression classifier, in percent.

    The keys are ``accuracy/top1``, ``f1-score/macro`` and ``recall/<Class>``.
    Where the samples come from more than one split, each split is evaluated on
    its own and its name goes in front: ``PublicTest/accuracy/top1``. For that a
    sample must say where it is from: ``PackInputs`` needs ``'split'`` among its
    ``meta_keys``. Samples that do not say it form one nameless split.

    A class without a sample in a split has no recall, so its key is left out, and
    the macro F1 is the mean over the classes that are there; see
    :mod:`hpml_mm.evaluation.functional`.

    After an evaluation ``confusion_matrices`` holds the counts of each split
    under its name, on the main process, for
    :class:`hpml_mm.visualization.hooks.ConfusionMatrixHook`.

    Args:
        split_names: What to call the splits; names for some of them replace the
            names that FER2013 gives (Training, PublicTest, PrivateTest). A
            validation set that is not PublicTest should say so here.
        collect_device: Where results of several processes meet, ``'cpu'`` or
            ``'gpu'``.
        collect_dir: Folder in which they meet on the CPU; a temporary one if None.
        prefix: Put before every key, with a slash.
    """

    # Not None, or MMEngine warns that it is unset: the keys are complete already.
    default_prefix = ''
    # The split stands before a name where there are several.
    name_patterns = tuple(
        prefix + name
        for prefix in ('', '*/')
        for name in ('accuracy/top1', 'f1-score/macro', 'recall/*')
    )
    UNNAMED = 'all'

    def __init__(
        self,
        split_names: dict[str, str] | None = None,
        collect_device: str = 'cpu',
        collect_dir: str | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(
            collect_device=collect_device, collect_dir=collect_dir, prefix=prefix
        )
        self.split_names = {**FER2013_SPLIT_NAMES, **(split_names or {})}
        self.confusion_matrices: dict[str, np.ndarray] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of their ids.

        Raises:
            ValueError: If the data set under evaluation does not name them.
        """
        classes = (self.dataset_meta or {}).get('classes')
        if not classes:
            raise ValueError(
                "FERMetric: the data set's metainfo names no classes; evaluate a "
                "data set with `metainfo['classes']`"
            )
        return tuple(classes)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the prediction, the truth and the split of each sample.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``pred_score``, of which the largest counts,
                or ``pred_label``; ``gt_label``; and, if it is known, ``split``.
        """
        # One transfer a batch: `.item()` for each sample would wait for the device
        # as many times.
        predictions = predicted_labels(data_samples).tolist()
        targets = torch.cat([s['gt_label'] for s in data_samples]).tolist()
        splits = [s.get('split') for s in data_samples]
        self.results.extend(zip(predictions, targets, splits, strict=True))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute the metrics of every split.

        Args:
            results: One (prediction, target, split) a sample.

        Returns:
            Percentages by name.
        """
        by_split: dict[str | None, list[tuple[int, int]]] = {}
        for prediction, target, split in results:
            by_split.setdefault(split, []).append((prediction, target))

        self.confusion_matrices = {}
        metrics = {}
        for split in sorted(by_split, key=_rank_of_split):
            name = self.split_names.get(split, split) if split else self.UNNAMED
            predictions, targets = np.array(by_split[split]).T
            matrix = F.confusion_matrix(predictions, targets, len(self.classes))
            self.confusion_matrices[name] = matrix
            prefix = f'{name}/' if len(by_split) > 1 else ''
            for key, value in self._values(matrix).items():
                metrics[prefix + key] = 100 * value
        return metrics

    def _values(self, matrix: np.ndarray) -> dict[str, float]:
        """Metrics of a confusion matrix by name, as shares from 0 to 1."""
        values = {
            'accuracy/top1': F.accuracy(matrix),
            'f1-score/macro': F.macro_average(F.f1_score(matrix), matrix),
        }
        for name, value in zip(self.classes, F.recall(matrix), strict=True):
            if not np.isnan(value):
                values[f'recall/{name}'] = float(value)
        return values
