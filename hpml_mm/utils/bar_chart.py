# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A horizontal bar chart as an image."""

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

MAX_LABEL = 40


def bar_chart(
    labels: Sequence[str],
    values: Sequence[float],
    title: str = '',
    value_label: str = '',
) -> np.ndarray:
    """Draw one bar for each value, the first at the top.

    Args:
        labels: Names of the bars; long ones lose their middle.
        values: Lengths of the bars.
        title: Heading.
        value_label: Meaning and unit of the values.

    Returns:
        RGB image of type uint8, height x width x 3.

    Raises:
        ValueError: If there is no bar, or not one label for each value.
    """
    if len(labels) != len(values) or not values:
        raise ValueError(
            f'bar_chart got {len(labels)} labels and {len(values)} values: give one '
            'label for each value, and at least one'
        )
    # A figure of its own: pyplot would keep global state and choose a backend.
    figure = Figure(figsize=(9, 1.2 + 0.32 * len(values)), dpi=100, layout='tight')
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    positions = range(len(values))
    bars = axes.barh(positions, values)
    axes.bar_label(bars, fmt='%.3g', padding=3)
    axes.margins(x=0.12)
    axes.set_yticks(positions, [_shorten(label) for label in labels])
    axes.invert_yaxis()
    axes.set_xlabel(value_label)
    axes.set_title(title)
    axes.spines[['top', 'right']].set_visible(False)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def brief_names(experiments: Sequence[str]) -> list[str]:
    """Names without what follows their first slash, if they can be told apart so."""
    brief = [name.split('/')[0] for name in experiments]
    return brief if len(set(brief)) == len(brief) else list(experiments)


def _shorten(label: str) -> str:
    if len(label) <= MAX_LABEL:
        return label
    half = (MAX_LABEL - 1) // 2
    return f'{label[:half]}…{label[-half:]}'
