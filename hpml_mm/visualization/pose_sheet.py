# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Sheet of poses: the ground truth beside the predictions of models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import mmcv
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hpml_mm.datasets.image_io import read_image

from .pose_case import PoseCase
from .pose_panel import View, draw_heatmap, draw_pose

#: What to show of the heatmaps, beside the name of one keypoint.
ALL_KEYPOINTS = 'all'
GAP = 6
LINE = 20
BACKGROUND = (255, 255, 255)
INK = (20, 20, 20)


class Panel(NamedTuple):
    """A picture with a line above it."""

    picture: np.ndarray
    caption: str


def draw_pose_sheet(
    rows: Sequence[Sequence[PoseCase]],
    meta: Mapping[str, Any],
    models: Sequence[str],
    heatmaps: str | None = ALL_KEYPOINTS,
    side: int = 320,
) -> np.ndarray:
    """Draw one row for each object: the truth, then each model's pose and heatmaps.

    Every keypoint that the truth knows is drawn, however unsure a model is of it: the
    OKS in the caption counts it as well. What it predicts beyond is a small grey dot.
    A model that gives no heatmaps has no such column.

    Args:
        rows: For each object the case of each model.
        meta: Metainfo of the data set: names, skeleton and colours.
        models: Names of the models.
        heatmaps: The maximum over all keypoints if :data:`ALL_KEYPOINTS`, those of
            one keypoint by its name, or None.
        side: Width and height of a picture.

    Returns:
        RGB sheet of type uint8.

    Raises:
        ValueError: If there is no row, or no keypoint of that name.
        BrokenImageError: If an image cannot be read.
    """
    if not rows:
        raise ValueError('a sheet of poses needs at least one object')
    keypoint = find_keypoint(meta, heatmaps)
    panels = [_draw_row(cases, meta, heatmaps, keypoint, side) for cases in rows]
    titles = ['ground truth']
    for name, case in zip(models, rows[0], strict=True):
        titles.append(name)
        if heatmaps is not None and case.heatmaps is not None:
            titles.append('heatmaps' if keypoint is None else f'heatmap: {heatmaps}')
    return lay_out(panels, titles)


def find_keypoint(meta: Mapping[str, Any], name: str | None) -> int | None:
    """Index of the keypoint of that name; None for none or all of them.

    Raises:
        ValueError: If the data set has no such keypoint.
    """
    if name in (None, ALL_KEYPOINTS):
        return None
    names = meta['keypoint_name2id']
    if name not in names:
        raise ValueError(f'no keypoint {name!r}; there are: {", ".join(names)}')
    return names[name]


def _draw_row(
    cases: Sequence[PoseCase],
    meta: Mapping[str, Any],
    heatmaps: str | None,
    keypoint: int | None,
    side: int,
) -> list[Panel]:
    first = cases[0]
    view = View.enclosing(cases, side)
    picture = view.picture(mmcv.bgr2rgb(read_image(first.image, 'color')))
    box = view.points(first.box.reshape(2, 2)).ravel()
    truth = draw_pose(picture, view.points(first.truth), first.visible, meta, box)
    row = [Panel(truth, f'{Path(first.image).name}  #{first.id}')]
    for case in cases:
        places, known = view.points(case.predicted), first.visible
        pose = draw_pose(picture, places, known, meta, faint=~known)
        similar = 'none visible' if np.isnan(case.oks) else f'{case.oks:.3f}'
        row.append(Panel(pose, f'OKS {similar}'))
        if heatmaps is not None and case.heatmaps is not None:
            over, peak = draw_heatmap(picture, case, view, keypoint)
            row.append(Panel(over, f'maximum {peak:.3g}'))
    return row


def lay_out(rows: Sequence[Sequence[Panel]], titles: Sequence[str]) -> np.ndarray:
    """Arrange panels of one size in a grid with a title above each column.

    Returns:
        RGB sheet of type uint8.
    """
    height, width = rows[0][0].picture.shape[:2]
    # DejaVu comes with Matplotlib, and knows more letters than OpenCV does.
    file = Path(matplotlib.get_data_path(), 'fonts/ttf/DejaVuSans.ttf')
    font = ImageFont.truetype(str(file), 13)
    step = LINE + height + GAP
    size = (GAP + len(titles) * (width + GAP), GAP + LINE + len(rows) * step)
    sheet = Image.new('RGB', size, BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        x = GAP + column * (width + GAP)
        pen.text((x, GAP), _shorten(title, font, width), fill=INK, font=font)
        for number, row in enumerate(rows):
            y = GAP + LINE + number * step
            caption = _shorten(row[column].caption, font, width)
            pen.text((x, y), caption, fill=INK, font=font)
            sheet.paste(Image.fromarray(row[column].picture), (x, y + LINE))
    return np.array(sheet)


def _shorten(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Shorten a text in the middle if it is too wide."""
    shown, half = text, len(text) // 2
    while half > 1 and font.getlength(shown) > width:
        half -= 1
        shown = f'{text[:half]}…{text[-half:]}'
    return shown
