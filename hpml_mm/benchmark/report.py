# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What a comparison found: a table, a sentence, and rows of a results file."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from hpml_mm.experiments.rows import ResultRow, environment_columns, result_row
from hpml_mm.utils.stats import Quartiles, difference, percentile, quartiles, ratio

from .process import Measured

THROUGHPUT = 'throughput(img/s)'
SPEEDUP = 'speedup(x)'
# For each mode: metric, and how the table names it.
_LATENCIES = {'latency/median(ms)': 50, 'latency/p95(ms)': 95}
ITERATION = 'iteration_time(us)'
OVERHEAD = 'overhead(us)'


def values_of(measured: Measured, metric: str) -> list[float]:
    """A metric of each round.

    Args:
        measured: A side.
        metric: Images a second, microseconds an iteration, or a latency.

    Raises:
        ValueError: If the metric is unknown.
    """
    if metric == THROUGHPUT:
        return [lap.images / lap.seconds for lap in measured.laps]
    if metric == ITERATION:
        return [1e6 * lap.seconds / lap.iterations for lap in measured.laps]
    if metric in _LATENCIES:
        percent = _LATENCIES[metric]
        return [1e3 * percentile(lap.latencies, percent) for lap in measured.laps]
    raise ValueError(f'unknown metric {metric!r}')


def metrics_of(mode: str) -> tuple[str, ...]:
    """Metrics that a mode gives for each of its sides."""
    if mode == 'engine':
        return (ITERATION,)
    return (THROUGHPUT, *_LATENCIES) if mode == 'infer' else (THROUGHPUT,)


def comparison_rows(
    mode: str, name: str, found: Sequence[Measured], argv: Sequence[str]
) -> list[ResultRow]:
    """Rows of a results file: each side's metrics, then how they compare.

    The first side's baseline is the second one's value. ``speedup(x)`` is the same
    ratio with a spread of its own, the interquartile range of the rounds' ratios.

    Args:
        mode: What was measured.
        name: Name of the experiment; the sides' labels follow.
        found: The sides, the config's first.
        argv: ``sys.argv``, which gives these numbers again.
    """
    rows = []
    for measured in found:
        for metric in metrics_of(mode):
            centre = quartiles(values_of(measured, metric))
            baseline = None
            if mode != 'engine' and measured is found[0] and len(found) > 1:
                baseline = quartiles(values_of(found[1], metric)).median
            rows.append(_row(name, measured, metric, centre, argv, baseline))
    if mode == 'engine':
        rows += [
            _row(name, measured, OVERHEAD, overhead(measured, found[-1]), argv)
            for measured in found[:-1]
        ]
    elif len(found) > 1:
        rows.append(_row(name, found[0], SPEEDUP, speedup(found), argv))
    return rows


def speedup(found: Sequence[Measured]) -> Quartiles:
    """How many times the second side's images a second the first one does."""
    return ratio(*(values_of(measured, THROUGHPUT) for measured in found[:2]))


def overhead(measured: Measured, plain: Measured) -> Quartiles:
    """Microseconds an iteration that a loop costs over plain PyTorch."""
    return difference(values_of(measured, ITERATION), values_of(plain, ITERATION))


def print_comparison(
    mode: str, found: Sequence[Measured], console: Console | None = None
) -> None:
    """Print the table, what its ratio means, profiles, and what it ran on."""
    console = console or Console()
    console.print(engine_table(found) if mode == 'engine' else speed_table(mode, found))
    for sentence in sentences(mode, found):
        console.print(sentence, highlight=False, soft_wrap=True)
    for measured in found:
        if measured.note:
            line = f'{measured.side.label}: {measured.note}'
            console.print(line, highlight=False, soft_wrap=True)
    for measured in found:
        if measured.profile:
            console.print(f'\nWhere the time went, {measured.side.label}:')
            console.print(
                measured.profile, markup=False, highlight=False, soft_wrap=True
            )
    console.print(ground(found[0]), highlight=False, soft_wrap=True)


