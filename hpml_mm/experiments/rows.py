# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Rows of ``results/*.csv``: one measured number each, with command and environment."""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

from hpml_mm.config.command.words import command_line
from hpml_mm.utils.files import locked, write_atomic
from hpml_mm.utils.messages import listed, shortened, shown
from hpml_mm.utils.text_file import csv_errors, read_text

# Digits that are kept of a number. A ratio is computed before they are cut, so the
# kept ones give it up to this tolerance only.
_DIGITS = 6
_TOLERANCE = 1e-4
# A file is read and written in less than one.
_LOCK_SECONDS = 60.0
# Metrics whose names hold no unit: FERMetric, MeanIoU, MMPretrain and the panoptic
# quality are percentages, after the split's name where there are several; MMPose gives
# fractions. Its PCK is left out: that of MPII is a percentage, the others are
# fractions. heatmap/... is HeatmapPCK's, PCK@... KeypointPCK's.
_COUNTS = ('epochs', 'iters', 'step_time/n')
_PERCENTAGES = {
    *('accuracy', 'f1-score', 'precision', 'recall'),
    *('IoU', 'mIoU', 'coco_panoptic'),
}
_FRACTIONS = {'coco', 'crowdpose', 'heatmap', 'AUC', 'NME'}


@dataclass(frozen=True)
class ResultRow:
    """One number of one experiment.

    Attributes:
        experiment: Experiment and variant, such as ``worker-sweep/workers=2``.
        metric: Name with its unit, such as ``throughput(img/s)``.
        unit: The unit alone.
        value: Median or mean over ``n`` runs.
        spread: Interquartile range of a median, standard deviation of a mean;
            ``None`` where one run has none.
        n: Runs behind the value.
        baseline: Value of the run that this one is compared with.
        command: Command that reproduces this number.
        commit: Commit of hpml_mm, with ``+dirty`` where it was changed.
        device: Device that it ran on.
        torch: Version of PyTorch.
        date: Day of the last run, as YYYY-MM-DD.
    """

    experiment: str
    metric: str
    unit: str
    value: float
    spread: float | None
    n: int
    baseline: float | None
    command: str
    commit: str
    device: str
    torch: str
    date: str

    def __post_init__(self) -> None:
        for name in ('experiment', 'metric', 'unit', 'command', 'device', 'torch'):
            if not getattr(self, name):
                raise ValueError(f'a result row needs {name}: {self}')
        for name in ('value', 'spread', 'baseline'):
            number = getattr(self, name)
            if number is not None and not math.isfinite(number):
                raise ValueError(f'{name} of {self.experiment} is {number}')
        if self.n < 1:
            raise ValueError(f'n of {self.experiment} counts runs, from 1: {self.n}')
        if (self.spread is None) != (self.n == 1):
            raise ValueError(
                f'{self.experiment} has n={self.n} and spread={self.spread}: several '
                'runs have a spread, and one run has none'
            )
        if self.baseline == 0:
            raise ValueError(f'{self.experiment}: no ratio to a baseline of 0')

    @property
    def ratio(self) -> float | None:
        """``value / baseline``."""
        return None if self.baseline is None else self.value / self.baseline

    @property
    def is_mean(self) -> bool:
        """True for a mean over seeds or draws, as the command says that it gives.

        Else it is taken for a median; means of a command without either are not told.
        """
        words = self.command.split()
        seeded = not {'--seeds', '--draws'}.isdisjoint(words)
        return seeded or words[:2] == ['hpml', 'search']


RESULT_COLUMNS = (
    *('experiment', 'metric', 'unit', 'value', 'spread', 'n', 'baseline', 'ratio'),
    *('command', 'commit', 'device', 'torch', 'date'),
)


def read_results(path: Path) -> list[ResultRow]:
    """Read and check a results file.

    Raises:
        ValueError: With file and row, for other columns, a value that is no
            number or is missing, and a ratio that is not ``value / baseline``.
    """
    rows = []
    for _, row in _rows_of(path):
        if isinstance(row, ValueError):
            raise row
        rows.append(row)
    return rows


def read_good_results(
    path: Path,
) -> tuple[list[tuple[int, ResultRow]], list[ValueError]]:
    """Read a results file as far as it can be read.

    Returns:
        Good rows with their lines, and what :func:`read_results` would raise for each
        of the others. An error that ends the file stands last.
    """
    good: list[tuple[int, ResultRow]] = []
    bad: list[ValueError] = []
    try:
        for line, row in _rows_of(path):
            if isinstance(row, ValueError):
                bad.append(row)
            else:
                good.append((line, row))
    except (OSError, ValueError) as error:
        bad.append(error if isinstance(error, ValueError) else ValueError(str(error)))
    return good, bad


