# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The Pareto front of a search as a picture and as a table."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hpml_mm.utils.files import replacing, write_atomic

from .ranking import ScoredNetwork

# Columns of predictions in a CSV file.
PREDICTED = ('predicted', 'predicted_std', 'out_of_distribution')


def write_front(path: Path, front: Sequence[ScoredNetwork]) -> None:
    """Write the front as CSV: a network a line, scores in the unit of the label.

    ``out_of_distribution`` is the reason why a network is, or nothing.

    Raises:
        OSError: The disk is full, or the directory cannot be written to.
    """
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(('arch', 'macs', 'params', *PREDICTED))
    for one in front:
        std = '' if one.std is None else f'{one.std:.4f}'
        costs = one.macs, one.params
        writer.writerow((one.name, *costs, f'{one.score:.4f}', std, one.ood))
    write_atomic(path, text.getvalue())


def draw_front(
    path: Path,
    found: Sequence[ScoredNetwork],
    front: Sequence[ScoredNetwork],
    task: str,
    published: tuple[np.ndarray, np.ndarray] | None = None,
) -> None:
    """Draw predicted scores over MACs: all networks as dots, the front as a line.

    Args:
        path: PNG file; it is written whole or not at all.
        found: All networks.
        front: Those of the front, by MACs.
        task: Label in words, with its unit.
        published: MACs and measured scores of other networks, to be drawn beneath.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A figure of its own: pyplot would keep global state and choose a backend.
    figure = Figure(figsize=(7, 4.5), dpi=100, layout='tight')
    axes = figure.add_subplot()
    if published is not None:
        measured, labels = published
        axes.plot(measured / 1e6, labels, '.', color='lightgrey', label='measured')
    axes.plot(*_points(found), '.', markersize=3, label='predicted')
    macs, scores = _points(front)
    axes.plot(macs, scores, '-', label='Pareto front')
    stds = np.array([np.nan if one.std is None else one.std for one in front])
    if np.isfinite(stds).any():
        low, high = scores - stds, scores + stds
        axes.fill_between(macs, low, high, color='C1', alpha=0.2, linewidth=0)
        # A single network has no band.
        axes.errorbar(macs, scores, stds, fmt='none', ecolor='C1', elinewidth=1)
    axes.set_xlabel('million MACs')
    axes.set_ylabel(task)
    axes.legend()
    axes.spines[['top', 'right']].set_visible(False)
    with replacing(path) as beside:
        FigureCanvasAgg(figure).print_png(beside)


def _points(networks: Sequence[ScoredNetwork]) -> tuple[np.ndarray, np.ndarray]:
    """Million MACs and scores of networks."""
    macs = np.array([one.macs / 1e6 for one in networks])
    return macs, np.array([one.score for one in networks])
