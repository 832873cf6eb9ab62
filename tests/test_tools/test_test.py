# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The test tool and the export of weights, as a user runs them."""

import json

import pytest
import torch
from mmengine.fileio import load
from toy_tools import TOY, call_tool, run_tool, toy_runner

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A checkpoint and the accuracy that training found for it."""
    folder = tmp_path_factory.mktemp('trained')
    runner = toy_runner(folder, custom_hooks=[])
    runner.train()
    accuracy = runner.message_hub.get_scalar('val/accuracy/top1').current()
    return folder / 'epoch_2.pth', accuracy


def summary(tmp_path):
    path = tmp_path / 'work_dirs' / 'toy_2e' / 'test' / 'summary.json'
    return json.loads(path.read_text())


def test_both_formats_give_the_accuracy_of_training(trained, tmp_path):
    checkpoint, accuracy = trained
    done = run_tool('test.py', TOY, checkpoint, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert 'accuracy/top1' in done.stdout
    assert summary(tmp_path)['mode'] == 'test'
    assert summary(tmp_path)['metrics']['accuracy/top1'] == accuracy

    export = run_tool(
        'export', TOY, checkpoint, '--out', 'toy.safetensors', cwd=tmp_path
    )
    assert export.returncode == 0, export.stderr
    done = run_tool('test.py', TOY, 'toy.safetensors', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert summary(tmp_path)['metrics']['accuracy/top1'] == accuracy


def test_without_the_summary_hook_the_result_is_still_written(trained, tmp_path):
    options = ['--cfg-options', 'custom_hooks=[]', '--work-dir', 'here']
    done = run_tool('test.py', TOY, trained[0], *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / 'here' / 'summary.json').read_text())
    assert found['metrics'] == {'accuracy/top1': trained[1]}


def test_out_holds_metrics_or_predictions(trained, tmp_path):
    done = call_tool('test', TOY, trained[0], '--out', 'new/a.json', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / 'new' / 'a.json').read_text())
    assert metrics == {'accuracy/top1': trained[1]}
    assert done.stdout.endswith('Written to new/a.json\n')

    words = ['--out', 'a.yaml', '--dump', 'a.pkl']
    done = call_tool('test', TOY, trained[0], *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert load(tmp_path / 'a.yaml') == {'accuracy/top1': trained[1]}
    predictions = load(tmp_path / 'a.pkl')
    assert len(predictions) == 12
    done = call_tool('test', TOY, trained[0], '--out', 'b.pkl', cwd=tmp_path)
    assert str(load(tmp_path / 'b.pkl')) == str(predictions)


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--out', 'a.txt'], '--out a.txt: metrics are written to a file that ends in'),
        (['--out', 'a.json', '--out-item', 'pred'], '--out a.json: pred are written'),
        (['--out-item', 'pred'], '--out-item is of --out'),
        (['--dump', 'a.json'], '--dump a.json must end in .pkl'),
        (['--out', 'a.pkl', '--dump', 'b.pkl'], 'give one'),
    ],
)
def test_results_that_cannot_be_written_are_refused_at_once(tmp_path, words, message):
    done = call_tool('test', TOY, 'a.pth', *words, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count('\n') == 1


def test_a_checkpoint_that_cannot_be_right_is_one_line(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save({'state_dict': {'other.weight': torch.ones(1)}}, path)
    done = run_tool('test.py', TOY, 'a.pth', cwd=tmp_path)
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if line.startswith('error')]
    assert len(said) == 1
    assert 'a.pth holds no weight of this model' in said[0]
    assert 'Traceback' not in done.stdout + done.stderr
    assert 'accuracy' not in done.stdout.split('Config:')[-1].split('after_run')[-1]