def _rows_of(path: Path) -> Iterator[tuple[int, ResultRow | ValueError]]:
    """Yield each row, or its error, with its line."""
    with csv_errors(path):
        reader = csv.DictReader(io.StringIO(read_text(path), newline=''))
        if tuple(reader.fieldnames or ()) != RESULT_COLUMNS:
            raise ValueError(
                f'{path}: the columns are {listed(reader.fieldnames or ())}, not '
                f'{",".join(RESULT_COLUMNS)}'
            )
        for cells in reader:
            line = reader.line_num
            try:
                yield line, _parse(cells, f'{path}:{line}')
            except ValueError as error:
                yield line, error


def check_results(path: Path | None) -> None:
    """Refuse a file that no row could be added to, before hours of measuring.

    Raises:
        ValueError: If it is there, and is no results file.
    """
    if path is not None and Path(path).exists():
        read_results(Path(path))


def write_results(path: Path, rows: Iterable[ResultRow]) -> None:
    """Write a results file whole or not at all.

    Raises:
        OSError: If the disk is full; the file that was there stays as it was.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, RESULT_COLUMNS, lineterminator='\n')
    writer.writeheader()
    for row in rows:
        cells = asdict(row) | {'ratio': row.ratio}
        writer.writerow({name: _cell(value) for name, value in cells.items()})
    write_atomic(Path(path), text.getvalue())


def append_results(path: Path, rows: Iterable[ResultRow]) -> None:
    """Add rows to a results file, made where there is none.

    A row of the same experiment, metric, device and torch is replaced: it was
    measured again. Several processes may append at the same time, on a shared folder
    too: none of their rows is lost.

    Raises:
        ValueError: If the file is no results file.
        OSError: If it cannot be written; it then stays as it was.
    """
    rows = list(rows)
    new = {_identity(row) for row in rows}
    with locked(Path(path), _LOCK_SECONDS):
        old = read_results(path) if Path(path).exists() else []
        write_results(path, [*(r for r in old if _identity(r) not in new), *rows])


def unit_of(metric: str) -> str:
    """Unit of a metric, from its name or of a known score; '1' if it has none.

    Raises:
        ValueError: If the metric is not known, and its name holds no unit.
    """
    parts = metric.removeprefix('best/').split('/')
    fraction = parts[0] in _FRACTIONS or parts[0].startswith('PCK@')
    # 'epochs to coco/AP .1' is a count; 'coco/AP (M)' holds no unit.
    if metric.partition(' to ')[0] in _COUNTS or fraction:
        return '1'
    if metric.endswith(')') and '(' in metric:
        return metric[metric.rindex('(') + 1 : -1]
    if _PERCENTAGES & set(parts):
        return '%'
    raise ValueError(
        f'the unit of {metric!r} is not known: write it into the name, as in '
        'loss(nats), or add the metric to the table in hpml_mm/experiments/rows.py'
    )


class EnvironmentColumns(TypedDict):
    """Columns of a row that its environment fills."""

    commit: str
    device: str
    torch: str
    date: str


def environment_columns(environment: Mapping[str, Any]) -> EnvironmentColumns:
    """Commit, device, PyTorch and day of a row, from an environment."""
    dirty = '+dirty' if environment['dirty'] else ''
    return {
        'commit': f'{environment["commit"] or ""}{dirty}',
        'device': environment['device'],
        'torch': environment['torch'],
        'date': environment['date'][:10],
    }


def result_row(
    experiment: str,
    metric: str,
    centre: tuple[float, float | None],
    n: int,
    *,
    environment: Mapping[str, Any],
    argv: Sequence[str],
    baseline: float | None = None,
) -> ResultRow:
    """Make the row of a metric whose name holds its unit.

    ``centre`` is median and IQR, or mean and standard deviation, of ``n`` values;
    ``argv`` that of the command that gives the number again.

    Raises:
        ValueError: If the unit is not known, or a number is none.
    """
    return ResultRow(
        experiment=experiment,
        metric=metric,
        unit=unit_of(metric),
        value=centre[0],
        spread=centre[1],
        n=n,
        baseline=baseline,
        command=command_line(argv),
        **environment_columns(environment),
    )


def _identity(row: ResultRow) -> tuple[str, ...]:
    return (row.experiment, row.metric, row.device, row.torch)


def _cell(value: object) -> str:
    if value is None:
        return ''
    if isinstance(value, float):
        return f'{value:.{_DIGITS}g}'
    return str(value)


def _parse(cells: dict[str, str], place: str) -> ResultRow:
    try:
        values: dict[str, Any] = dict(cells)
        given = _number(values.pop('ratio'))
        for name, parse in (('value', float), ('n', int)):
            values[name] = parse(values[name])
        for name in ('spread', 'baseline'):
            values[name] = _number(values[name])
        row = ResultRow(**values)
    except (TypeError, ValueError) as error:
        raise ValueError(f'{place}: {shortened(str(error))}') from error
    if given is None or row.ratio is None:
        same = given is row.ratio
    else:
        same = math.isclose(given, row.ratio, rel_tol=_TOLERANCE)
    if not same:
        raise ValueError(
            f'{place}: ratio {shown(cells["ratio"])} is not '
            f'value / baseline = {row.ratio}'
        )
    return row


def _number(cell: str) -> float | None:
    return float(cell) if cell else None
