# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A training that ends in an INT8 model."""

import json

import pytest
import torch
from demo_runs import LAYERS, demo_runner
from mmengine.hooks import Hook

from hpml_mm.deploy.engine_model import with_engine
from hpml_mm.deploy.engines import load_engine
from hpml_mm.experiments.rows import read_results
from hpml_mm.quantization.from_runner import trained_model, validation_of
from hpml_mm.quantization.hooks import PTQHook

pytestmark = pytest.mark.slow

PTQ = dict(type='hpml_mm.PTQHook', settings=dict(latency_seconds=0, max_drop=None))


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp('ptq')
    runner = demo_runner(folder, hooks=[PTQ, dict(type='hpml_mm.SummaryHook')])
    runner.train()
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, PTQHook))
    return runner, hook.report, folder


def test_the_file_is_the_model_that_the_report_judges(trained):
    runner, report, folder = trained
    validation = validation_of(runner)
    assert report.before == validation.run(runner.model).metrics
    engine = load_engine(folder / 'quantized/model_int8.onnx')
    found = validation.run(with_engine(trained_model(runner), engine))
    assert report.after == found.metrics
    assert len(engine.spec.names) == 7
    assert len(report.coverage.converted) == len(report.coverage.layers) == LAYERS
    files = [folder / f'quantized/model_{kind}.onnx' for kind in ('int8', 'fp32')]
    assert files[0].stat().st_size < files[1].stat().st_size
    assert report.output_sqnr > 15


def test_the_numbers_are_in_report_rows_and_summary(trained):
    runner, report, folder = trained
    record = json.loads((folder / 'quantized/report.json').read_text())
    assert record['after'] == report.after
    assert (record['method'], record['calibration_samples']) == ('ptq', 128)
    summary = json.loads((folder / 'summary.json').read_text())
    name = 'Validation/accuracy/top1'
    pair = report.pairs[name]
    assert pair.n == 21
    assert summary['measurements'][f'int8/{name}'] == pair.after
    assert summary['measurements'][f'int8/{name}/drop(points)'] == pair.drop
    rows = read_results(folder / 'quantized/rows.csv')
    assert {row.experiment.rsplit('/')[-1] for row in rows} == {
        *('fp32-eager', 'fp32-onnxruntime', 'int8-ptq-onnxruntime')
    }
    assert list(folder.rglob('events.out.tfevents*'))


def test_the_averaged_model_is_the_one_to_convert(tmp_path):
    ema = dict(type='EMAHook', momentum=0.5)
    runner = demo_runner(tmp_path, hooks=[ema])
    runner.train()
    model = trained_model(runner)
    validated = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)['state_dict']
    name = 'backbone.stem.0.weight'
    torch.testing.assert_close(model.state_dict()[name], validated[name])
    assert not torch.equal(model.state_dict()[name], runner.model.state_dict()[name])


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'method': 'qat'}, "PTQHook: .*'ptq', not 'qat'"),
        ({'backnd': 'torch'}, "PTQHook: settings got an unexpected.*'backnd'"),
        ({'backend': 'tensorrt'}, "'tensorrt' is unknown"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        PTQHook(settings=arguments)


class NoTraining(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        raise AssertionError('it was to be refused before')


def test_a_training_that_cannot_end_in_int8_does_not_begin(tmp_path, monkeypatch):
    hooks = [PTQ, dict(type=NoTraining)]
    nothing = dict.fromkeys(('val_cfg', 'val_dataloader', 'val_evaluator'))
    runner = demo_runner(tmp_path, hooks=hooks, **nothing)
    with pytest.raises(ValueError, match='judged on the validation set'):
        runner.train()
    place = 'hpml_mm.quantization.hooks.quantization_hook.get_world_size'
    monkeypatch.setattr(place, lambda: 2)
    with pytest.raises(ValueError, match='PTQHook works in one process'):
        demo_runner(tmp_path, hooks=hooks).train()
