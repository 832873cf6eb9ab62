# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Sheet of poses: the ground truth beside the predictions of models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np

from hpml_mm.datasets.image_io import read_image

from .pose_case import PoseCase
from .pose_panel import View, draw_heatmap, draw_pose
from .sheet import Panel, lay_out

#: What to show of the heatmaps, beside the name of one keypoint.
ALL_KEYPOINTS = 'all'


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
