# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Counts of a classifier's confusions, whatever else evaluates it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.structures import BaseDataElement

from . import functional as F


class ConfusionCounter(BaseMetric):
    """Counter of confusions, which adds no number to an evaluation.

    It never stops one either: where a sample does not hold one true and one predicted
    class there is no matrix, and ``problem`` says why.

    Args:
        classes: Names of the classes in the order of their ids; classes beyond them
            are called by their ids.

    Attributes:
        matrices: After an evaluation, on the main process, the counts of each split
            under its name; ``'all'`` where the samples name none.
        names: Names of the classes of these matrices.
        problem: Reason why there is no matrix; empty if there is one.
    """

    # Not None, or MMEngine warns that it is unset.
    default_prefix = ''
    UNNAMED = 'all'

    def __init__(self, classes: Sequence[str] = ()) -> None:
        super().__init__()
        self._classes = tuple(classes)
        self.matrices: dict[str, np.ndarray] = {}
        self.names: tuple[str, ...] = ()
        self.problem = ''

    def process(self, data_batch: Any, data_samples: Sequence[Any]) -> None:
        """Keep the prediction, the truth and the split of each sample.

        Args:
            data_batch: Not used.
            data_samples: Samples with ``pred_score``, of which the largest counts, or
                ``pred_label``; ``gt_label``; and, if it is known, ``split``.
        """
        kept: list[Any]
        try:
            kept = list(_labels_and_splits(data_samples))
        except (ValueError, TypeError, RuntimeError) as error:
            # As many as there are samples: what is padded is cut off at the end.
            kept = [f'{error}'] * len(data_samples)
        self.results.extend(kept)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Count; ``results`` is what :meth:`process` has kept."""
        self.problem = next((each for each in results if isinstance(each, str)), '')
        self.matrices, self.names = {}, ()
        if self.problem or not results:
            return {}
        ids = [max(prediction, target) for prediction, target, _ in results]
        more = range(len(self._classes), max(ids) + 1)
        self.names = (*self._classes, *map(str, more))
        for split in dict.fromkeys(split for _, _, split in results):
            pairs = [(p, t) for p, t, own in results if own == split]
            predictions, targets = np.array(pairs).T
            matrix = F.confusion_matrix(predictions, targets, len(self.names))
            self.matrices[split or self.UNNAMED] = matrix
        return {}


def predicted_labels(samples: Sequence[dict]) -> torch.Tensor:
    """The predicted classes, of shape (samples,).

    A score that was averaged over views stands beside the label of one of them.

    Raises:
        ValueError: If a sample has neither one label nor a score of each class.
    """
    if all('pred_score' in sample for sample in samples):
        scores = [torch.as_tensor(sample['pred_score']) for sample in samples]
        if len({score.shape for score in scores}) > 1 or scores[0].dim() != 1:
            raise ValueError('the samples have no pred_score of one value a class')
        return torch.stack(scores).argmax(dim=1)
    return _one_each(samples, 'pred_label')


def _one_each(samples: Sequence[dict], key: str) -> torch.Tensor:
    """Class ids of the samples, of shape (samples,); ValueError if not one each."""
    if missing := [sample for sample in samples if key not in sample]:
        raise ValueError(f'a sample holds {", ".join(missing[0])}, but no {key}')
    ids = [torch.as_tensor(sample[key]).flatten() for sample in samples]
    if several := [len(each) for each in ids if len(each) != 1]:
        raise ValueError(
            f'a sample has {several[0]} classes as {key}; a confusion matrix is of '
            'classifiers with one class a sample'
        )
    return torch.cat(ids)


def _labels_and_splits(samples: Sequence[Any]) -> list[tuple[int, int, str | None]]:
    """Prediction, truth and split of each sample.

    Raises:
        ValueError: If a sample does not hold one class of each.
    """
    held = [s.to_dict() if isinstance(s, BaseDataElement) else s for s in samples]
    if other := [each for each in held if not isinstance(each, dict)]:
        raise ValueError(f'a {type(other[0]).__name__} is no sample with a gt_label')
    # One transfer a batch: `.item()` for each sample would wait for the device as many
    # times.
    targets = _one_each(held, 'gt_label').tolist()
    labels = predicted_labels(held).tolist()
    if min(targets + labels, default=0) < 0:
        raise ValueError('a sample has a class id below 0')
    splits = [sample.get('split') for sample in held]
    return list(zip(labels, targets, splits, strict=True))
