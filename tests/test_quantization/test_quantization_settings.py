# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What is refused before anything is computed."""

import sys
from types import ModuleType

import pytest

from hpml_mm.quantization.settings import QuantizationSettings, check_installed


def test_the_defaults_are_post_training_for_onnx_runtime():
    settings = QuantizationSettings(keep=['a', 'b'])
    assert (settings.method, settings.backend) == ('ptq', 'onnxruntime')
    assert (settings.samples, settings.max_drop) == (128, 0.5)
    assert settings.keep == ('a', 'b')
    assert QuantizationSettings(max_drop=None, latency_seconds=0).max_drop is None


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'method': 'ptq', 'backend': 'torch'}, "'torch' has no method 'ptq'"),
        ({'ranges': 'guess'}, "finds no ranges by 'guess'"),
        ({'samples': 127}, 'samples is 127: calibrate with 128'),
        ({'max_drop': float('inf')}, 'max_drop is inf: use points from 0'),
        ({'latency_seconds': -1}, 'latency_seconds is -1'),
    ],
)
def test_what_cannot_be_meant_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        QuantizationSettings(**values)


def test_a_backend_that_is_not_installed_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'openvino', ModuleType('openvino'))
    monkeypatch.setitem(sys.modules, 'nncf', None)
    with pytest.raises(ImportError, match="nncf is not installed.*extra 'openvino'"):
        check_installed('openvino')
    check_installed('onnxruntime')
