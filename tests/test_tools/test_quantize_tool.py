# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The quantization tool, as a user runs it, but in this process."""

import json
import uuid

import pytest
import torch
from demo_runs import BACKBONE, DEMO, FACES, LAYERS, demo_runner
from toy_tools import ROOT

from hpml_mm.cli import main
from hpml_mm.experiments.rows import read_results

pytestmark = pytest.mark.slow

# A small network, few faces, and no process to load them.
SHORT = ['--cfg-options', f'model.backbone.type={BACKBONE}'] + [
    f'{split}_dataloader.{setting}'
    for split, count in FACES.items()
    for setting in (
        f'dataset.num_per_class={count}',
        'num_workers=0',
        'persistent_workers=False',
    )
]


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A model that was trained for one epoch."""
    folder = tmp_path_factory.mktemp('fp32')
    demo_runner(folder).train()
    return folder / 'epoch_1.pth'


@pytest.fixture
def quantize(tmp_path, monkeypatch, capsys):
    """Runs the tool below a folder of the test's own; its exit code and error line."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()

    def run(*options, seconds=0):
        words = [DEMO, *options, '--max-drop', 'none', '--latency-seconds', seconds]
        monkeypatch.setattr('sys.argv', ['hpml', 'quantize', *map(str, words)])
        code = 0
        try:
            # Two runners in one second would share their loggers.
            name = f'experiment_name=x{uuid.uuid4().hex}'
            main(['quantize', *map(str, words), '--out', 'out', *SHORT, name])
        except SystemExit as end:
            code = end.code
        said = capsys.readouterr()
        return code, said.out, said.err

    yield run
    torch.set_num_threads(threads)


def test_post_training_leaves_models_report_and_rows(quantize, checkpoint, tmp_path):
    code, said, _ = quantize(checkpoint, seconds=0.2)
    assert code == 0
    assert 'layers in INT8' in said
    assert 'Written to out' in said
    record = json.loads((tmp_path / 'out/report.json').read_text())
    assert len(record['converted']) == LAYERS
    assert record['speedup'].keys() == {'batch1', 'batch32'}
    rows = read_results(tmp_path / 'out/rows.csv')
    assert all('hpml quantize' in row.command for row in rows)
    for name in ('model_int8.onnx', 'model_fp32.onnx'):
        assert (tmp_path / 'out' / name).is_file()


def test_training_for_int8_starts_from_the_checkpoint(quantize, checkpoint, tmp_path):
    options = [checkpoint, '--method', 'qat', '--epochs', 1]
    assert quantize(*options)[0] == 0
    record = json.loads((tmp_path / 'out/report.json').read_text())
    assert record['method'] == 'qat'
    assert (tmp_path / 'out/model_int8.onnx').is_file()
    code, _, error = quantize(*options)
    assert code == 2
    assert 'out holds an earlier run' in error


def test_nothing_converted_is_an_error_and_leaves_no_model(
    quantize, checkpoint, tmp_path
):
    """PyTorch's dynamic quantization passes convolutions over without a word."""
    earlier = ('model_int8.onnx', 'model_int8.xml', 'model_int8.bin', 'report.json')
    (tmp_path / 'out').mkdir()
    for name in earlier:
        (tmp_path / 'out' / name).write_text('of another run')
    options = ['--method', 'dynamic', '--backend', 'torch']
    code, _, said = quantize(checkpoint, *options)
    assert code == 2
    (error,) = (line for line in said.splitlines() if line.startswith('error'))
    assert f'0 of {LAYERS} layers were converted' in error
    assert not [name for name in earlier if (tmp_path / 'out' / name).exists()]
    rows = read_results(tmp_path / 'out/rows.csv')
    values = {row.metric: row.value for row in rows}
    assert values == {'layers/int8': 0, 'layers/fp32': LAYERS}


def test_random_weights_are_timed_and_not_judged(quantize, tmp_path):
    assert quantize('--untrained', seconds=0.2)[0] == 0
    rows = read_results(tmp_path / 'out/rows.csv')
    values = {row.metric: row.value for row in rows}
    assert values['output_sqnr(dB)'] > 10
    assert values['speedup/batch1/eager(x)'] > 0
    assert not [metric for metric in values if 'accuracy' in metric]


@pytest.mark.real_data
def test_real_faces_lose_at_most_half_a_point(
    quantize, tmp_path, real_data, monkeypatch
):
    monkeypatch.setenv('HPML_MM_DATA', str(real_data))
    (config,) = (ROOT / 'configs' / 'fer').glob('mini-xception_*-ema-*-60e_*.py')
    weights = ROOT / 'results' / 'mini-xception_fer2013-44px.safetensors'
    options = ['--max-drop', 'none', '--latency-seconds', '0', '--out', 'real']
    main(['quantize', str(config), str(weights), *options])
    values = {
        row.metric.removeprefix('PublicTest/accuracy/top1/'): row.value
        for row in read_results(tmp_path / 'real/rows.csv')
        if row.experiment.endswith('int8-ptq-onnxruntime')
    }
    assert (values['samples'], values['layers/int8']) == (3589, 23)
    assert values['drop(points)'] <= 0.5
    assert values['drop_low(points)'] < values['drop_high(points)'] < 1


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ([], 'a.pth holds no weight of this model'),
        (['--samples', 100], 'samples is 100'),
    ],
)
def test_what_cannot_work_is_one_line(quantize, tmp_path, options, message):
    torch.save({'state_dict': {'other.weight': torch.ones(1)}}, tmp_path / 'a.pth')
    code, _, error = quantize('a.pth', *options)
    assert code == 2
    assert message in error
    assert 'Traceback' not in error
    assert not list(tmp_path.rglob('model_*'))


@pytest.mark.parametrize(
    ('words', 'problem'),
    [
        ([], 'give either CHECKPOINT or --untrained'),
        (['a.pth', '--untrained'], 'give either CHECKPOINT or --untrained'),
        (['a.pth', '--backend', 'inductor'], "'inductor' (choose from"),
        (['--untrained', '--method', 'qat'], '--untrained has none'),
        (['a.pth', '--epochs', '0'], '--epochs: only --method qat trains'),
        (
            ['a.pth', '--lr', '.1', '--freeze', '2', '--method', 'dynamic'],
            '--lr, --freeze: only --method qat trains, and this is --method dynamic',
        ),
        (['a.pth', '--overwrite'], '--overwrite: only --method qat trains'),
    ],
)
def test_words_that_contradict_each_other_are_refused(capsys, words, problem):
    with pytest.raises(SystemExit):
        main(['quantize', 'a.py', *words])
    assert problem in capsys.readouterr().err
