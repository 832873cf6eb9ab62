# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The committed MiniXception in INT8 on real faces, and light FER's way to it."""

import runpy
from pathlib import Path

import pytest
import torch

from hpml_mm.experiments.rows import read_results

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / 'results' / 'mini-xception_fer2013-44px.safetensors'

pytestmark = [pytest.mark.real_data, pytest.mark.slow]


@pytest.fixture
def quantize(real_data, tmp_path, monkeypatch):
    """Runs the tool in this process, into ``tmp_path``."""
    monkeypatch.setenv('HPML_MM_DATA', str(real_data))
    main = runpy.run_path(str(ROOT / 'tools' / 'quantize.py'))['main']
    (config,) = (ROOT / 'configs' / 'fer').glob('mini-xception_*-ema-*-60e_*.py')
    words = [config, WEIGHTS, '--latency-seconds', 0, '--out', tmp_path]
    threads = torch.get_num_threads()
    yield lambda *options: main([*map(str, words), *options])
    torch.set_num_threads(threads)


def test_post_training_costs_at_most_half_a_point_on_public_test(quantize, tmp_path):
    quantize('--max-drop', 'none')
    values = {
        row.metric.removeprefix('PublicTest/accuracy/top1/'): row.value
        for row in read_results(tmp_path / 'rows.csv')
        if row.experiment.endswith('int8-ptq-onnxruntime')
    }
    assert values['samples'] == 3589
    assert values['layers/int8'] == 23
    assert values['drop(points)'] <= 0.5
    assert values['drop_low(points)'] < values['drop_high(points)'] < 1
