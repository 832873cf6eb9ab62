# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Input images and boxes, output drawings and records of predictions."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
from mmpretrain.structures import DataSample
from mmpretrain.visualization import UniversalVisualizer

from hpml_mm.datasets.image_io import list_images, read_image
from hpml_mm.utils.messages import shown
from hpml_mm.utils.text_file import read_json

from .predict import Box, ClassPrediction, PosePrediction

#: Smaller images are enlarged for their drawing, or nothing could be read.
MIN_SIDE = 256
_PEN = (255, 0, 255)


def find_images(
    places: Sequence[str | Path], out: str | Path | None = None
) -> list[tuple[Path, Path | None]]:
    """Find images, and choose names for their drawings.

    Args:
        places: Files, taken as they are, and folders, whose images are taken with those
            of the folders below, in order of their names; hidden files and ``out`` are
            passed over.
        out: Folder of the drawings. Those of a folder's images lie there as the images
            do in their folder.

    Returns:
        Pairs of an image and its drawing, a PNG; None for the drawing without ``out``.

    Raises:
        ValueError: If a folder holds no image, two drawings would have one name, or a
            drawing would lie over an image.
    """
    found: list[tuple[Path, Path]] = []
    for place in map(Path, places):
        if not place.is_dir():
            found.append((place, Path(place.name)))
            continue
        inside = [
            path for path in list_images(place) if not _is_below(path, place, out)
        ]
        if not inside:
            raise ValueError(f'{place} holds no image')
        found += [(path, path.relative_to(place)) for path in inside]
    if out is None:
        return [(image, None) for image, _ in found]
    pairs = [
        (image, Path(out, name.parent, f'{name.name}.png')) for image, name in found
    ]
    _check_names(pairs)
    return list(pairs)


def _is_below(path: Path, place: Path, out: str | Path | None) -> bool:
    """True for an earlier run's drawing, in a folder of its own below ``place``."""
    if out is None or Path(out).resolve() == place.resolve():
        return False
    return path.resolve().is_relative_to(Path(out).resolve())


