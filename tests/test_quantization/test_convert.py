# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The way from a model to its report, with scores that the test decides."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from demo_runs import demo_config
from mmengine.registry import MODELS, init_default_scope

from hpml_mm.deploy.engines import load_engine
from hpml_mm.quantization.convert import (
    Conversion,
    drop_in_points,
    remove_earlier,
)
from hpml_mm.quantization.coverage import SEARCHED
from hpml_mm.quantization.evaluate import Evaluation
from hpml_mm.quantization.from_runner import drop_message
from hpml_mm.quantization.search import SearchResult
from hpml_mm.quantization.settings import QuantizationSettings


def answers(right: int, of: int = 100, split: str = '') -> Evaluation:
    return Evaluation({}, {split: np.arange(of) < right})


class Scores:
    """Stands in for a validation set: the next score, whatever the model."""

    metainfo = {}

    def __init__(self, *right: int):
        self.right = iter(right)

    def run(self, model):
        return answers(next(self.right))


def test_the_drop_is_that_of_the_worst_split():
    both = [{'a': np.array([1, 1, 1, 1]), 'b': np.array([1, 1, 0, 0])}]
    both.append({'a': np.array([1, 1, 1, 0]), 'b': np.array([1, 1, 1, 1])})
    before, after = (Evaluation({}, correct) for correct in both)
    assert drop_in_points(before, after) == 25
    assert drop_in_points(before, before) == 0
    with pytest.raises(ValueError, match='neither accuracy/top1 nor coco/AP'):
        drop_in_points(Evaluation({}), Evaluation({}))


@pytest.mark.slow
def test_the_worst_layers_stay_in_fp32_until_the_drop_is_small(tmp_path):
    cfg = demo_config(tmp_path)
    init_default_scope('mmpretrain')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    settings = QuantizationSettings(max_drop=1, latency_seconds=0)
    # FP32, then 0, 1, 2 layers in FP32, then the model that is kept.
    scores = Scores(90, 70, 80, 89, 89)
    report = Conversion(model, cfg, scores, settings).run(tmp_path)
    worst = [layer.name for layer in report.ranking[:2]]
    assert list(report.search.kept) == worst
    assert [(t.kept, t.drop) for t in report.search.trials] == [
        *((0, pytest.approx(20)), (1, pytest.approx(10)), (2, pytest.approx(1)))
    ]
    assert {layer.name: layer.reason for layer in report.coverage.kept} == (
        dict.fromkeys(worst, SEARCHED)
    )
    pair = report.pairs['accuracy/top1']
    assert (pair.before, pair.after) == (90, 89)
    record = json.loads((tmp_path / 'report.json').read_text())
    assert record['search']['met'] is True
    assert load_engine(tmp_path / 'model_int8.onnx').spec.input_size == (44, 44)


FILES = {'model_fp32.onnx', 'model_int8.bin', 'model_int8.onnx', 'model_int8.xml'}


@pytest.mark.parametrize(
    ('backend', 'left'),
    [
        ('onnxruntime', {'model_fp32.onnx', 'model_int8.onnx', 'report.json'}),
        ('openvino', FILES - {'model_int8.onnx'} | {'report.json'}),
        ('torch', {'report.json'}),
        (None, set()),
    ],
)
def test_a_folder_holds_the_files_of_one_run(tmp_path, backend, left):
    assert remove_earlier(tmp_path / 'new', backend) == []
    for name in (*FILES, 'report.json', 'rows.csv', 'mine.onnx'):
        (tmp_path / name).touch()
    gone = remove_earlier(tmp_path, backend)
    assert sorted(gone) == sorted({*FILES, 'report.json'} - left)
    found = {path.name for path in tmp_path.iterdir()}
    assert found == left | {'rows.csv', 'mine.onnx'}
    assert remove_earlier(tmp_path, backend) == []


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'method': 'ptq', 'backend': 'torch'}, "'torch' has no method 'ptq'"),
        ({'backend': 'inductor'}, "'inductor' is unknown"),
        ({'ranges': 'guess'}, "'guess'"),
        ({'samples': 127}, 'samples is 127'),
        ({'max_drop': float('inf')}, 'max_drop is inf'),
        ({'max_drop': -1}, 'max_drop is -1'),
        ({'latency_seconds': -1}, 'latency_seconds is -1'),
    ],
)
def test_settings_that_cannot_work_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        QuantizationSettings(**values)


def test_a_limit_that_is_not_met_says_what_was_reached():
    found = SearchResult(('a', 'b'), 1.25, False, ())
    text = drop_message(
        SimpleNamespace(search=found), QuantizationSettings(max_drop=0.5)
    )
    assert (
        'falls by 1.25 points with 2 layers in FP32, more than max_drop = 0.5' in text
    )
