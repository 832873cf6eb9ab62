# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Reading, comparing and printing the ``summary.json`` of runs."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hpml_mm.utils.messages import shown as shortly
from hpml_mm.utils.text_file import read_json

from .rows import unit_of

Summary = Mapping[str, Any]

# What must be the same of two environments, for numbers to be compared.
_SAME = ('commit', 'dirty', 'device', 'torch')
# So many metrics of one kind are those of classes or keypoints.
_FOLDED = 4
# Measurement, its name in a table, and its format.
_MEASURED = (
    ('throughput(img/s)', 'images/s', '{:,.0f}'),
    ('data_wait(%)', 'data wait', '{:.1f} %'),
    ('memory/peak(GiB)', 'peak memory', '{:.2f} GiB'),
)


def read_summary(path: Path) -> Summary | None:
    """Read a ``summary.json``; None if it is missing.

    Raises:
        ValueError: It is no JSON object: it is damaged.
    """
    if not path.is_file():
        return None
    summary = read_json(path, finite=True)
    if not isinstance(summary, dict):
        raise ValueError(f'{path} holds {shortly(summary)}, not the summary of a run')
    return summary


def finished_summary(path: Path) -> Summary | None:
    """Summary of a run that has finished; errors are those of :func:`read_summary`."""
    summary = read_summary(path)
    return summary if summary and summary.get('status') == 'finished' else None


def read_runs(places: Iterable[Path]) -> dict[str, Summary]:
    """Summaries of finished trainings, by their work directories.

    Raises:
        FileNotFoundError: If a place holds no summary.
        ValueError: If it is given twice, or its training has not finished.
    """
    runs: dict[str, Summary] = {}
    for place in places:
        path = place / 'summary.json' if place.is_dir() else place
        if path.name != 'summary.json' or not path.is_file():
            raise FileNotFoundError(f'{place} is no work directory with a summary.json')
        summary = finished_summary(path)
        if summary is None or summary.get('mode') == 'test':
            raise ValueError(f'{path} tells of no finished training')
        name = str(path.parent)
        if name in runs:
            raise ValueError(f'{name} is given twice: each run counts once')
        runs[name] = summary
    return runs


def refuse_mixed(
    values: Mapping[str, Any], what: str, remedy: str = 'compare those that are alike'
) -> None:
    """Refuse to compare runs that differ in something that must be the same.

    Raises:
        ValueError: With the names of those that differ from the first one, and their
            values where these are short.
    """
    if not values:
        return

    def shown(name: str) -> str:
        value = values[name]
        return name if isinstance(value, Mapping | list) else f'{name} {value}'

    first, *others = values
    others = [name for name in others if values[name] != values[first]]
    if others:
        raise ValueError(
            f'{shown(first)} differs in {what} from {", ".join(map(shown, others))}: '
            f'{remedy}'
        )


def check_same_environment(
    environments: Mapping[str, Mapping[str, Any]],
    remedy: str = 'compare those that are alike',
) -> None:
    """Refuse to compare runs on different code, PyTorch or devices.

    Raises:
        ValueError: If one differs from the first one; it names those that do.
    """
    for key in _SAME:
        found = {name: each[key] for name, each in environments.items()}
        refuse_mixed(found, key, remedy)


def summary_value(summary: Summary, key: str) -> Any:
    """Value of a summary by its dotted key; None where there is none."""
    value: Any = summary
    for part in key.split('.'):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def metric_of(summary: Summary, metric: str) -> float:
    """Number of a run by its name.

    It is a measurement, a metric of the last validation, ``best/`` of one, or a count
    or the wall time of the training.

    Raises:
        ValueError: If the run does not know it.
    """
    held = {f'best/{name}': v for name, v in (summary.get('best') or {}).items()}
    for part in ('train', 'metrics', 'measurements'):
        held |= summary.get(part) or {}
    value = held.get(metric)
    if isinstance(value, bool) or not isinstance(value, int | float):
        reason = held.get(_reason_name(metric))
        because = f' ({reason})' if reason else ''
        raise ValueError(
            f'the run has no number for {metric!r} but {value!r}{because}; it knows '
            f'{", ".join(sorted(held)) or "nothing"}'
        )
    return float(value)


def summary_rows(summary: Summary) -> list[tuple[str, str]]:
    """Rows of name and value that sum a run up.

    A measurement that is not known reads "unknown", with the reason where there is one.
    Percentages have two decimals, fractions such as AP and PCK four, which is the same
    resolution.
    """
    rows = [('status', str(summary.get('status', 'unknown')))]
    for prefix, part in (('', 'metrics'), ('best ', 'best')):
        values = summary.get(part) or {}
        rows += [(f'{prefix}{n}', _number(v, _form(n))) for n, v in values.items()]
    if summary.get('mode') != 'test':
        measured = summary.get('measurements') or {}
        for name, label, form in _MEASURED:
            shown = _number(measured.get(name), form)
            reason = measured.get(_reason_name(name))
            rows.append((label, f'{shown}: {reason}' if reason else shown))
        if measured.get('verdict'):
            rows.append(('verdict', str(measured['verdict'])))
    return rows


def short_rows(summary: Summary) -> list[tuple[str, str]]:
    """Rows of :func:`summary_rows` with one for all classes, and without a verdict.

    At least four metrics whose names begin alike, such as ``recall/Happy``, are one row
    with the least and the most of them. The group of the best metric stays as it is.
    """
    groups: dict[str, dict[str, float]] = {}
    metrics = summary.get('metrics') or {}
    for name, value in metrics.items():
        prefix, slash, label = name.rpartition('/')
        if slash and isinstance(value, int | float):
            groups.setdefault(prefix, {})[label] = value
    spared = {name.rpartition('/')[0] for name in summary.get('best') or {}}
    folded: dict[str, Any] = {}
    for name, value in metrics.items():
        prefix = name.rpartition('/')[0]
        group = groups.get(prefix, {})
        if len(group) < _FOLDED or prefix in spared:
            folded[name] = value
            continue
        folded[f'{prefix}/*'] = _span(group, _form(name))
    rows = summary_rows({**summary, 'metrics': folded})
    return [row for row in rows if row[0] != 'verdict']


def _span(values: Mapping[str, float], form: str) -> str:
    """Least and most of some values, and their names where they are not the same."""
    least, most = (
        min(values, key=values.__getitem__),
        max(values, key=values.__getitem__),
    )
    ends = form.format(values[least]), form.format(values[most])
    if ends[0] == ends[1]:
        return f'{ends[0]} each of {len(values)}'
    return f'{ends[0]} ({least}) to {ends[1]} ({most})'


def print_table(
    title: str, rows: Iterable[tuple[str, str]], console: Console | None = None
) -> None:
    """Print rows of two columns."""
    table = Table(title=title, show_header=False, title_justify='left')
    table.add_column()
    table.add_column(justify='left', overflow='fold')
    for row in rows:
        table.add_row(*row)
    (console or Console()).print(table)


def _form(metric: str) -> str:
    """Format of a score by its unit; four digits where that is not known."""
    try:
        unit = unit_of(metric)
    except ValueError:
        return '{:.4g}'
    return '{:.2f}' if unit == '%' else '{:.4f}'


def _reason_name(metric: str) -> str:
    """Name under which a hook says why this measurement is not known."""
    return f'{metric.partition("(")[0]}/reason'


def _number(value: Any, form: str) -> str:
    if value is None:
        return 'unknown'
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return form.format(value) if is_number else str(value)
