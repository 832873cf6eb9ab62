# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Evaluate PoseTrack18 where the package poseval, which no index has, is missing.

The average precision per joint is that of the benchmark (Andriluka et al., PoseTrack,
CVPR 2018, section 4): a joint is found within half the size of the head, which is .6
times the diagonal of its box; each predicted person keeps the labelled one of which it
finds the largest share of joints, each labelled one the best of those predictions, and
the other predictions are wrong. Of a joint that is labelled nowhere the precision is
not known, and it counts in no mean.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
from mmengine.logging import print_log

JOINTS = (
    *('right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle'),
    *('right_wrist', 'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow'),
    *('left_wrist', 'head_bottom', 'nose', 'head_top'),
)
GROUPS = {
    'Head': ('head_top', 'head_bottom', 'nose'),
    'Shou': ('right_shoulder', 'left_shoulder'),
    'Elb': ('right_elbow', 'left_elbow'),
    'Wri': ('right_wrist', 'left_wrist'),
    'Hip': ('right_hip', 'left_hip'),
    'Knee': ('right_knee', 'left_knee'),
    'Ankl': ('right_ankle', 'left_ankle'),
    'Total': JOINTS,
}


@dataclass
class Labels:
    """Labelled persons of one image.

    Attributes:
        points: Joints in the order of ``JOINTS``, in pixels, NaN where there is none;
            shape (P, 15, 2).
        heads: Size of each head in pixels; shape (P,).
    """

    points: np.ndarray
    heads: np.ndarray


@dataclass
class Predictions:
    """Predicted persons of one image.

    Attributes:
        points: As of :class:`Labels`.
        scores: Of each joint; shape (P, 15).
    """

    points: np.ndarray
    scores: np.ndarray


def mend(module: ModuleType) -> None:
    """Give MMPose's metric the functions that it would take from poseval."""
    if not vars(module)['has_poseval']:
        helpers = SimpleNamespace(
            load_data_dir=load_frames, printTable=log_table, getCum=group_means
        )
        vars(module).update(
            has_poseval=True, evaluateAP=evaluate_ap, eval_helpers=helpers
        )


def load_frames(argv: Sequence[str]) -> tuple[list[Labels], list[Predictions]]:
    """Read the labelled frames of all videos and their predictions.

    Frames without a labelled person are left out, and so are joints within a region
    to be ignored.

    Args:
        argv: Anything, the folder of labels and that of predictions, which hold one
            JSON file of the same name for each video.

    Raises:
        ValueError: A labelled person has no box of its head.
    """
    labels, predictions = [], []
    for file in sorted(Path(argv[1]).glob('*.json')):
        truth = json.loads(file.read_text(encoding='utf-8'))
        found = json.loads((Path(argv[2]) / file.name).read_text(encoding='utf-8'))
        order = _columns(found)
        for image in truth['images']:
            persons, guesses = (_persons(side, image['id']) for side in (truth, found))
            if not persons:
                continue
            heads = np.array([head_size(person, file) for person in persons])
            labels.append(Labels(_points(persons, _columns(truth), image), heads))
            scores = np.array([[one['scores'][i] for i in order] for one in guesses])
            predictions.append(
                Predictions(
                    _points(guesses, order, image), scores.reshape(-1, len(order))
                )
            )
    return labels, predictions


def evaluate_ap(
    labels: list[Labels], predictions: list[Predictions], *unused: object
) -> tuple[np.ndarray, None, None]:
    """Compute the average precision of each joint, in percent.

    Returns:
        Shape (15, 1), NaN for joints that are labelled nowhere, and twice None in the
        place of precision and recall.
    """
    frames = list(zip(labels, predictions, strict=True))
    correct = np.concatenate([is_found(label, guess) for label, guess in frames])
    scores = np.concatenate([guess.scores for guess in predictions])
    given, labelled = (
        ~np.isnan(np.concatenate([frame.points for frame in side])[..., 0])
        for side in (predictions, labels)
    )
    values = [
        average_precision(
            scores[given[:, joint], joint],
            correct[given[:, joint], joint],
            int(labelled[:, joint].sum()),
        )
        for joint in range(len(JOINTS))
    ]
    return 100 * np.array(values)[:, None], None, None


