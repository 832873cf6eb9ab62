# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The committed MiniXception in INT8 on real faces, and light FER's way to it."""

from pathlib import Path

import pytest
from toy_tools import run_tool

from hpml_mm.experiments.rows import read_results

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / 'results' / 'mini-xception_fer2013-44px.safetensors'

pytestmark = [pytest.mark.real_data, pytest.mark.slow]


def quantize(real_data, out, *options):
    (config,) = (ROOT / 'configs' / 'fer').glob('mini-xception_*-ema-*-60e_*.py')
    options = ['--latency-seconds', '0', '--out', out, *options]
    data = {'HPML_MM_DATA': str(real_data)}
    return run_tool('quantize.py', config, WEIGHTS, *options, cwd=ROOT, **data)


def test_post_training_costs_at_most_half_a_point_on_public_test(tmp_path, real_data):
    done = quantize(real_data, tmp_path, '--max-drop', 'none')
    assert done.returncode == 0, done.stderr[-2000:]
    values = {
        row.metric.removeprefix('PublicTest/accuracy/top1/'): row.value
        for row in read_results(tmp_path / 'rows.csv')
        if row.experiment.endswith('int8-ptq-onnxruntime')
    }
    assert values['samples'] == 3589
    assert values['layers/int8'] == 23
    assert values['drop(points)'] <= 0.5
    assert values['drop_low(points)'] < values['drop_high(points)'] < 1


def test_the_call_of_light_fer_converts_nothing_and_fails(tmp_path, real_data):
    options = ['--method', 'dynamic', '--backend', 'torch']
    done = quantize(real_data, tmp_path, *options)
    assert done.returncode == 2
    assert '0 of 23 layers were converted' in done.stderr
    assert not list(tmp_path.rglob('model_*'))
