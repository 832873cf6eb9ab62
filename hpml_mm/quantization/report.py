# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Report of a quantization as JSON, table and text."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mmengine.visualization import Visualizer
from rich.console import Console
from rich.table import Table

from hpml_mm.engine.trackers.tensorboard import TensorBoard
from hpml_mm.utils.messages import markdown_table

from .coverage import Coverage
from .latency import Latency
from .paired import Paired
from .search import SearchResult
from .sensitivity import LayerSQNR


@dataclass(frozen=True)
class EngineCost:
    """Latency and size of a network in one inference engine.

    Attributes:
        name: In tables, such as ``FP32 eager``.
        size_mib: Size mib of its file, or of its weights where it has none.
        latency: By batch size; empty where it was not measured.
    """

    name: str
    size_mib: float
    latency: Mapping[int, Latency]

    @property
    def slug(self) -> str:
        """The name as part of an experiment's."""
        return self.name.lower().replace(' ', '-')


@dataclass(frozen=True)
class QuantizationReport:
    """Scores, latencies, sizes and layers of one quantization.

    Attributes:
        method: ``dynamic``, ``ptq`` or ``qat``.
        backend: Name of the backend.
        before: Metrics in FP32.
        after: Metrics in INT8.
        pairs: Differences on the same images, by metric.
        eager: FP32 in eager PyTorch.
        fp32: FP32 in the backend's own engine.
        int8: INT8 in it.
        coverage: Layers in INT8 and in FP32.
        ranking: SQNR of each layer alone, worst first.
        search: Choice of the layers in FP32; None without a search.
        samples: Images of the calibration; 0 without one.
        output_sqnr: SQNR at the outputs, against the same weights in FP32, in dB.
        pixel_sqnr: The same of FP32 where each pixel is off by up to half a level.
    """

    method: str
    backend: str
    before: Mapping[str, float]
    after: Mapping[str, float]
    pairs: Mapping[str, Paired]
    eager: EngineCost
    fp32: EngineCost
    int8: EngineCost
    coverage: Coverage
    ranking: Sequence[LayerSQNR] = ()
    search: SearchResult | None = None
    samples: int = 0
    output_sqnr: float | None = None
    pixel_sqnr: float | None = None

    def record(self) -> dict[str, Any]:
        """Content as nested dicts, for JSON."""
        engines = (self.eager, self.fp32, self.int8)
        return {
            'method': self.method,
            'backend': self.backend,
            'calibration_samples': self.samples,
            'before': dict(self.before),
            'after': dict(self.after),
            'pairs': {
                name: {**asdict(pair), 'difference': pair.difference}
                for name, pair in self.pairs.items()
            },
            'engines': {one.slug: _engine_record(one) for one in engines},
            'speedup': {f'batch{b}': self.speedups(b) for b in self.int8.latency},
            'converted': [layer.name for layer in self.coverage.converted],
            'kept': {layer.name: layer.reason for layer in self.coverage.kept},
            'operations': dict(self.coverage.operations),
            'sqnr(dB)': {layer.name: layer.sqnr for layer in self.ranking},
            'output_sqnr(dB)': self.output_sqnr,
            'pixel_sqnr(dB)': self.pixel_sqnr,
            'search': None if self.search is None else asdict(self.search),
        }

    def speedups(self, batch: int) -> dict[str, float]:
        """Ratio of the median latency in each FP32 engine to that in INT8."""
        own = self.int8.latency[batch].p50
        return {
            'eager(x)': self.eager.latency[batch].p50 / own,
            'same_engine(x)': self.fp32.latency[batch].p50 / own,
        }


