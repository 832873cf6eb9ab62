# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Charts of a survey of data: classes, intensities, sizes, keypoints."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hpml_mm.datasets.survey import BINS, Survey
from hpml_mm.utils.charts import Line, Panel, line_chart, pixels

#: Classes that a chart shows: those of most images.
SHOWN = 40
_CURVES = 10


def draw_charts(survey: Survey, record: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Draw all charts that there are numbers for.

    Args:
        survey: The survey.
        record: It as plain values.

    Returns:
        RGB pictures by the name of their file.
    """
    splits = list(record['entries'])
    charts = {}
    if any(any(counts.values()) for counts in record['classes'].values()):
        charts['classes.png'] = bars(record['classes'], splits, 'images', 'per class')
    if record['images']:
        charts['intensity.png'] = intensity_chart(survey)
        charts['sizes.png'] = size_chart(survey)
    if record['keypoints']:
        share = {
            name: {s: 100 * value for s, value in seen.items()}
            for name, seen in record['keypoints'].items()
        }
        charts['keypoints.png'] = bars(share, splits, '% of the objects', 'visible')
    return charts


def bars(
    values: Mapping[str, Mapping[str, float]],
    splits: Sequence[str],
    unit: str,
    title: str,
) -> np.ndarray:
    """Draw a bar for each split of each class or keypoint, the first at the top."""
    chosen = sorted(values, key=lambda name: -sum(values[name].values()))[:SHOWN]
    names = [name for name in values if name in chosen]
    if len(names) < len(values):
        title += f', the {len(names)} largest of {len(values)}'
    height = 0.8 / len(splits)
    figure = Figure(
        figsize=(9, 1.4 + 0.22 * len(names) * (len(splits) + 0.6)),
        dpi=100,
        layout='tight',
    )
    axes = figure.add_subplot()
    for number, split in enumerate(splits):
        places = np.arange(len(names)) + number * height
        found = [values[name].get(split, 0) for name in names]
        drawn = axes.barh(places, found, height=height, label=split)
        axes.bar_label(drawn, [f'{value:,.4g}' for value in found], padding=3)
    middle = np.arange(len(names)) + height * (len(splits) - 1) / 2
    axes.set_yticks(middle, names)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel(unit)
    axes.set_title(title)
    axes.legend()
    axes.spines[['top', 'right']].set_visible(False)
    return pixels(figure)


def intensity_chart(survey: Survey) -> np.ndarray:
    """Draw the mean histogram of grey of each split, and of each class."""
    width = 256 / BINS
    levels = ((np.arange(BINS) + 0.5) * width).tolist()
    panels = []
    for kind in ('split', 'class'):
        found = survey.intensities(kind)
        order = [name for name in map(str, survey.classes) if name in found]
        names = (order if kind == 'class' and order else list(found))[:_CURVES]
        lines = [Line(name, levels, (100 * found[name]).tolist()) for name in names]
        if lines:
            panels.append(Panel('level of grey', f'% of the pixels, per {kind}', lines))
    return line_chart(panels, 'Mean intensities')


def size_chart(survey: Survey) -> np.ndarray:
    """Draw widths and heights; the area of a dot is the number of its images."""
    figure = Figure(figsize=(6, 5), dpi=100, layout='tight')
    axes = figure.add_subplot()
    sizes = np.array(list(survey.sizes))
    counts = np.array(list(survey.sizes.values()))
    area = 20 + 300 * counts / counts.max()
    axes.scatter(sizes[:, 0], sizes[:, 1], s=area, alpha=0.4)
    axes.set_xlim(0, sizes[:, 0].max() * 1.1)
    axes.set_ylim(0, sizes[:, 1].max() * 1.1)
    axes.set_xlabel('width in pixels')
    axes.set_ylabel('height in pixels')
    axes.set_title(f'{counts.sum():,} images of {len(sizes):,} sizes')
    return pixels(figure)