def speed_table(mode: str, found: Sequence[Measured]) -> Table:
    """Images a second of each side, and latencies where each image was waited for."""
    table = Table(title=f'{mode}: median of {len(found[0].laps)} rounds')
    table.add_column('side', overflow='fold')
    for heading in ('batch', 'images/s', 'IQR', 'ms/iteration'):
        table.add_column(heading, justify='right')
    if mode == 'infer':
        table.add_column('p95 (ms)', justify='right')
    table.add_column('memory (GiB)', justify='right')
    for measured in found:
        speed = quartiles(values_of(measured, THROUGHPUT))
        lap = measured.laps[-1]
        cells = [
            measured.side.label,
            f'{lap.images / lap.iterations:.0f}',
            digits(speed.median),
            '-' if speed.iqr is None else digits(speed.iqr, 2),
            digits(quartiles(values_of(measured, ITERATION)).median / 1e3),
        ]
        if mode == 'infer':
            tail = quartiles(values_of(measured, 'latency/p95(ms)'))
            cells.append(digits(tail.median))
        cells.append(_number(lap.memory, '{:.2f}'))
        table.add_row(*cells)
    return table


def engine_table(found: Sequence[Measured]) -> Table:
    """Microseconds an iteration of each loop, and what it costs over the plain one."""
    rounds = len(found[0].laps)
    table = Table(title=f'engine: a toy model, median of {rounds} rounds')
    table.add_column('loop', overflow='fold')
    for heading in ('us/iteration', 'IQR', 'over plain PyTorch (us)', 'IQR'):
        table.add_column(heading, justify='right')
    for measured in found:
        time = quartiles(values_of(measured, ITERATION))
        cells = [
            measured.side.label,
            f'{time.median:.1f}',
            _number(time.iqr, '{:.1f}'),
        ]
        if measured is not found[-1]:
            cost = overhead(measured, found[-1])
            cells += [f'{cost.median:.1f}', _number(cost.iqr, '{:.1f}')]
        table.add_row(*cells)
    return table


def sentences(mode: str, found: Sequence[Measured]) -> list[str]:
    """What was compared and what the numbers mean, in words."""
    labels = [measured.side.label for measured in found]
    if mode == 'engine':
        ours = difference(*(values_of(measured, ITERATION) for measured in found[:2]))
        return [
            f'The hooks of {labels[0]} cost {ours.median:+.1f} us an iteration '
            f'{_range(ours, ".1f")} on top of the stock hooks.'
        ]
    if len(found) < 2:
        return []
    times = speedup(found)
    return [
        f'{labels[0]} does {times.median:.3g} times the images/s of {labels[1]} '
        f'{_range(times, ".3g")}.'
    ]


def ground(measured: Measured) -> str:
    """What a side ran on, in a line."""
    env = measured.environment
    columns = environment_columns(env)
    return (
        f'on {env["device"]}, cores: {env["cpu_count"]}, threads: {env["threads"]}, '
        f'torch {env["torch"]}, commit {columns["commit"][:10] or "unknown"}'
        f'{" with changes" if env["dirty"] else ""}'
    )


def digits(value: float, count: int = 4) -> str:
    """A positive number with so many digits, but never fewer than it has as an integer.

    >>> digits(38114.2), digits(0.0123456), digits(38114.2, 2)
    ('38,114', '0.01235', '38,114')
    """
    return f'{value:,.0f}' if value >= 10**count else f'{value:.{count}g}'


def _row(
    name: str,
    measured: Measured,
    metric: str,
    found: Quartiles,
    argv: Sequence[str],
    baseline: float | None = None,
) -> ResultRow:
    return result_row(
        f'{name}/{measured.side.label}',
        metric,
        found.median_iqr,
        found.n,
        environment=measured.environment,
        argv=argv,
        baseline=baseline,
    )


def _range(centre: Quartiles, form: str) -> str:
    if centre.n == 1:
        return '(one round)'
    low, high = format(centre.low, form), format(centre.high, form)
    return f'({low} to {high} in the middle half of {centre.n} pairs of rounds)'


def _number(value: float | None, form: str) -> str:
    return '-' if value is None else form.format(value)