def read_boxes(path: str | Path) -> dict[str, list[Box]]:
    """Boxes of the objects in images: ``{"a.jpg": [[x1, y1, x2, y2], ...]}``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it holds something else; it names the image.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise ValueError(f'{path} does not hold an object with a list for each image')
    for name, boxes in content.items():
        if not isinstance(boxes, list):
            raise ValueError(
                f'{path}: {shown(name)} has {shown(boxes)}, not a list of boxes'
            )
        content[name] = [_box(path, name, box) for box in boxes]
    return content


def _box(path: str | Path, name: str, box: Any) -> Box:
    numbers = isinstance(box, list) and all(
        isinstance(side, int | float)
        and not isinstance(side, bool)
        and math.isfinite(side)
        for side in box
    )
    if not (numbers and len(box) == 4 and box[0] < box[2] and box[1] < box[3]):
        raise ValueError(
            f'{path}: {shown(name)} has the box {shown(box)}, not [x1, y1, x2, y2] '
            'with x1 < x2 and y1 < y2'
        )
    left, top, right, bottom = map(float, box)
    return left, top, right, bottom


def _check_names(pairs: list[tuple[Path, Path]]) -> None:
    images = {image.resolve() for image, _ in pairs}
    drawn: dict[Path, Path] = {}
    for image, drawing in pairs:
        if drawing in drawn and drawn[drawing] != image:
            raise ValueError(
                f'{drawn[drawing]} and {image} would both be drawn as {drawing}: give '
                'their folder, or draw them in two runs'
            )
        if drawing.resolve() in images:
            raise ValueError(
                f'{drawing} is an image and would be drawn over: set --out'
            )
        drawn[drawing] = image


def line_of(prediction: ClassPrediction | PosePrediction, min_score: float) -> str:
    """Sum a prediction up in one line; keypoints below ``min_score`` do not count."""
    if isinstance(prediction, ClassPrediction):
        best, folder = prediction.best, prediction.folder_class
        note = '' if folder in (None, best) else f', but its folder is {folder}'
        place = '' if prediction.box is None else f', {_corners(prediction.box)}'
        score = prediction.scores[best]
        return f'{prediction.image}{place}: {best} {score:.3f}{note}'
    found = [
        f'{int((one.scores >= min_score).sum())} of {len(one.scores)} keypoints'
        for one in prediction.objects
    ]
    return f'{prediction.image}: {"; ".join(found) or "no object"}'


def _corners(box: Box) -> str:
    return '[{:.0f}, {:.0f}, {:.0f}, {:.0f}]'.format(*box)


def agreement_line(records: Sequence[Mapping[str, Any]]) -> str | None:
    """Sum up how often the predicted class is the one that the folder is called by.

    Args:
        records: Those of ``record_of``.

    Returns:
        None where no folder is called like a class.
    """
    judged = [record for record in records if 'folder_class' in record]
    if not judged:
        return None
    right = sum(record['class'] == record['folder_class'] for record in judged)
    images = 'image' if len(judged) == 1 else 'images'
    return (
        f'{right:,} of {len(judged):,} {images} ({100 * right / len(judged):.2f} %) as '
        'their folders say'
    )


def record_of(
    prediction: ClassPrediction | PosePrediction, names: Sequence[str]
) -> dict[str, Any]:
    """Make the JSON record of an image.

    Args:
        prediction: Prediction of the image.
        names: Names of the keypoints.

    Returns:
        ``image``, and for a class ``class``, ``score``, ``scores``, and
        ``folder_class`` where the folder is called like a class, ``box`` where it is
        that of a part; for a pose
        ``objects``, each a ``box`` and, for each keypoint, ``x``, ``y`` and ``score``.
    """
    record: dict[str, Any] = {'image': prediction.image}
    if isinstance(prediction, ClassPrediction):
        best, folder = prediction.best, prediction.folder_class
        record |= {'class': best, 'score': prediction.scores[best]}
        record['scores'] = prediction.scores
        if prediction.box is not None:
            record['box'] = list(prediction.box)
        return record if folder is None else {**record, 'folder_class': folder}
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


def draw_prediction(
    prediction: ClassPrediction | PosePrediction,
    metainfo: Mapping[str, Any],
    min_score: float,
) -> np.ndarray:
    """Draw a prediction over its image.

    Args:
        prediction: Prediction of a file that is still there.
        metainfo: Skeleton and colours of a pose, under MMPose's names.
        min_score: Keypoints below it are small grey dots.

    Returns:
        RGB picture, uint8, its shorter side at least :data:`MIN_SIDE` pixels.
    """
    image = mmcv.bgr2rgb(read_image(prediction.image, 'color'))
    zoom = max(1.0, MIN_SIDE / min(image.shape[:2]))
    picture = cv2.resize(image, None, fx=zoom, fy=zoom)
    if isinstance(prediction, ClassPrediction):
        return _draw_class(picture, prediction)
    # Imports mmpose, which a classifier does without.
    from hpml_mm.visualization.pose_panel import draw_pose

    for one in prediction.objects:
        shown = one.scores >= min_score
        points, box = one.keypoints * zoom, np.array(one.box) * zoom
        picture = draw_pose(picture, points, shown, metainfo, box, faint=~shown)
    return picture


def draw_parts(parts: Sequence[ClassPrediction]) -> np.ndarray:
    """Draw boxes with their classes over one image.

    Args:
        parts: At least one, all of the same file, which is still there.

    Returns:
        RGB picture, uint8, its shorter side at least :data:`MIN_SIDE` pixels.
    """
    image = mmcv.bgr2rgb(read_image(parts[0].image, 'color'))
    zoom = max(1.0, MIN_SIDE / min(image.shape[:2]))
    picture = cv2.resize(image, None, fx=zoom, fy=zoom)
    for part in parts:
        assert part.box is not None
        left, top, right, bottom = (round(zoom * side) for side in part.box)
        cv2.rectangle(picture, (left, top), (right, bottom), _PEN, 2)
        text = f'{part.best} {part.scores[part.best]:.2f}'
        place = left, max(top - 5, 12)
        cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, _PEN, 1)
    return picture


def write_drawing(picture: np.ndarray, path: Path) -> None:
    """Write an RGB picture; its folder is made where it is missing.

    Raises:
        OSError: If it cannot be written.
    """
    if not mmcv.imwrite(mmcv.rgb2bgr(picture), str(path)):
        raise OSError(f'cannot write {path}')


def _draw_class(picture: np.ndarray, prediction: ClassPrediction) -> np.ndarray:
    names, scores = zip(*prediction.scores.items(), strict=True)
    sample = DataSample().set_pred_score(np.array(scores, np.float32))
    sample.set_pred_label(int(np.argmax(scores)))
    visualizer = UniversalVisualizer(vis_backends=None)
    return visualizer.visualize_cls(picture, sample, classes=names, draw_gt=False)