def is_found(label: Labels, guess: Predictions) -> np.ndarray:
    """Tell which predicted joints lie at those of the person they are assigned to.

    Returns:
        Booleans of shape (predicted persons, 15).
    """
    found = np.zeros(guess.points.shape[:2], bool)
    if not len(found):
        return found
    away = np.linalg.norm(guess.points[:, None] - label.points[None], axis=-1)
    # A distance to a joint that is missing is NaN, and so not near.
    near = away / label.heads[:, None] <= 0.5
    labelled = (~np.isnan(label.points[..., 0])).sum(axis=-1)
    share = near.sum(axis=-1) / np.maximum(labelled, 1)
    best = np.zeros_like(share)
    rows, columns = np.arange(len(share)), share.argmax(axis=1)
    best[rows, columns] = share[rows, columns]
    for person, prediction in enumerate(best.argmax(axis=0)):
        if best[prediction, person] > 0:
            found[prediction] = near[prediction, person]
    return found


def average_precision(scores: np.ndarray, correct: np.ndarray, number: int) -> float:
    """Compute the area below the curve of precision over recall.

    At each recall the precision is the best that is reached there or beyond.

    Args:
        scores: Of each prediction, shape (N,).
        correct: True where it is right, shape (N,).
        number: What there is to be found; NaN is the answer for nothing.
    """
    if number == 0:
        return float('nan')
    order = np.argsort(-scores, kind='stable')
    right = np.cumsum(correct[order])
    precision = right / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[correct[order]].sum() / number)


def group_means(values: np.ndarray) -> list[float]:
    """Average over the joints of head, shoulders, ... ankles, and over all.

    Args:
        values: Average precisions in percent, shape (15, 1).
    """
    by_name = dict(zip(JOINTS, values[:, 0], strict=True))
    known = {
        group: [by_name[name] for name in names if not np.isnan(by_name[name])]
        for group, names in GROUPS.items()
    }
    return [float(np.mean(ap)) if ap else float('nan') for ap in known.values()]


def log_table(values: np.ndarray) -> None:
    """Log the average precisions of the groups of joints."""
    means = zip(GROUPS, group_means(values), strict=True)
    print_log(', '.join(f'{group} {mean:.1f}' for group, mean in means), 'current')


def _persons(content: dict, image: int) -> list[dict]:
    return [one for one in content.get('annotations', []) if one['image_id'] == image]


def _columns(content: dict) -> list[int]:
    """Place of each joint among the keypoints of a file."""
    return [content['categories'][0]['keypoints'].index(name) for name in JOINTS]


def _points(persons: list[dict], columns: list[int], image: dict) -> np.ndarray:
    """Joints of persons without those that are missing or to be ignored."""
    rows = [
        [person['keypoints'][3 * i : 3 * i + 3] for i in columns] for person in persons
    ]
    triples = np.array(rows, float).reshape(len(persons), len(columns), 3)
    points = triples[..., :2].copy()
    # Unlabelled joints are stored as three zeros.
    points[~triples.any(axis=-1)] = np.nan
    regions = zip(
        image.get('ignore_regions_x', []), image.get('ignore_regions_y', []),
        strict=True,
    )  # fmt: skip
    for corners in regions:
        outline = np.array(corners, np.float32).T
        for index in np.argwhere(~np.isnan(points[..., 0])):
            x, y = points[tuple(index)]
            if cv2.pointPolygonTest(outline, (x, y), measureDist=False) > 0:
                points[tuple(index)] = np.nan
    return points


def head_size(person: dict, file: Path) -> float:
    """Size of a head in pixels, from its box in an annotation.

    Raises:
        ValueError: There is no box; with the file that has been read.
    """
    if 'bbox_head' not in person:
        raise ValueError(
            f'{file}: the person of id {person.get("id")} has no bbox_head, by whose '
            'size PoseTrack measures distances'
        )
    return 0.6 * float(np.hypot(*person['bbox_head'][2:]))
