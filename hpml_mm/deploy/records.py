# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Predictions as a line of text and as JSON."""

from collections.abc import Sequence
from typing import Any

from .predict import ClassPrediction, PosePrediction


def line_of(prediction: ClassPrediction | PosePrediction, min_score: float) -> str:
    """What to print of an image.

    Args:
        prediction: Of the image.
        min_score: Keypoints below it are not counted as found.
    """
    if isinstance(prediction, ClassPrediction):
        best = prediction.best
        return f'{prediction.image}: {best} {prediction.scores[best]:.3f}'
    found = [
        f'{int((one.scores >= min_score).sum())} of {len(one.scores)} keypoints'
        for one in prediction.objects
    ]
    return f'{prediction.image}: {"; ".join(found) or "no object"}'


def record_of(
    prediction: ClassPrediction | PosePrediction, names: Sequence[str]
) -> dict[str, Any]:
    """What to write of an image, as strict JSON can hold it.

    Args:
        prediction: Of the image.
        names: Of the keypoints.

    Returns:
        ``image``, and for a class ``class``, ``score`` and ``scores``; for a pose
        ``objects``, each a ``box`` and, for each keypoint, ``x``, ``y`` and ``score``.
    """
    record: dict[str, Any] = {'image': prediction.image}
    if isinstance(prediction, ClassPrediction):
        best = prediction.best
        return {
            **record,
            'class': best,
            'score': prediction.scores[best],
            'scores': prediction.scores,
        }
    record['objects'] = [
        {
            'box': list(one.box),
            'keypoints': {
                name: {'x': float(x), 'y': float(y), 'score': float(score)}
                for name, (x, y), score in zip(
                    names, one.keypoints, one.scores, strict=True
                )
            },
        }
        for one in prediction.objects
    ]
    return record
