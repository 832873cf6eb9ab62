# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Paired difference of a score on the same images, with a bootstrap interval.

Two models that are tested on the same images err on mostly the same ones. The interval
of the difference is therefore much narrower than that of either score. It is a
percentile bootstrap over images (Efron, https://doi.org/10.1214/aos/1176344552): the
images are drawn anew with replacement, and both models are scored on the same draw.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

LEVEL = 0.95
SEED = 0
RESAMPLES = 10_000
#: Fewer for AP: each draw ranks all detections again.
AP_RESAMPLES = 2_000
# Recall at which COCO reads the precision.
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class Paired:
    """Score before and after a change, on the same images, with a bootstrap interval.

    Attributes:
        before: Score before.
        after: Score after.
        low: Lower end of the interval of ``difference``.
        high: Upper end of it.
        n: Images that both were scored on.
        unit: % or 1, where the score is a share.
        level: Share of such intervals that hold the true difference.
    """

    before: float
    after: float
    low: float
    high: float
    n: int
    unit: Literal['%', '1'] = '%'
    level: float = LEVEL

    @property
    def difference(self) -> float:
        """``after - before``: negative where the score fell."""
        return self.after - self.before

    @property
    def drop(self) -> float:
        """``before - after``: positive where the score fell."""
        return self.before - self.after

    def points(self, value: float) -> float:
        """A value of the score in points: percentages, or hundredths of a share."""
        return 100 * value if self.unit == '1' else value


def paired_accuracy(
    before: Sequence[bool] | np.ndarray,
    after: Sequence[bool] | np.ndarray,
    *,
    resamples: int = RESAMPLES,
) -> Paired:
    """Compare two classifiers by which images they got right, in percent.

    A draw of n images is no more than how many of them got better, worse, or neither:
    these counts are drawn directly, which gives the same distribution.

    Args:
        before: True for each of n images that was right, shape (n,).
        after: The same images in the same order, shape (n,).
        resamples: Draws.

    Raises:
        ValueError: If the two differ in length, or are empty.
    """
    old, new = (np.asarray(v, dtype=bool).reshape(-1) for v in (before, after))
    n = _check_pairs(len(old), len(new))
    counts = np.array([(old & ~new).sum(), (old == new).sum(), (~old & new).sum()])
    drawn = np.random.default_rng(SEED).multinomial(n, counts / n, size=resamples)
    differences = 100 * (drawn[:, 2] - drawn[:, 0]) / n
    low, high = _interval(differences)
    return Paired(float(100 * old.mean()), float(100 * new.mean()), low, high, n)


@dataclass(frozen=True)
class ImageMatches:
    """Detections of one image, in one category, as COCO's evaluation counts them.

    Attributes:
        scores: Scores of D detections, best first, shape (D,).
        matched: True for one that meets an object, at T thresholds, shape (T, D).
        ignored: True for one that counts neither way, shape (T, D).
        objects: Objects to be found.
    """

    scores: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray
    objects: int


def average_precision(images: Sequence[ImageMatches]) -> float | None:
    """COCO's AP of one category: precision at 101 recalls, mean over thresholds.

    It equals ``COCOeval.accumulate`` of xtcocotools.

    Returns:
        0 to 1; None where no image has an object.
    """
    objects = sum(image.objects for image in images)
    if objects == 0:
        return None
    scores = np.concatenate([image.scores for image in images])
    if scores.size == 0:
        return 0.0
    order = np.argsort(-scores, kind='mergesort')
    matched = np.concatenate([image.matched for image in images], axis=1)[:, order]
    ignored = np.concatenate([image.ignored for image in images], axis=1)[:, order]
    right = np.cumsum(matched & ~ignored, axis=1)
    wrong = np.cumsum(~matched & ~ignored, axis=1)
    recall = right / objects
    precision = right / (right + wrong + np.spacing(1))
    # The best precision at this recall or a higher one.
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    found = [_read(*rows) for rows in zip(envelope, recall, strict=True)]
    return float(np.mean(found))


def paired_ap(
    before: Sequence[ImageMatches],
    after: Sequence[ImageMatches],
    *,
    resamples: int = AP_RESAMPLES,
) -> Paired:
    """Compare two pose models by their AP, from 0 to 1.

    Args:
        before: One for each of n images.
        after: The same images in the same order.
        resamples: Draws; those without any object are left out.

    Raises:
        ValueError: If the two differ in length, are empty, or hold no object.
    """
    n = _check_pairs(len(before), len(after))
    scores = average_precision(before), average_precision(after)
    if scores[0] is None or scores[1] is None:
        raise ValueError(f'no AP of {n} images without an object')
    generator = np.random.default_rng(SEED)
    differences = []
    for _ in range(resamples):
        drawn = generator.integers(n, size=n)
        old = average_precision([before[i] for i in drawn])
        new = average_precision([after[i] for i in drawn])
        if old is not None and new is not None:
            differences.append(new - old)
    low, high = _interval(np.array(differences))
    return Paired(scores[0], scores[1], low, high, n, unit='1')


def _read(envelope: np.ndarray, recall: np.ndarray) -> float:
    """Mean precision over the recalls; 0 where one is not reached."""
    places = np.searchsorted(recall, _RECALLS, side='left')
    reached = places[places < len(envelope)]
    return float(envelope[reached].sum() / len(_RECALLS))


def _interval(differences: np.ndarray) -> tuple[float, float]:
    ends = 50 * (1 - LEVEL), 50 * (1 + LEVEL)
    low, high = np.percentile(differences, ends)
    return float(low), float(high)


def _check_pairs(before: int, after: int) -> int:
    if before != after:
        raise ValueError(
            f'{before} images before and {after} after cannot be compared one by one'
        )
    if before == 0:
        raise ValueError('no image to compare on')
    return before
