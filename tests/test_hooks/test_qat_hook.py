# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Trainings with fake quantization, whole and interrupted."""

import pytest
import torch
from demo_runs import LAYERS, demo_runner
from mmengine.hooks import Hook
from torch.nn.modules.batchnorm import _BatchNorm

from hpml_mm.engine.weights import load_fitting
from hpml_mm.quantization.from_runner import trained_model, validation_of
from hpml_mm.quantization.hooks import QATHook
from hpml_mm.quantization.qat import fake_quant_layers

pytestmark = pytest.mark.slow

COMPILED = dict(type='hpml_mm.SpeedHook', compile=dict(backend='eager'))
ITERATIONS = dict(_delete_=True, by_epoch=False, max_iters=2)
EMA = dict(type='EMAHook', momentum=0.5, update_buffers=True)


class Probe(Hook):
    """What the last iteration of each epoch finds, and the buffers after it."""

    priority = 'LOWEST'

    def __init__(self):
        self.seen = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if batch_idx + 1 < len(runner.train_dataloader):
            return
        layers = [layer for _, layer in fake_quant_layers(runner.model)]
        norms = [m for m in runner.model.modules() if isinstance(m, _BatchNorm)]
        observing = {layer.input_fake_quant.observing for layer in layers}
        training = {norm.training for norm in norms}
        self.seen.append((len(layers), observing, training))
        self.buffers = getattr(self, 'buffers', [])
        buffers = runner.model.named_buffers()
        self.buffers.append({name: value.clone() for name, value in buffers})


def qat(**arguments) -> dict:
    settings = dict(latency_seconds=0, max_drop=None)
    return dict(type='hpml_mm.QATHook', settings=settings, **arguments)


def hook_of(runner, kind):
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, kind))
    return hook


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Three epochs: plain, with fake quantization, and frozen."""
    folder = tmp_path_factory.mktemp('qat')
    hooks = [qat(start=2, freeze=3), EMA, dict(type=Probe)]
    runner = demo_runner(folder, epochs=3, hooks=hooks)
    runner.train()
    return runner, folder


def test_layers_round_from_start_and_all_is_frozen_from_freeze(trained):
    probe = hook_of(trained[0], Probe)
    assert probe.seen == [
        (0, set(), {True}),
        (LAYERS, {True}, {True}),
        (LAYERS, {False}, {False}),
    ]
    second, third = probe.buffers[1:]
    assert [n for n in third if not torch.equal(second[n], third[n])] == []
    assert all(value > 0 for name, value in second.items() if name.endswith('.high'))


def test_the_result_is_judged_against_the_same_weights_in_fp32(trained):
    runner, folder = trained
    report = hook_of(runner, QATHook).report
    assert report.method == 'qat'
    assert len(report.coverage.converted) == LAYERS
    assert report.output_sqnr > 15
    plain = trained_model(demo_runner(folder / 'plain'))
    load_fitting(plain, str(folder / 'epoch_3.pth'))
    assert report.before == validation_of(runner).run(plain).metrics
    assert (folder / 'quantized/model_int8.onnx').is_file()


def test_a_checkpoint_is_that_of_a_plain_model_with_ranges(trained):
    runner, folder = trained
    found = torch.load(folder / 'epoch_3.pth', weights_only=False)['state_dict']
    plain = demo_runner(folder / 'another').model.state_dict()
    extra = found.keys() - plain.keys()
    assert plain.keys() <= found.keys()
    assert len(extra) == 2 * LAYERS
    assert all('.input_fake_quant.' in name for name in extra)


# From an epoch with ranges: test_every_hook.
def test_a_training_resumed_before_them_ends_where_a_whole_one_does(trained, tmp_path):
    runner, folder = trained
    hooks = [qat(start=2, freeze=3), EMA]
    start = {'resume': True, 'load_from': str(folder / 'epoch_1.pth')}
    resumed = demo_runner(tmp_path, epochs=3, hooks=hooks, **start)
    resumed.train()
    expected, found = runner.model.state_dict(), resumed.model.state_dict()
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)
    after = [hook_of(one, QATHook).report.after for one in (runner, resumed)]
    assert after[0] == after[1]


def test_a_reference_to_compare_with_and_layers_that_do_not_round(tmp_path):
    demo_runner(tmp_path / 'fp32').train()
    checkpoint = str(tmp_path / 'fp32/epoch_1.pth')
    arguments = qat(reference=checkpoint)
    arguments['settings']['keep'] = ['backbone.stem.0']
    runner = demo_runner(tmp_path / 'int8', hooks=[arguments])
    runner.train()
    model = trained_model(demo_runner(tmp_path / 'again'))
    load_fitting(model, checkpoint)
    report = hook_of(runner, QATHook).report
    assert report.before == validation_of(runner).run(model).metrics
    assert len(list(fake_quant_layers(runner.model))) == LAYERS - 1
    assert [layer.name for layer in report.coverage.kept] == ['backbone.stem.0']


def test_epochs_out_of_order_are_refused():
    with pytest.raises(ValueError, match='start is 0'):
        QATHook(start=0)
    with pytest.raises(ValueError, match='freeze is 2 and start 2'):
        QATHook(start=2, freeze=2)


@pytest.mark.parametrize(
    ('arguments', 'training', 'message'),
    [
        ({'start': 3}, {}, 'start=3 and freeze=None are not reached in 2 epochs'),
        ({'freeze': 3}, {}, 'freeze=3 are not reached in 2 epochs'),
        ({}, {'train_cfg': ITERATIONS}, 'counts iterations'),
        ({}, {'custom_hooks': [qat(), COMPILED]}, 'remove compile from SpeedHook'),
    ],
)
def test_a_training_without_such_epochs_does_not_begin(
    tmp_path, arguments, training, message
):
    runner = demo_runner(tmp_path, epochs=2, hooks=[qat(**arguments)], **training)
    with pytest.raises(ValueError, match=message):
        runner.train()
    assert runner.iter == 0
