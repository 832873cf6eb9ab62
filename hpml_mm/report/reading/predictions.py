# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Predicted and measured scores, from tables of ``hpml nas predict --table``."""

import csv
import io
import math
import statistics
from collections.abc import Iterable
from pathlib import Path

from hpml_mm.report.content import Prediction, PredictionsData, Problem
from hpml_mm.utils.stats import rank_correlation
from hpml_mm.utils.text_file import csv_errors, read_text

from .curves import thin

#: Names of a column of measured scores.
MEASURED = ('measured', 'label', 'score', 'accuracy')
_NAMES = ('arch', 'name', 'network')
_MOST = 2000


def is_predictions(header: tuple[str, ...]) -> bool:
    """Return whether columns hold predicted and measured scores."""
    return 'predicted' in header and any(name in header for name in MEASURED)


def read_predictions(
    paths: Iterable[Path], problems: list[Problem]
) -> list[PredictionsData]:
    """Read tables of predictions; a line without both numbers becomes a problem."""
    found = []
    for path in paths:
        points = _points(path, problems)
        if not points:
            continue
        predicted = [point.predicted for point in points]
        measured = [point.measured for point in points]
        found.append(
            PredictionsData(
                title=path.stem,
                place=str(path),
                unit='%',
                points=thin(points, _MOST),
                n=len(points),
                # Two points are always in order.
                srcc=rank_correlation(predicted, measured) if len(points) > 2 else None,
                mae=statistics.mean(abs(p.predicted - p.measured) for p in points),
            )
        )
    return found


def _points(path: Path, problems: list[Problem]) -> list[Prediction]:
    points: list[Prediction] = []
    try:
        with csv_errors(path):
            reader = csv.DictReader(io.StringIO(read_text(path), newline=''))
            header = reader.fieldnames or ()
            measured = next(name for name in MEASURED if name in header)
            name = next((name for name in _NAMES if name in header), None)
            for cells in reader:
                place = f'{path}:{reader.line_num}'
                try:
                    std = cells.get('predicted_std')
                    point = Prediction(
                        cells[name] if name else str(len(points)),
                        _finite(cells['predicted']),
                        _finite(std) if std else None,
                        _finite(cells[measured]),
                    )
                except (TypeError, ValueError) as error:
                    problems.append(Problem(place, f'no prediction: {error}'))
                else:
                    points.append(point)
    except (OSError, ValueError) as error:
        problems.append(Problem(str(path), str(error)))
    return points


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f'{text} is no score')
    return value
