# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Sheet of a data set's samples, with their classes, boxes and keypoints."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hpml_mm.datasets.sample_pictures import BrowsedSample, Picture

from .sheet import Panel, lay_out

MODES = ('original', 'transformed', 'concat', 'pipeline', 'batch')
#: Behind a picture that is no square.
MARGIN = (235, 235, 235)
BOX = (255, 0, 255)
COLUMNS = 6
#: Rows of a sheet of examples.
CLASSES = 40


def sample_panels(
    sample: BrowsedSample, mode: str, meta: Mapping[str, Any], side: int
) -> list[Panel]:
    """Draw the pictures of a sample that a mode asks for.

    Args:
        sample: The sample.
        mode: ``'original'`` for the file, ``'transformed'`` for what the pipeline made
            of it, ``'concat'`` for both, ``'pipeline'`` for every step, ``'batch'`` for
            what the data preprocessor made of a batch.
        meta: Metainfo of the data set: skeleton and colours.
        side: Width and height of a panel.
    """
    last = sample.steps[-1]
    chosen = {
        'original': [sample.original],
        'concat': [sample.original, last],
        'pipeline': [sample.original, *sample.steps],
    }.get(mode, [last])
    captions = [sample.label or Path(sample.name).name]
    captions += [picture.step for picture in chosen[1:]]
    return [
        Panel(draw_picture(picture, meta, side), caption)
        for picture, caption in zip(chosen, captions, strict=True)
    ]


def describe(sample: BrowsedSample) -> str:
    """Sum a sample up in one line: name, classes, size before and after."""
    sizes = [
        '{1} x {0}'.format(*picture.image.shape)
        for picture in (sample.original, sample.steps[-1])
    ]
    about = filter(None, [sample.name, sample.label, ' -> '.join(sizes)])
    return '  '.join(about)


def draw_picture(picture: Picture, meta: Mapping[str, Any], side: int) -> np.ndarray:
    """Draw a picture into a square, with its boxes and keypoints.

    Args:
        picture: Picture of any size.
        meta: Metainfo; without a skeleton keypoints are plain dots.
        side: Width and height of the square.

    Returns:
        RGB, uint8, shape (side, side, 3).
    """
    height, width = picture.image.shape[:2]
    zoom = side / max(height, width)
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_NEAREST
    scaled = cv2.resize(picture.image, size, interpolation=method)
    canvas = np.full((side, side, 3), MARGIN, np.uint8)
    x, y = (side - size[0]) // 2, (side - size[1]) // 2
    canvas[y : y + size[1], x : x + size[0]] = scaled
    for box in picture.boxes if picture.boxes is not None else ():
        left, top, right, bottom = (box * zoom).round().astype(int).tolist()
        cv2.rectangle(canvas, (x + left, y + top), (x + right, y + bottom), BOX, 1)
    if picture.points is not None and picture.visible is not None:
        # Imports mmpose, which a classifier does without.
        from .pose_panel import draw_pose

        for points, visible in zip(picture.points, picture.visible, strict=True):
            places = (points + 0.5) * zoom - 0.5 + (x, y)
            canvas = draw_pose(canvas, places, visible, with_skeleton(meta, points))
    return canvas


def with_skeleton(meta: Mapping[str, Any], points: np.ndarray) -> dict[str, Any]:
    """Metainfo of a pose, with plain colours where it names none."""
    plain = [(51, 153, 255)] * len(points)
    known = {
        'skeleton_links': [],
        'skeleton_link_colors': [],
        'keypoint_colors': plain,
    }
    fits = len(meta.get('keypoint_colors', ())) == len(points)
    return {**known, **({key: meta[key] for key in known} if fits else {})}


def draw_sheet(samples: Iterable[Sequence[Panel]]) -> np.ndarray:
    """Lay out the panels of samples, several samples in a row where they fit."""
    samples = list(samples)
    together = max(1, COLUMNS // max(map(len, samples)))
    rows = [
        list(chain.from_iterable(samples[at : at + together]))
        for at in range(0, len(samples), together)
    ]
    return lay_out(rows)


def draw_examples(
    examples: Mapping[str, Sequence[Picture]], meta: Mapping[str, Any], side: int = 96
) -> np.ndarray:
    """Lay out a row of pictures for each class.

    Args:
        examples: Pictures by the name of their class; the first classes are drawn.
        meta: Metainfo of the data set.
        side: Width and height of a picture.
    """
    rows = [
        [
            Panel(draw_picture(picture, meta, side), '' if number else name)
            for number, picture in enumerate(pictures)
        ]
        for name, pictures in list(examples.items())[:CLASSES]
        if pictures
    ]
    return lay_out(rows)
