# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The table, the rows and the text of one quantization."""

import io
import json
from dataclasses import replace

import pytest
from mmengine.visualization import Visualizer
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hpml_mm.experiments.rows import read_results, write_results
from hpml_mm.quantization.coverage import Coverage, LayerCoverage
from hpml_mm.quantization.latency import Latency
from hpml_mm.quantization.paired import Paired
from hpml_mm.quantization.report import (
    EngineCost,
    QuantizationReport,
    markdown,
    print_report,
    show_in_tensorboard,
    table_rows,
)
from hpml_mm.quantization.report_rows import result_rows
from hpml_mm.quantization.search import SearchResult, Trial
from hpml_mm.quantization.sensitivity import LayerSQNR
from hpml_mm.utils.files import dump_strict

ENVIRONMENT = {
    'commit': 'abc',
    'dirty': False,
    'device': 'cpu',
    'torch': '2.12.1',
    'date': '2026-01-02T03:04:05',
}


def engine(name: str, milliseconds: float, mib: float) -> EngineCost:
    latency = {
        batch: Latency(milliseconds * batch, 2 * milliseconds * batch, 0.5, 200)
        for batch in (1, 32)
    }
    return EngineCost(name, mib, latency)


REPORT = QuantizationReport(
    method='ptq',
    backend='onnxruntime',
    before={'accuracy/top1': 66.0, 'f1-score/macro': 61.0},
    after={'accuracy/top1': 65.75, 'f1-score/macro': 60.0},
    pairs={'PublicTest/accuracy/top1': Paired(66.0, 65.75, -0.5, 0.0, 3589)},
    eager=engine('FP32 eager', 6.0, 0.24),
    fp32=engine('FP32 onnxruntime', 2.0, 0.25),
    int8=engine('INT8 onnxruntime', 1.0, 0.125),
    coverage=Coverage(
        (
            LayerCoverage('stem', 'asked for'),
            LayerCoverage('block'),
            LayerCoverage('head'),
        ),
        {'QLinearConv': 2, 'Conv': 1},
    ),
    ranking=[LayerSQNR('stem', 12.34), LayerSQNR('head', 40.0)],
    search=SearchResult(('stem',), 0.25, True, (Trial(0, 0.75), Trial(1, 0.25))),
    samples=128,
    output_sqnr=20.5,
    pixel_sqnr=30.25,
)


def rows_of(report=REPORT):
    rows = result_rows(report, 'quantize/a', 'hpml quantize', ENVIRONMENT)
    return {(row.experiment, row.metric): row for row in rows}


def test_the_table_tells_score_interval_latency_and_size():
    assert table_rows(REPORT) == [
        ('', 'FP32 eager', 'FP32 onnxruntime', 'INT8 onnxruntime'),
        ('PublicTest/accuracy/top1', '66', '', '65.75'),
        ('difference, 95 % interval, n=3589', '', '', '-0.25 [-0.5, +0]'),
        ('latency/p50(ms), batch 1', '6', '2', '1'),
        ('latency/p95(ms), batch 1', '12', '4', '2'),
        ('INT8 is faster by, batch 1', '6.00x', '2.00x', ''),
        ('latency/p50(ms), batch 32', '192', '64', '32'),
        ('latency/p95(ms), batch 32', '384', '128', '64'),
        ('INT8 is faster by, batch 32', '6.00x', '2.00x', ''),
        ('size(MiB)', '0.24', '0.25', '0.125'),
        ('SQNR of the outputs (dB)', '', '', '20.5'),
        ('the same, pixels off by half a level (dB)', '30.2', '', ''),
        ('layers in INT8', '', '', '2 of 3'),
    ]
    # Without pairs, all metrics are shown.
    rows = table_rows(replace(REPORT, pairs={}))
    assert ('f1-score/macro', '61', '', '60') in rows


def test_what_is_printed_names_the_layers_in_fp32_and_the_search():
    console = Console(file=io.StringIO(), width=120)
    print_report(REPORT, console)
    text = console.file.getvalue()
    assert 'ptq, onnxruntime' in text
    assert 'In FP32: stem (asked for)' in text
    assert 'alone, worst first: stem 12.3 dB, head 40.0 dB' in text
    assert 'Operations that run: 2 QLinearConv, 1 Conv' in text
    assert 'the search kept in FP32: 0: 0.75, 1: 0.25' in text


