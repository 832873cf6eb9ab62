# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest

from hpml_mm.quantization.files import int8_file, remove_earlier

MODELS = ['model_fp32.onnx', 'model_int8.bin', 'model_int8.onnx', 'model_int8.xml']


@pytest.mark.parametrize(
    ('backend', 'left'),
    [
        ('onnxruntime', ['model_fp32.onnx', 'model_int8.onnx', 'report.json']),
        (
            'openvino',
            ['model_fp32.onnx', 'model_int8.bin', 'model_int8.xml', 'report.json'],
        ),
        ('inductor', ['report.json']),
        (None, []),
    ],
)
def test_a_folder_holds_the_files_of_one_run(tmp_path, backend, left):
    for name in (*MODELS, 'report.json', 'rows.csv', 'mine.onnx'):
        (tmp_path / name).touch()
    gone = remove_earlier(tmp_path, backend)
    assert sorted(gone) == sorted({*MODELS, 'report.json'} - set(left))
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == sorted([*left, 'rows.csv', 'mine.onnx'])
    assert remove_earlier(tmp_path, backend) == []


def test_a_missing_folder_has_none(tmp_path):
    assert remove_earlier(tmp_path / 'new', None) == []
    assert int8_file(tmp_path, 'openvino') == tmp_path / 'model_int8.xml'
    assert int8_file(tmp_path, 'inductor') is None
