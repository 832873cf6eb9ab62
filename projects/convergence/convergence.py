# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Convergence of a metric for several settings, with several seeds each."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpml_mm.experiments.rows import ResultRow, result_row
from hpml_mm.experiments.runs import check_same_environment, read_runs, refuse_mixed
from hpml_mm.utils.charts import Line, Panel, line_chart
from hpml_mm.utils.messages import markdown_table
from hpml_mm.utils.stats import mean_std

from .curves import Curve, read_curve

# Settings by label, and the runs of each.
Curves = Mapping[str, Sequence[Curve]]


@dataclass(frozen=True)
class Point:
    """Metric of a setting after one epoch, over its seeds.

    Attributes:
        epoch: Epochs trained.
        samples: Training samples seen till then, repeated ones included.
        mean: Mean of the metric over the seeds.
        std: Sample standard deviation, None for a single seed.
        n: Seeds.
    """

    epoch: int
    samples: int
    mean: float
    std: float | None
    n: int


def read_sweep(root: Path, metric: str) -> dict[str, list[Curve]]:
    """Curves of all runs of a sweep, by label.

    Args:
        root: Folder of ``LABEL/seedN`` work directories, as ``hpml sweep`` leaves
            below ``work_dirs/sweep``.
        metric: A metric of the validation.

    Raises:
        FileNotFoundError: If there are no runs, or one has no summary.
        ValueError: If a run has not finished, runs of one label differ in batch,
            samples or validated epochs, or any differ in code, PyTorch or device.
    """
    places = sorted(place for place in root.glob('*/*') if place.is_dir())
    if not places:
        raise FileNotFoundError(f'{root} holds no LABEL/RUN work directories')
    curves: dict[str, list[Curve]] = {}
    for name, summary in read_runs(places).items():
        label = Path(name).parent.name
        curves.setdefault(label, []).append(read_curve(name, summary, metric))
    runs = [curve for held in curves.values() for curve in held]
    check_same_environment({run.name: run.environment for run in runs})
    for held in curves.values():
        refuse_mixed({run.name: run.batch for run in held}, 'batch')
        refuse_mixed({run.name: run.samples for run in held}, 'samples of an epoch')
        refuse_mixed({run.name: list(run.values) for run in held}, 'validated epochs')
    return dict(sorted(curves.items(), key=lambda item: (item[1][0].batch, item[0])))


def mean_curve(runs: Sequence[Curve]) -> list[Point]:
    """Mean and std over the runs of one setting, epoch by epoch."""
    points = []
    for epoch in runs[0].values:
        values = [run.values[epoch] for run in runs]
        mean, std = mean_std(values)
        seen = epoch * runs[0].samples
        points.append(Point(epoch, seen, mean, std, len(values)))
    return points


def epochs_to(run: Curve, target: float) -> int | None:
    """Epochs until the metric first reaches the target; None if it never does.

    Nothing is interpolated: a run that is validated every five epochs knows no better.
    """
    reached = (epoch for epoch, value in run.values.items() if value >= target)
    return min(reached, default=None)


def noise(run: Curve) -> float | None:
    """Standard deviation of the metric from one validation to the next, without trend.

    Each validation is compared with the line through its two neighbours (Gasser, Sroka
    and Jennen-Steinmetz, Biometrika 1986, equation 2.4). The first half is left out: it
    bends, as the metric still grows fast.

    Returns:
        In units of the metric; None for less than three validations in the later half.
    """
    values = list(run.values.items())[len(run.values) // 2 :]
    residuals = []
    for before, here, after in zip(values, values[1:], values[2:], strict=False):
        share = (after[0] - here[0]) / (after[0] - before[0])
        line = share * before[1] + (1 - share) * after[1]
        scale = share**2 + (1 - share) ** 2 + 1
        residuals.append((line - here[1]) ** 2 / scale)
    return float(np.mean(residuals)) ** 0.5 if residuals else None


def convergence_rows(
    name: str,
    curves: Curves,
    metric: str,
    targets: Sequence[float],
    argv: Sequence[str],
) -> list[ResultRow]:
    """Row for each setting and epoch, its noise, and each target that all seeds reach.

    Args:
        name: Name of the experiment.
        curves: From :func:`read_sweep`.
        metric: Name of the metric.
        targets: Values to reach.
        argv: ``sys.argv`` of the command.

    Raises:
        ValueError: If the metric's unit is not known, or a value of it is no number.
    """
    return [
        result_row(
            f'{name}/{label}{place}',
            shown,
            centre,
            len(runs),
            environment=runs[-1].environment,
            argv=argv,
        )
        for label, runs in curves.items()
        for place, shown, centre in _numbers(runs, metric, targets)
    ]


def targets_table(curves: Curves, metric: str, targets: Sequence[float]) -> str:
    """Markdown table of the best mean and the epochs to each target.

    Where not all seeds reach a target, the cell says how many do.
    """
    heads = ['setting', 'batch', 'n', f'best mean {metric}']
    heads += [f'epochs to {target:g}' for target in targets]
    lines = []
    for label, runs in curves.items():
        best = max(mean_curve(runs), key=lambda point: point.mean)
        cells = [label, str(runs[0].batch), str(len(runs))]
        cells.append(f'{_with_std(best.mean, best.std)}, epoch {best.epoch}')
        cells += [_reached(runs, target) for target in targets]
        lines.append(cells)
    return markdown_table(heads, lines)


def draw_convergence(curves: Curves, metric: str, title: str = '') -> np.ndarray:
    """Mean and standard deviation by epoch, and by samples seen, a line a setting.

    Returns:
        RGB image of type uint8, height x width x 3.
    """
    panels = []
    for name, place in (('epoch', 'epoch'), ('training samples seen', 'samples')):
        lines = []
        for label, runs in curves.items():
            points = mean_curve(runs)
            x = [getattr(point, place) for point in points]
            y = [point.mean for point in points]
            stds = [point.std for point in points]
            shown = f'{label}: batch {runs[0].batch}, n={len(runs)}'
            lines.append(Line(shown, x, y, stds))
        panels.append(Panel(name, metric, lines))
    return line_chart(panels, title)


def _numbers(
    runs: Sequence[Curve], metric: str, targets: Sequence[float]
) -> Iterator[tuple[str, str, tuple[float, float | None]]]:
    """(place, metric, mean and standard deviation) of each of a setting's rows."""
    for point in mean_curve(runs):
        yield f'/epoch={point.epoch}', metric, (point.mean, point.std)
    noises = [found for run in runs if (found := noise(run)) is not None]
    if noises:
        yield '', f'{metric}/noise', mean_std(noises)
    for target in targets:
        epochs = _epochs(runs, target)
        if len(epochs) == len(runs):  # a mean of those that did would flatter
            yield '', f'epochs to {metric} {target:g}', mean_std(epochs)


def _epochs(runs: Sequence[Curve], target: float) -> list[int]:
    """Epochs to a target, of the runs that reach it."""
    found = (epochs_to(run, target) for run in runs)
    return [epochs for epochs in found if epochs is not None]


def _reached(runs: Sequence[Curve], target: float) -> str:
    epochs = _epochs(runs, target)
    if len(epochs) < len(runs):
        return f'not reached by {len(runs) - len(epochs)} of {len(runs)}'
    return _with_std(*mean_std(epochs))


def _with_std(mean: float, std: float | None) -> str:
    return f'{mean:.4g}' if std is None else f'{mean:.4g} ± {std:.2g}'
