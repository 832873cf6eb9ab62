# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Panoptic quality (Kirillov et al., Panoptic Segmentation, CVPR 2019, section 4).

A predicted segment matches a true one of its class if their intersection over union is
above a half. Of each class, SQ is the mean of that over the matches, RQ is
``TP / (TP + FP / 2 + FN / 2)``, and PQ is their product. MMDetection finds the matches.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

#: Id of pixels without a segment.
VOID = 0
#: Ids of all segments are below.
OFFSET = 256 * 256 * 256


@dataclass
class PQStatCat:
    """Counts of one class.

    Attributes:
        iou: Sum of the intersections over unions of the matches.
        tp: Matches.
        fp: Predicted segments without a match.
        fn: True segments without a match.
    """

    iou: float = 0.0
    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __iadd__(self, other: 'PQStatCat') -> 'PQStatCat':
        self.iou += other.iou
        self.tp += other.tp
        self.fp += other.fp
        self.fn += other.fn
        return self

    def quality(self) -> dict[str, float]:
        """PQ, SQ and RQ of the class, from 0 to 1; all 0 without a segment."""
        half = self.tp + self.fp / 2 + self.fn / 2
        return {
            'pq': float(self.iou / half) if half else 0.0,
            'sq': float(self.iou / self.tp) if self.tp else 0.0,
            'rq': float(self.tp / half) if half else 0.0,
        }


class PQStat:
    """Counts of all classes; those of several images are added up."""

    def __init__(self) -> None:
        self.pq_per_cat: dict[int, PQStatCat] = defaultdict(PQStatCat)

    def __getitem__(self, category: int) -> PQStatCat:
        return self.pq_per_cat[category]

    def __iadd__(self, other: 'PQStat') -> 'PQStat':
        for category, counts in other.pq_per_cat.items():
            self.pq_per_cat[category] += counts
        return self

    def pq_average(
        self, categories: Mapping[int, Mapping], isthing: bool | None
    ) -> tuple[dict[str, float], dict[int, dict[str, float]]]:
        """Average over the classes that have a segment, true or predicted.

        Args:
            categories: Classes by id, with ``isthing``.
            isthing: True for things alone, False for stuff alone, None for both.

        Returns:
            The means of ``pq``, ``sq`` and ``rq`` and the number ``n`` of classes, NaN
            where there is none; and the three of each class.
        """
        chosen = {
            number: self.pq_per_cat[number]
            for number, category in categories.items()
            if isthing is None or bool(category['isthing']) == isthing
        }
        of_class = {number: counts.quality() for number, counts in chosen.items()}
        seen = [
            of_class[number]
            for number, counts in chosen.items()
            if counts.tp + counts.fp + counts.fn
        ]
        means = {
            key: sum(each[key] for each in seen) / len(seen) if seen else float('nan')
            for key in ('pq', 'sq', 'rq')
        }
        return {**means, 'n': len(seen)}, of_class
