# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Report of a comparison: a table, a sentence, and rows of a results file."""

from collections.abc import Callable, Sequence

from rich.console import Console, JustifyMethod
from rich.table import Table

from hpml_mm.experiments.rows import ResultRow, environment_columns, result_row
from hpml_mm.utils.stats import Quartiles, difference, percentile, quartiles, ratio

from .process import SideResult
from .session import Lap

THROUGHPUT = 'throughput(img/s)'
SPEEDUP = 'speedup(x)'
ITERATION = 'iteration_time(us)'
OVERHEAD = 'overhead(us)'
_MEDIAN, _TAIL = 'latency/median(ms)', 'latency/p95(ms)'
_OF_LAP: dict[str, Callable[[Lap], float]] = {
    THROUGHPUT: lambda lap: lap.images / lap.seconds,
    ITERATION: lambda lap: 1e6 * lap.seconds / lap.iterations,
    _MEDIAN: lambda lap: 1e3 * percentile(lap.latencies, 50),
    _TAIL: lambda lap: 1e3 * percentile(lap.latencies, 95),
}


def values_of(result: SideResult, metric: str) -> list[float]:
    """Value of one metric in each round of a side."""
    return [_OF_LAP[metric](lap) for lap in result.laps]


def metrics_of(mode: str) -> tuple[str, ...]:
    """Names of the metrics of a mode, one value for each side."""
    if mode == 'engine':
        return (ITERATION,)
    return (THROUGHPUT, _MEDIAN, _TAIL) if mode == 'infer' else (THROUGHPUT,)


def comparison_rows(
    mode: str, name: str, found: Sequence[SideResult], argv: Sequence[str]
) -> list[ResultRow]:
    """Rows of a results file: each side's metrics, then how they compare.

    The first side's baseline is the second one's value. ``speedup(x)`` is the same
    ratio with a spread of its own, the interquartile range of the rounds' ratios. An
    experiment is called NAME/LABEL; ``argv`` gives these numbers again.
    """
    rows = []
    for result in found:
        for metric in metrics_of(mode):
            centre = quartiles(values_of(result, metric))
            baseline = None
            if mode != 'engine' and result is found[0] and len(found) > 1:
                baseline = quartiles(values_of(found[1], metric)).median
            rows.append(_row(name, result, metric, centre, argv, baseline))
    if mode == 'engine':
        rows += [
            _row(name, result, OVERHEAD, overhead(result, found[-1]), argv)
            for result in found[:-1]
        ]
    elif len(found) > 1:
        rows.append(_row(name, found[0], SPEEDUP, speedup(found), argv))
    return rows


def speedup(found: Sequence[SideResult]) -> Quartiles:
    """Ratio of the first side's images/s to the second's."""
    return ratio(*(values_of(result, THROUGHPUT) for result in found[:2]))


def overhead(result: SideResult, plain: SideResult) -> Quartiles:
    """Overhead of a loop over plain PyTorch, in microseconds per iteration."""
    return difference(values_of(result, ITERATION), values_of(plain, ITERATION))


def print_comparison(
    mode: str, found: Sequence[SideResult], console: Console | None = None
) -> None:
    """Print table, verdict, profiles and environment of a comparison."""
    console = console or Console()
    console.print(comparison_table(mode, found))
    lines = [verdict(mode, found)]
    for result in found:
        lines.append(f'{result.side.label}: {result.note}' if result.note else '')
    for result in found:
        if result.profile:
            lines += [f'\nWhere the time went, {result.side.label}:', result.profile]
    for line in [*filter(None, lines), environment_line(found[0])]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def comparison_table(mode: str, found: Sequence[SideResult]) -> Table:
    """Table of the sides: speed and memory, or iteration time and overhead."""
    what = 'engine: a toy model' if mode == 'engine' else mode
    table = Table(title=f'{what}, median of {len(found[0].laps)} rounds')
    rows = [
        _engine_cells(result, found[-1])
        if mode == 'engine'
        else _speed_cells(result, mode == 'infer')
        for result in found
    ]
    for place, heading in enumerate(rows[0]):
        justify: JustifyMethod = 'right' if place else 'left'
        table.add_column(heading, justify=justify, overflow='fold')
    for row in rows:
        table.add_row(*row.values())
    return table


def verdict(mode: str, found: Sequence[SideResult]) -> str:
    """Sum a comparison up in one sentence; '' if there is only one side."""
    labels = [result.side.label for result in found]
    if mode == 'engine':
        ours = difference(*(values_of(result, ITERATION) for result in found[:2]))
        return (
            f'The hooks of {labels[0]} cost {ours.median:+.1f} us an iteration '
            f'{_range(ours, ".1f")} on top of the stock hooks.'
        )
    if len(found) < 2:
        return ''
    times = speedup(found)
    return (
        f'{labels[0]} does {times.median:.3g} times the images/s of {labels[1]} '
        f'{_range(times, ".3g")}.'
    )


def environment_line(result: SideResult) -> str:
    """Describe the environment of a side in one line."""
    env = result.environment
    columns = environment_columns(env)
    return (
        f'on {env["device"]}, cores: {env["cpu_count"]}, threads: {env["threads"]}, '
        f'torch {env["torch"]}, commit {columns["commit"][:10] or "unknown"}'
        f'{" with changes" if env["dirty"] else ""}'
    )


def digits(value: float, count: int = 4) -> str:
    """Format a positive number with ``count`` significant digits or more.

    >>> digits(38114.2), digits(0.0123456), digits(38114.2, 2)
    ('38,114', '0.01235', '38,114')
    """
    return f'{value:,.0f}' if value >= 10**count else f'{value:.{count}g}'


def _speed_cells(result: SideResult, latencies: bool) -> dict[str, str]:
    speed, lap = quartiles(values_of(result, THROUGHPUT)), result.laps[-1]
    cells = {
        'side': result.side.label,
        'batch': f'{lap.images / lap.iterations:.0f}',
        'images/s': digits(speed.median),
        'IQR': '-' if speed.iqr is None else digits(speed.iqr, 2),
        'ms/iteration': digits(quartiles(values_of(result, ITERATION)).median / 1e3),
    }
    if latencies:
        cells['p95 (ms)'] = digits(quartiles(values_of(result, _TAIL)).median)
    return cells | {'memory (GiB)': _number(lap.memory, '.2f')}


def _engine_cells(result: SideResult, plain: SideResult) -> dict[str, str]:
    time, cost = quartiles(values_of(result, ITERATION)), overhead(result, plain)
    own = result is plain
    return {
        'loop': result.side.label,
        'us/iteration': f'{time.median:.1f}',
        'IQR': _number(time.iqr, '.1f'),
        'over plain PyTorch (us)': '' if own else f'{cost.median:.1f}',
        'its IQR': '' if own else _number(cost.iqr, '.1f'),
    }


def _row(
    name: str,
    result: SideResult,
    metric: str,
    found: Quartiles,
    argv: Sequence[str],
    baseline: float | None = None,
) -> ResultRow:
    return result_row(
        f'{name}/{result.side.label}',
        metric,
        found.median_iqr,
        found.n,
        environment=result.environment,
        argv=argv,
        baseline=baseline,
    )


def _range(centre: Quartiles, form: str) -> str:
    if centre.n == 1:
        return '(one round)'
    low, high = format(centre.low, form), format(centre.high, form)
    return f'({low} to {high} in the middle half of {centre.n} pairs of rounds)'


def _number(value: float | None, form: str) -> str:
    return '-' if value is None else format(value, form)
