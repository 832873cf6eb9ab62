# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""One object as square pictures: its pose, and heatmaps over it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from mmpose.structures.utils import revert_heatmap

from .pose_case import PoseCase

#: Share of the pictured square on each side of the object and its keypoints.
MARGIN = 0.1
#: Grey where the image ends.
OUTSIDE = (90, 90, 90)
EDGE = (0, 0, 0)
BOX = (255, 0, 255)
FAINT = (170, 170, 170)
AA = cv2.LINE_AA
#: OpenCV takes places in 1/16 of a pixel, up to this many pixels away.
SHIFT = 4
FAR = 10_000
#: How much of the image the hottest place hides.
COVER = 0.75


@dataclasses.dataclass(frozen=True)
class View:
    """A square of an image, blown up or shrunk to a picture.

    Attributes:
        x: Left edge in the image, in pixels.
        y: Upper edge in the image, in pixels.
        zoom: Pixels of the picture for each pixel of the image.
        side: Width and height of the picture.
    """

    x: float
    y: float
    zoom: float
    side: int

    @classmethod
    def enclosing(cls, cases: Sequence[PoseCase], side: int) -> 'View':
        """Find the square that holds an object's box and every case's keypoints."""
        first = cases[0]
        places = [first.box.reshape(2, 2), first.truth[first.visible]]
        for case in cases:
            edges = case.center - case.scale / 2, case.center + case.scale / 2
            # A regression can point anywhere; a heatmap, only where the network saw.
            places.append(np.clip(np.nan_to_num(case.predicted), *edges))
        everything = np.concatenate(places)
        lower, upper = everything.min(axis=0), everything.max(axis=0)
        length = max(float((upper - lower).max()), 1.0) / (1 - 2 * MARGIN)
        x, y = (lower + upper - length) / 2
        return cls(float(x), float(y), side / length, side)

    def points(self, places: np.ndarray) -> np.ndarray:
        """Map points of the image, shape (..., 2), to the picture."""
        return (np.asarray(places, float) - (self.x, self.y)) * self.zoom

    def picture(self, image: np.ndarray) -> np.ndarray:
        """The square of an RGB image, shape (side, side, 3)."""
        matrix = self.zoom * np.array([[1.0, 0, -self.x], [0, 1, -self.y]])
        size = (self.side, self.side)
        return cv2.warpAffine(image, matrix, size, borderValue=OUTSIDE)


def draw_pose(
    picture: np.ndarray,
    points: np.ndarray,
    shown: np.ndarray,
    meta: Mapping[str, Any],
    box: np.ndarray | None = None,
    faint: np.ndarray | None = None,
) -> np.ndarray:
    """Draw keypoints and skeleton in the colours of the data set, edged in black.

    MMPose's own visualizer cannot: with NumPy 2.4 its circles end in a TypeError.

    Args:
        picture: RGB, uint8; stays as it is.
        points: Places in the picture, shape (K, 2).
        shown: Which of them to draw, shape (K,). A link needs both of its ends.
        meta: Metainfo of the data set.
        box: x1, y1, x2, y2 of a box to draw.
        faint: Which others to hint at by a small grey dot, shape (K,).

    Returns:
        RGB picture.
    """
    canvas = picture.copy()
    width = max(1, round(len(picture) / 160))
    if box is not None:
        low, high = _fine(np.reshape(box, (2, 2)))
        cv2.rectangle(canvas, low, high, BOX, 1, AA, SHIFT)
    # A network that diverged may say NaN.
    finite = np.isfinite(points).all(axis=1)
    shown = shown & finite
    places = _fine(np.nan_to_num(points))
    if faint is not None:
        for index in np.flatnonzero(faint & finite):
            for grey, radius in ((EDGE, width + 1), (FAINT, width)):
                cv2.circle(canvas, places[index], radius << SHIFT, grey, -1, AA, SHIFT)
    links = list(zip(meta['skeleton_links'], meta['skeleton_link_colors'], strict=True))
    for edge in (2, 0):  # all edges first, so that they lie below
        for (start, end), color in links:
            if shown[start] and shown[end]:
                ink = _ink(color, edge)
                cv2.line(
                    canvas, places[start], places[end], ink, width + edge, AA, SHIFT
                )
        for index in np.flatnonzero(shown):
            radius = (2 * width + edge // 2) << SHIFT
            ink = _ink(meta['keypoint_colors'][index], edge)
            cv2.circle(canvas, places[index], radius, ink, -1, AA, SHIFT)
    return canvas


def _fine(points: np.ndarray) -> list[tuple[int, int]]:
    """Points in OpenCV's fixed-point format, clipped to the range of its integers."""
    near = np.clip(points, -FAR, FAR)
    return [tuple(place) for place in (near * 2**SHIFT).round().astype(int).tolist()]


def _ink(color: Sequence[int], edge: int) -> tuple[int, ...]:
    return EDGE if edge else tuple(int(part) for part in color)


def draw_heatmap(
    picture: np.ndarray, case: PoseCase, view: View, keypoint: int | None
) -> tuple[np.ndarray, float]:
    """Lay a heatmap over the picture, opaque where it is hot.

    Its colours run from 0 to its own maximum, else those of an untrained network
    would not be seen; so the maximum belongs into the caption.

    Args:
        picture: RGB, uint8.
        case: Case with heatmaps.
        view: View that the picture was made with.
        keypoint: Index of the keypoint; None for the maximum over all of them.

    Returns:
        The RGB picture and the maximum.
    """
    assert case.heatmaps is not None, 'only a case with heatmaps is drawn'
    heatmaps = np.nan_to_num(np.asarray(case.heatmaps))
    heat = heatmaps.max(axis=0) if keypoint is None else heatmaps[keypoint]
    peak = float(heat.max())
    scaled = revert_heatmap(
        heat, view.points(case.center), case.scale * view.zoom, picture.shape[:2]
    )
    share = np.clip(scaled / peak, 0, 1) if peak > 0 else np.zeros_like(scaled)
    colors = cv2.applyColorMap((255 * share).astype(np.uint8), cv2.COLORMAP_TURBO)
    cover = COVER * share[..., None]
    mixed = (1 - cover) * picture + cover * colors[..., ::-1]
    return mixed.round().astype(np.uint8), peak
