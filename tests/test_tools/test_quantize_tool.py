# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The quantization tool, as a user runs it."""

import importlib.util
import json
import sys

import pytest
import torch
from demo_runs import DEMO, FACES, demo_runner
from toy_tools import ROOT, run_tool

from hpml_mm.experiments.rows import read_results

pytestmark = pytest.mark.slow
# Few faces, and no process to load them.
SHORT = ['--cfg-options'] + [
    f'{split}_dataloader.{setting}'
    for split, count in FACES.items()
    for setting in (
        f'dataset.num_per_class={count}',
        'num_workers=0',
        'persistent_workers=False',
    )
]
OPTIONS = ['--max-drop', 'none', '--out', 'out']


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A model that was trained for one epoch."""
    folder = tmp_path_factory.mktemp('fp32')
    demo_runner(folder).train()
    return folder / 'epoch_1.pth'


def quantize(checkpoint, tmp_path, *options):
    arguments = [DEMO, checkpoint, *options, *OPTIONS, *SHORT]
    return run_tool('quantize.py', *arguments, cwd=tmp_path)


def test_post_training_leaves_models_report_and_rows(checkpoint, tmp_path):
    done = quantize(checkpoint, tmp_path, '--latency-seconds', 0.2)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'layers in INT8' in done.stdout
    assert 'Written to out' in done.stdout
    record = json.loads((tmp_path / 'out/report.json').read_text())
    assert len(record['converted']) == 23
    assert record['speedup'].keys() == {'batch1', 'batch32'}
    rows = read_results(tmp_path / 'out/rows.csv')
    assert all('tools/quantize.py' in row.command for row in rows)
    for name in ('model_int8.onnx', 'model_fp32.onnx'):
        assert (tmp_path / 'out' / name).is_file()


def test_training_for_int8_starts_from_the_checkpoint(checkpoint, tmp_path):
    options = ['--method', 'qat', '--epochs', 2, '--latency-seconds', 0]
    done = quantize(checkpoint, tmp_path, *options)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'QATHook: 23 layers round from now on' in done.stdout + done.stderr
    record = json.loads((tmp_path / 'out/report.json').read_text())
    assert record['method'] == 'qat'
    assert (tmp_path / 'out/model_int8.onnx').is_file()
    again = quantize(checkpoint, tmp_path, *options)
    assert again.returncode == 2
    assert 'out holds an earlier run' in again.stderr


def test_nothing_converted_is_an_error_and_leaves_no_model(checkpoint, tmp_path):
    """PyTorch's dynamic quantization passes convolutions over without a word."""
    earlier = ('model_int8.onnx', 'model_int8.xml', 'model_int8.bin', 'report.json')
    (tmp_path / 'out').mkdir()
    for name in earlier:
        (tmp_path / 'out' / name).write_text('of another run')
    options = ['--method', 'dynamic', '--backend', 'torch']
    done = quantize(checkpoint, tmp_path, *options)
    assert done.returncode == 2
    assert 'report.json of an earlier run in out' in done.stdout + done.stderr
    (error,) = (s for s in done.stderr.splitlines() if s.startswith('error'))
    assert '0 of 23 layers were converted' in error
    assert not [name for name in earlier if (tmp_path / 'out' / name).exists()]
    rows = read_results(tmp_path / 'out/rows.csv')
    assert {row.metric: row.value for row in rows} == {
        'layers/int8': 0,
        'layers/fp32': 23,
    }


def test_random_weights_are_timed_and_not_judged(tmp_path):
    options = ['--untrained', '--latency-seconds', 0.2, '--out', 'out']
    done = run_tool('quantize.py', DEMO, *options, *SHORT, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = read_results(tmp_path / 'out/rows.csv')
    values = {row.metric: row.value for row in rows}
    assert values['output_sqnr(dB)'] > 10
    assert values['speedup/batch1/eager(x)'] > 0
    assert not [metric for metric in values if 'accuracy' in metric]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ([], 'a.pth holds no weight of this model'),
        (['--samples', 100], 'samples is 100: calibrate with 128 images or more'),
    ],
)
def test_what_cannot_work_is_one_line(tmp_path, options, message):
    torch.save({'state_dict': {'other.weight': torch.ones(1)}}, tmp_path / 'a.pth')
    done = quantize('a.pth', tmp_path, *options)
    assert done.returncode == 2
    assert message in done.stderr
    assert 'Traceback' not in done.stderr
    assert not list(tmp_path.rglob('model_*'))


@pytest.mark.parametrize(
    ('words', 'problem'),
    [
        ([], 'give either CHECKPOINT or --untrained'),
        (['a.pth', '--untrained'], 'give either CHECKPOINT or --untrained'),
        (['--untrained', '--method', 'qat'], '--untrained has none'),
        (['a.pth', '--epochs', '0'], '--epochs: only --method qat trains'),
        (
            ['a.pth', '--lr', '.1', '--freeze', '2', '--method', 'dynamic'],
            '--lr, --freeze: only --method qat trains, and this is --method dynamic',
        ),
        (['a.pth', '--overwrite'], '--overwrite: only --method qat trains'),
    ],
)
def test_words_that_contradict_each_other_are_refused(
    monkeypatch, capsys, words, problem
):
    path = ROOT / 'tools' / 'quantize.py'
    spec = importlib.util.spec_from_file_location('quantize_tool', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, 'argv', ['quantize.py', 'a.py', *words])
    with pytest.raises(SystemExit):
        module.parse_args()
    assert problem in capsys.readouterr().err