def table_rows(report: QuantizationReport) -> list[tuple[str, ...]]:
    """Name, FP32 eager, FP32 in the same engine, INT8; the first row is the header."""
    rows: list[tuple[str, ...]] = [
        ('', report.eager.name, report.fp32.name, report.int8.name)
    ]
    for name, pair in report.pairs.items():
        text = f'{pair.difference:+.4g} [{pair.low:+.4g}, {pair.high:+.4g}]'
        label = f'difference, {100 * pair.level:.0f} % interval, n={pair.n}'
        rows.append((name, f'{pair.before:.4g}', '', f'{pair.after:.4g}'))
        rows.append((label, '', '', text))
    for name, after in () if report.pairs else report.after.items():
        before = report.before.get(name)
        text = '' if before is None else f'{before:.4g}'
        rows.append((name, text, '', f'{after:.4g}'))
    engines = (report.eager, report.fp32, report.int8)
    for batch in report.int8.latency:
        for part in ('p50', 'p95'):
            cells = [f'{getattr(one.latency[batch], part):.3g}' for one in engines]
            rows.append((f'latency/{part}(ms), batch {batch}', *cells))
        gains = [f'{gain:.2f}x' for gain in report.speedups(batch).values()]
        rows.append((f'INT8 is faster by, batch {batch}', *gains, ''))
    rows.append(('size(MiB)', *(f'{one.size_mib:.3g}' for one in engines)))
    done, layers = report.coverage.converted, report.coverage.layers
    if report.output_sqnr is not None:
        rows.append(('SQNR of the outputs (dB)', '', '', f'{report.output_sqnr:.1f}'))
    if report.pixel_sqnr is not None:
        text = f'{report.pixel_sqnr:.1f}'
        rows.append(('the same, pixels off by half a level (dB)', text, '', ''))
    rows.append(('layers in INT8', '', '', f'{len(done)} of {len(layers)}'))
    return rows


def print_report(report: QuantizationReport, console: Console | None = None) -> None:
    """Print the table, and the layers in FP32 with their reasons."""
    console = console or Console()
    header, *rows = table_rows(report)
    table = Table(title=f'{report.method}, {report.backend}', title_justify='left')
    for name in header:
        table.add_column(name, overflow='fold')
    for row in rows:
        table.add_row(*row)
    console.print(table)
    for line in notes(report):
        console.print(line, markup=False, highlight=False)


def notes(report: QuantizationReport) -> list[str]:
    """Sentences on the layers in FP32, and on the search for them."""
    lines = [
        f'In FP32: {", ".join(names)} ({reason})'
        for reason, names in report.coverage.reasons().items()
    ]
    if report.coverage.operations:
        found = sorted(report.coverage.operations.items(), key=lambda each: -each[1])
        counts = ', '.join(f'{count} {name}' for name, count in found)
        lines.append(f'Operations that run: {counts}')
    if report.ranking:
        ranked = [f'{one.name} {one.sqnr:.1f} dB' for one in report.ranking]
        lines.append(f'SQNR of each layer alone, worst first: {", ".join(ranked)}')
    if report.search is not None:
        tried = [f'{one.kept}: {one.drop:.3g}' for one in report.search.trials]
        lines.append(
            'Drop in points by the number of layers that the search kept in FP32: '
            f'{", ".join(tried)}'
        )
    return lines


def markdown(report: QuantizationReport) -> str:
    """The table and the notes as Markdown, as TensorBoard shows texts."""
    header, *rows = table_rows(report)
    return '\n\n'.join([markdown_table(header, rows), *notes(report)])


def show_in_tensorboard(report: QuantizationReport, visualizer: Visualizer) -> None:
    """Add the report to TensorBoard's texts, if the run writes any."""
    backend = visualizer.get_backend('TensorboardVisBackend')
    tag = f'quantization/{report.method}-{report.backend}'
    if isinstance(backend, TensorBoard):  # which takes no run but a training
        backend.add_text(tag, markdown(report))
    elif backend is not None:
        backend.experiment.add_text(tag, markdown(report))


def _engine_record(engine: EngineCost) -> dict[str, Any]:
    record: dict[str, Any] = {'name': engine.name, 'size(MiB)': engine.size_mib}
    for batch, one in engine.latency.items():
        times = {
            f'latency/{key}(ms)': getattr(one, key) for key in ('p50', 'p95', 'iqr')
        }
        record[f'batch{batch}'] = {**times, 'n': one.n}
    return record
