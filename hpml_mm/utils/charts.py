# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Charts as RGB images of type uint8, height x width x 3."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

MAX_LABEL = 40


def bar_chart(
    labels: Sequence[str],
    values: Sequence[float],
    title: str = '',
    value_label: str = '',
    spreads: Sequence[float | None] | None = None,
) -> np.ndarray:
    """Draw one bar for each value, the first at the top.

    Args:
        labels: Names of the bars, of one line or two; long lines lose their middle.
        values: Lengths of the bars.
        title: Heading.
        value_label: Meaning and unit of the values.
        spreads: Length of the whisker around each value's end, which is written in
            brackets too; None for no whisker.

    Raises:
        ValueError: If there is no bar, or not one label or spread for each value.
    """
    spreads = [None] * len(values) if spreads is None else spreads
    if not len(labels) == len(values) == len(spreads) or not values:
        raise ValueError(
            f'bar_chart got {len(labels)} labels, {len(values)} values and '
            f'{len(spreads)} spreads: give one label for each value, and at least one'
        )
    height = 1.2 + sum(0.32 + 0.14 * label.count('\n') for label in labels)
    figure = Figure(figsize=(9, height), dpi=100, layout='tight')
    axes = figure.add_subplot()
    positions = range(len(values))
    bars = axes.barh(positions, values, xerr=[(s or 0.0) / 2 for s in spreads])
    texts = [
        f'{value:.4g}' if spread is None else f'{value:.4g} ({spread:.2g})'
        for value, spread in zip(values, spreads, strict=True)
    ]
    axes.bar_label(bars, texts, padding=3)
    axes.margins(x=0.12 if all(spread is None for spread in spreads) else 0.2)
    axes.set_yticks(positions, [_shorten(label) for label in labels])
    axes.invert_yaxis()
    axes.set_xlabel(value_label)
    axes.set_title(title)
    axes.spines[['top', 'right']].set_visible(False)
    return pixels(figure)


def bar_panels(
    labels: Sequence[str], panels: Mapping[str, Sequence[float]], title: str = ''
) -> np.ndarray:
    """Draw panels of bars side by side, one row for each label, the first at the top.

    An axis begins at 0 and ends at 1 or 100, if the values may be shares or
    percentages, so that pictures of one run can be compared.

    Args:
        labels: Names of the rows; long ones lose their middle.
        panels: Values by heading, one for each label; NaN for a row without a bar.
        title: Heading of all.

    Raises:
        ValueError: If there is no panel, or not one value for each label.
    """
    if not panels or any(len(values) != len(labels) for values in panels.values()):
        raise ValueError(
            f'bar_panels got {len(panels)} panels for {len(labels)} labels: give at '
            'least one, with a value for each label'
        )
    size = (2 + 3.5 * len(panels), 1.2 + 0.3 * len(labels))
    figure = Figure(figsize=size, dpi=100, layout='tight')
    figure.suptitle(title)
    rows = range(len(labels))
    for number, (heading, values) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(1, len(panels), number)
        bars = axes.barh(rows, values)
        texts = ['' if np.isnan(value) else f'{value:.4g}' for value in values]
        axes.bar_label(bars, texts, padding=3)
        named = labels if number == 1 else [''] * len(labels)
        axes.set_yticks(rows, [_shorten(label) for label in named])
        axes.invert_yaxis()
        if np.nanmin(values) >= 0 and np.nanmax(values) <= 100:
            whole = 1 if np.nanmax(values) <= 1 else 100
            axes.set_xlim(0, 1.2 * whole)  # with room for the numbers
            axes.set_xticks(np.linspace(0, whole, 5))
        axes.set_title(heading)
        axes.spines[['top', 'right']].set_visible(False)
    return pixels(figure)


def brief_names(experiments: Sequence[str]) -> list[str]:
    """Names cut off at their first slash, if they stay distinct."""
    brief = [name.split('/')[0] for name in experiments]
    return brief if len(set(brief)) == len(brief) else list(experiments)


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        label: Its name in the legend.
        x: Places, from left to right.
        y: A value for each place.
        yerr: Half the height of whisker and band around each value; None for neither.
        reference: True for a line without measurements: dashed, grey, no markers.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    yerr: Sequence[float | None] | None = None
    reference: bool = False

    def __post_init__(self) -> None:
        yerr = self.y if self.yerr is None else self.yerr
        if not len(self.x) == len(self.y) == len(yerr) or not len(self.x):
            raise ValueError(
                f'line {self.label!r} has {len(self.x)} places, {len(self.y)} values '
                f'and {len(yerr)} yerr: give one of each, and at least one'
            )


@dataclass(frozen=True)
class Panel:
    """Curves over one axis.

    Attributes:
        x_label: Meaning and unit of the places.
        y_label: Meaning and unit of the values.
        lines: The curves.
        ticks: Places to name on the axis; chosen where None.
    """

    x_label: str
    y_label: str
    lines: Sequence[Line]
    ticks: Sequence[float] | None = None


def line_chart(panels: Sequence[Panel], title: str = '') -> np.ndarray:
    """Draw panels side by side.

    Args:
        panels: At least one.
        title: Heading of all.

    Raises:
        ValueError: If there is no panel, or one without a line.
    """
    if not panels or not all(panel.lines for panel in panels):
        raise ValueError('line_chart needs a panel, and a line in each')
    figure = Figure(figsize=(1 + 6 * len(panels), 4.5), dpi=100, layout='tight')
    figure.suptitle(title)
    for number, panel in enumerate(panels, start=1):
        _draw(figure.add_subplot(1, len(panels), number), panel)
    return pixels(figure)


def _draw(axes: Axes, panel: Panel) -> None:
    for line in panel.lines:
        if line.reference:
            axes.plot(line.x, line.y, '--', color='grey', label=line.label)
            continue
        (drawn,) = axes.plot(line.x, line.y, marker='o', markersize=4, label=line.label)
        # Not a number, or a place without a spread would look as if it had none at all.
        yerr = [np.nan if value is None else value for value in line.yerr or []]
        if np.isfinite(yerr).any():
            low = np.subtract(line.y, yerr)
            high = np.add(line.y, yerr)
            colour = drawn.get_color()
            axes.fill_between(line.x, low, high, color=colour, alpha=0.2, linewidth=0)
            # A single place has no band.
            axes.errorbar(line.x, line.y, yerr, fmt='none', ecolor=colour, elinewidth=1)
    if panel.ticks is not None:
        axes.set_xticks(panel.ticks)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.legend()
    axes.spines[['top', 'right']].set_visible(False)


def _shorten(label: str) -> str:
    half = (MAX_LABEL - 1) // 2
    return '\n'.join(
        line if len(line) <= MAX_LABEL else f'{line[:half]}…{line[-half:]}'
        for line in label.split('\n')
    )


def pixels(figure: Figure) -> np.ndarray:
    """Draw a figure into an image."""
    # A canvas of its own: pyplot would keep global state and choose a backend.
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