def test_tensorboard_shows_it_as_a_text(tmp_path):
    backend = {'type': 'TensorboardVisBackend', 'save_dir': str(tmp_path)}
    visualizer = Visualizer(name='quantization_text', vis_backends=[backend])
    show_in_tensorboard(REPORT, visualizer)
    visualizer.close()
    events = EventAccumulator(str(tmp_path), size_guidance={'tensors': 0})
    events.Reload()
    (event,) = events.Tensors('quantization/ptq-onnxruntime/text_summary')
    assert event.tensor_proto.string_val[0].decode() == markdown(REPORT)
    assert '| size(MiB) | 0.24 | 0.25 | 0.125 |' in markdown(REPORT)
    show_in_tensorboard(REPORT, Visualizer(name='quantization_none'))  # nothing


def test_rows_compare_int8_with_both_and_survive_a_file(tmp_path):
    rows = rows_of()
    name = 'quantize/a/int8-ptq-onnxruntime'
    int8 = {
        metric: row for (experiment, metric), row in rows.items() if experiment == name
    }
    p95, score = int8['latency/batch1/p95(ms)'], int8['PublicTest/accuracy/top1']
    assert (p95.value, p95.ratio, p95.spread, p95.n) == (2, 0.5, 0.5, 200)
    assert (score.value, score.baseline, score.unit) == (65.75, 66.0, '%')
    assert int8['size(MiB)'].ratio == 0.5
    expected = {
        'speedup/batch32/eager(x)': 6,
        'speedup/batch32/same_engine(x)': 2,
        'PublicTest/accuracy/top1/drop(points)': 0.25,
        'PublicTest/accuracy/top1/drop_low(points)': 0.0,
        'PublicTest/accuracy/top1/drop_high(points)': 0.5,
        'PublicTest/accuracy/top1/samples': 3589,
        'layers/int8': 2,
        'layers/fp32': 1,
        'operations/QLinearConv': 2,
        'output_sqnr(dB)': 20.5,
    }
    assert {metric: int8[metric].value for metric in expected} == expected
    eager = 'quantize/a/fp32-eager'
    assert rows[eager, 'PublicTest/accuracy/top1'].value == 66
    assert rows[eager, 'pixel_sqnr(dB)'].value == 30.25
    assert rows['quantize/a/fp32-onnxruntime', 'latency/batch1/p95(ms)'].value == 4
    write_results(tmp_path / 'rows.csv', rows.values())
    assert len(read_results(tmp_path / 'rows.csv')) == len(rows)


def test_ap_drops_in_hundredths_and_eager_as_its_own_engine_is_one_experiment():
    pair = Paired(0.5, 0.49, -0.02, 0.005, 124, unit='1')
    rows = rows_of(replace(REPORT, pairs={'coco/AP': pair}, fp32=REPORT.eager))
    int8 = 'quantize/a/int8-ptq-onnxruntime'
    assert rows[int8, 'coco/AP/drop(points)'].value == pytest.approx(1)
    assert rows[int8, 'coco/AP/drop_high(points)'].value == pytest.approx(2)
    assert rows[int8, 'coco/AP'].unit == '1'
    assert {name for name, _ in rows} == {int8, 'quantize/a/fp32-eager'}


def test_the_record_is_strict_json():
    broken = replace(REPORT, ranking=[LayerSQNR('stem', float('inf'))])
    record = json.loads(dump_strict(broken.record()))
    assert record['sqnr(dB)'] == {'stem': None}
    assert record['kept'] == {'stem': 'asked for'}
    assert record['converted'] == ['block', 'head']
    assert record['speedup']['batch1'] == {'eager(x)': 6, 'same_engine(x)': 2}
    pair = record['pairs']['PublicTest/accuracy/top1']
    assert (pair['n'], pair['difference']) == (3589, -0.25)
    assert record['search']['kept'] == ['stem']
    assert record['engines']['int8-onnxruntime']['batch1']['latency/p50(ms)'] == 1
