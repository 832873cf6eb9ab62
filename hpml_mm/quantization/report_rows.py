# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Rows of a results file for one quantization."""

import math
from collections.abc import Mapping
from typing import Any

from hpml_mm.experiments.rows import ResultRow, environment_columns

from .report import EngineCost, QuantizationReport
from .settings import QuantizationSettings

# Metric, unit, value, IQR, n and baseline of a row.
_Values = tuple[str, str, float, float | None, int, float | None]


def result_rows(
    report: QuantizationReport,
    name: str,
    command: str,
    environment: Mapping[str, Any],
) -> list[ResultRow]:
    """Rows of all three engines.

    INT8 is compared with FP32 in the same engine; its speed-up over eager PyTorch is a
    row of its own. A score in INT8 is compared with that in FP32.

    Args:
        report: Report of the quantization.
        name: Name of the experiment, such as the config's.
        command: Command that measures it again.
        environment: Result of :func:`hpml_mm.utils.env.environment`.
    """
    int8 = report.int8.slug.replace('int8', f'int8-{report.method}')
    values = {
        report.eager.slug: _engine_values(report.eager) + _exact_values(report),
        int8: _engine_values(report.int8, report.fp32) + _quantized_values(report),
    }
    # Eager PyTorch may be the backend's own engine.
    values.setdefault(report.fp32.slug, _engine_values(report.fp32))
    columns = environment_columns(environment)
    return [
        ResultRow(f'{name}/{label}', *value, command, **columns)
        for label, found in values.items()
        for value in found
    ]


def rows_of_nothing(
    settings: QuantizationSettings,
    layers: int,
    name: str,
    command: str,
    environment: Mapping[str, Any],
) -> list[ResultRow]:
    """Rows of a conversion that left all layers in FP32; see :func:`result_rows`."""
    label = f'{name}/int8-{settings.method}-{settings.backend}'
    columns = environment_columns(environment)
    return [
        ResultRow(label, metric, '1', value, None, 1, None, command, **columns)
        for metric, value in (('layers/int8', 0), ('layers/fp32', layers))
    ]


def _engine_values(engine: EngineCost, base: EngineCost | None = None) -> list[_Values]:
    size = None if base is None else base.size_mib
    values: list[_Values] = [('size(MiB)', 'MiB', engine.size_mib, None, 1, size)]
    for batch, one in engine.latency.items():
        other = None if base is None else base.latency[batch]
        p50, p95 = (None, None) if other is None else (other.p50, other.p95)
        prefix = f'latency/batch{batch}'
        values += [  # both of the same calls, whose IQR it is
            (f'{prefix}/p50(ms)', 'ms', one.p50, one.iqr, one.n, p50),
            (f'{prefix}/p95(ms)', 'ms', one.p95, one.iqr, one.n, p95),
        ]
    return values


def _exact_values(report: QuantizationReport) -> list[_Values]:
    """Scores in FP32."""
    found: list[_Values] = [
        (name, pair.unit, pair.before, None, 1, None)
        for name, pair in report.pairs.items()
    ]
    if report.pixel_sqnr is not None and math.isfinite(report.pixel_sqnr):
        found.append(('pixel_sqnr(dB)', 'dB', report.pixel_sqnr, None, 1, None))
    return found


def _quantized_values(report: QuantizationReport) -> list[_Values]:
    found: list[tuple[str, str, float, float | None]] = []
    for name, pair in report.pairs.items():
        found += [
            (name, pair.unit, pair.after, pair.before or None),
            (f'{name}/drop(points)', 'points', pair.points(pair.drop), None),
            (f'{name}/drop_low(points)', 'points', pair.points(-pair.high), None),
            (f'{name}/drop_high(points)', 'points', pair.points(-pair.low), None),
            (f'{name}/samples', '1', pair.n, None),
        ]
    for batch in report.int8.latency:
        found += [
            (f'speedup/batch{batch}/{against}', 'x', gain, None)
            for against, gain in report.speedups(batch).items()
        ]
    if report.output_sqnr is not None and math.isfinite(report.output_sqnr):
        found.append(('output_sqnr(dB)', 'dB', report.output_sqnr, None))
    converted, kept = len(report.coverage.converted), len(report.coverage.kept)
    counts = {'layers/int8': converted, 'layers/fp32': kept}
    for name, count in report.coverage.operations.items():
        counts[f'operations/{name}'] = count
    found += [(name, '1', count, None) for name, count in counts.items()]
    return [(metric, unit, value, None, 1, base) for metric, unit, value, base in found]
