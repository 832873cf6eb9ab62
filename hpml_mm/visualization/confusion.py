# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A confusion matrix as a picture."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hpml_mm.evaluation import functional as F
from hpml_mm.utils.charts import pixels

# More classes than these are drawn without numbers in their cells, with some names.
MAX_WRITTEN = 30


def draw_confusion_matrix(
    matrix: np.ndarray, classes: Sequence[str], title: str = ''
) -> np.ndarray:
    """Draw a confusion matrix whose rows are shares of the true class.

    Each cell shows the share in percent and, below it, the count; above
    ``MAX_WRITTEN`` classes its colour alone. A row without a sample stays empty. The
    accuracy and the number of samples stand in the title.

    Args:
        matrix: Counts of shape (K, K): rows are true classes, columns predictions.
        classes: K names.
        title: What was evaluated, such as ``'PublicTest, epoch 3'``.

    Returns:
        RGB picture of shape (H, W, 3), uint8.

    Raises:
        ValueError: If the matrix does not have one row and column a class.
    """
    matrix = np.asarray(matrix)
    if matrix.shape != (len(classes), len(classes)):
        raise ValueError(
            f'draw_confusion_matrix: a matrix of shape {matrix.shape} for '
            f'{len(classes)} classes; it needs a row and a column for each'
        )
    side = 2.2 + 0.75 * min(len(classes), MAX_WRITTEN)
    figure = Figure(figsize=(side + 2.2, side), dpi=100, layout='constrained')
    axes = figure.add_subplot()
    shares = _row_shares(matrix)
    # 'auto': with square cells the layout leaves no room for the labels.
    image = axes.imshow(
        np.ma.masked_invalid(shares), cmap='Blues', vmin=0, vmax=100, aspect='auto'
    )
    figure.colorbar(image, ax=axes, fraction=0.046, label='share of the true class (%)')
    if len(classes) <= MAX_WRITTEN:
        _write_cells(axes, matrix, shares)
    _label(axes, matrix, classes, title)
    return pixels(figure)


def _row_shares(matrix: np.ndarray) -> np.ndarray:
    """Percentages of each row's sum; NaN in a row without a sample."""
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.full(matrix.shape, np.nan)
    np.divide(100.0 * matrix, totals, out=shares, where=totals > 0)
    return shares


def _write_cells(axes: Axes, matrix: np.ndarray, shares: np.ndarray) -> None:
    for (row, column), count in np.ndenumerate(matrix):
        share = shares[row, column]
        if np.isnan(share):
            continue
        axes.text(
            column,
            row,
            f'{share:.1f}\n{count:,}',
            ha='center',
            va='center',
            fontsize=9,
            color='white' if share > 55 else 'black',
        )


def _label(axes: Axes, matrix: np.ndarray, classes: Sequence[str], title: str) -> None:
    # Every class that has a place for its name.
    ticks = range(0, len(classes), -(-len(classes) // MAX_WRITTEN))
    columns = [classes[tick] for tick in ticks]
    axes.set_xticks(ticks, columns, rotation=35, ha='right', rotation_mode='anchor')
    totals = matrix.sum(axis=1)
    rows = [f'{classes[tick]} ({totals[tick]:,})' for tick in ticks]
    axes.set_yticks(ticks, rows)
    axes.set_xlabel('predicted')
    axes.set_ylabel('true (number of samples)')
    accuracy = F.accuracy(matrix)
    result = (
        'no samples'
        if np.isnan(accuracy)
        else f'accuracy {100 * accuracy:.2f} % of {matrix.sum():,}'
    )
    axes.set_title(f'{title}: {result}' if title else result)
