# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The Pareto front of a search as a picture and as a table."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hpml_mm.utils.files import replacing, write_atomic

from .search import Found


def write_front(path: Path, front: Sequence[Found]) -> None:
    """Write the front as CSV: a network a line, scores in percent.

    ``outside`` says why a network is unlike what the predictor learnt from.

    Raises:
        OSError: The disk is full, or the directory cannot be written to.
    """
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    names = ('arch', 'macs', 'params', 'predicted', 'predicted_spread', 'outside')
    writer.writerow(names)
    for one in front:
        spread = '' if one.spread is None else f'{one.spread:.4f}'
        costs = one.macs, one.params
        writer.writerow((one.arch, *costs, f'{one.score:.4f}', spread, one.outside))
    write_atomic(path, text.getvalue())


def draw_front(
    path: Path,
    found: Sequence[Found],
    front: Sequence[Found],
    task: str,
    published: tuple[np.ndarray, np.ndarray] | None = None,
) -> None:
    """Draw predicted scores over MACs: all networks as dots, the front as a line.

    Args:
        path: PNG file; it is written whole or not at all.
        found: All networks.
        front: Those of the front, by MACs.
        task: What is predicted, with its unit.
        published: MACs and measured scores of other networks, to be drawn beneath.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A figure of its own: pyplot would keep global state and choose a backend.
    figure = Figure(figsize=(7, 4.5), dpi=100, layout='tight')
    axes = figure.add_subplot()
    if published is not None:
        macs, scores = published
        axes.plot(macs / 1e6, scores, '.', color='lightgrey', label='measured')
    macs, scores = ([getattr(one, name) for one in found] for name in ('macs', 'score'))
    axes.plot(np.divide(macs, 1e6), scores, '.', markersize=3, label='predicted')
    macs, scores = ([getattr(one, name) for one in front] for name in ('macs', 'score'))
    axes.plot(np.divide(macs, 1e6), scores, '-', label='Pareto front')
    spreads = [one.spread or 0 for one in front]
    if any(spreads):
        low, high = np.subtract(scores, spreads), np.add(scores, spreads)
        axes.fill_between(
            np.divide(macs, 1e6), low, high, color='C1', alpha=0.2, linewidth=0
        )
    axes.set_xlabel('million MACs')
    axes.set_ylabel(task)
    axes.legend()
    axes.spines[['top', 'right']].set_visible(False)
    with replacing(path) as beside:
        FigureCanvasAgg(figure).print_png(beside)
