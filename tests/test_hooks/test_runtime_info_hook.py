# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import copy

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook, LoggerHook
from mmengine.logging import HistoryBuffer
from toy_runs import FailAt, ToyNet, for_validation, loader, toy_runner

from hpml_mm.engine.hooks import RuntimeInfoHook

STOCK = {'type': 'RuntimeInfoHook'}
OURS = {'type': 'hpml_mm.RuntimeInfoHook'}


class TwoLosses(ToyNet):
    """Logs two losses, a tensor that is none, and the first of them once more."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        output = super().forward(inputs, data_samples, mode)
        if mode == 'loss':
            output['loss_mean'] = inputs.mean(0)
            output['acc'] = inputs.abs().max()
        return output


class Reader(Hook):
    """Keeps what the log processor makes of the scalars, after each iteration."""

    priority = 'VERY_LOW'

    def __init__(self):
        self.lines = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if (batch_idx + 1) % 2:
            return
        tag, _ = runner.log_processor.get_log_after_iter(runner, batch_idx, 'train')
        del tag['time'], tag['data_time']
        self.lines.append(list(tag.items()))


class DeferringHook(RuntimeInfoHook):
    """Treats the losses of a CPU as those of a GPU."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        outputs = {key: OnDevice(value) for key, value in outputs.items()}
        super().after_train_iter(runner, batch_idx, data_batch, outputs)


class OnDevice(torch.Tensor):
    """A tensor that says that it is not on the CPU, and counts how often it is read."""

    reads = 0

    @staticmethod
    def __new__(cls, data):
        return data.as_subclass(cls)

    @property
    def device(self):
        return torch.device('cuda')

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func in (torch.Tensor.item, torch.Tensor.tolist):
            OnDevice.reads += 1
        return super().__torch_function__(func, types, args, kwargs or {})


def run(work_dir, info, epochs=2, **settings):
    reader = Reader()
    torch.manual_seed(0)
    runner = toy_runner(
        work_dir,
        [reader],
        model=TwoLosses(),
        train_cfg={'by_epoch': True, 'max_epochs': epochs, 'val_interval': 1},
        default_hooks={
            'runtime_info': info,
            'logger': {'type': 'LoggerHook', 'interval': 3},
            'checkpoint': {'type': 'CheckpointHook', 'interval': 1},
        },
        **for_validation(),
        **settings,
    )
    runner.train()
    return runner, reader.lines


@pytest.mark.parametrize('hook', [RuntimeInfoHook(), DeferringHook()])
def test_all_that_is_logged_is_as_with_mmengines_hook(tmp_path, hook):
    stock, expected = run(tmp_path / 'a', STOCK)
    ours, lines = run(tmp_path / 'b', hook)
    assert len(lines) == 4
    assert lines == expected
    scalars, others = (r.message_hub.log_scalars for r in (ours, stock))
    assert list(scalars) == list(others)
    for name in scalars.keys() - {'train/time', 'train/data_time'}:
        if name.startswith('val'):
            continue
        for own, other in zip(scalars[name].data, others[name].data, strict=True):
            np.testing.assert_array_equal(own, other)
            assert own.dtype == other.dtype


def test_losses_of_a_device_are_fetched_when_the_log_is_written(tmp_path, monkeypatch):
    reads = []
    before = LoggerHook.after_train_iter

    def noting(self, runner, batch_idx, *args, **kwargs):
        reads.append(OnDevice.reads)
        before(self, runner, batch_idx, *args, **kwargs)
        reads.append(OnDevice.reads)

    monkeypatch.setattr(LoggerHook, 'after_train_iter', noting)
    OnDevice.reads = 0
    toy_runner(
        tmp_path,
        default_hooks={
            'checkpoint': None,
            'runtime_info': DeferringHook(),
            'logger': {'type': 'LoggerHook', 'interval': 2},
        },
    ).train()
    # Before and after each of four iterations' turn of the logger.
    assert reads == [0, 0, 0, 1, 1, 1, 1, 2]


def test_a_checkpoint_has_every_loss_in_mmengines_own_class(tmp_path):
    runner, _ = run(tmp_path, DeferringHook(), epochs=1)
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)['message_hub']
    history = saved['log_scalars']['train/loss']
    assert type(history) is HistoryBuffer
    values, counts = history.data
    assert len(values) == len(counts) == 4
    assert np.isfinite(values).all()

    again, _ = run(tmp_path, DeferringHook(), epochs=2, resume=True)
    np.testing.assert_array_equal(
        again.message_hub.get_scalar('train/loss').data[0][:4], values
    )
    assert len(again.message_hub.get_scalar('train/loss').data[0]) == 8


def test_losses_are_not_lost_when_training_breaks_off(tmp_path):
    hooks = {'checkpoint': None, 'runtime_info': DeferringHook()}
    runner = toy_runner(tmp_path, [FailAt(3)], default_hooks=hooks)
    with pytest.raises(RuntimeError, match='toy failure'):
        runner.train()
    copied = copy.deepcopy(runner.message_hub.state_dict())
    assert len(copied['log_scalars']['train/loss'].data[0]) == 2


def test_a_value_that_is_no_scalar_is_refused_with_its_name(tmp_path):
    class Vector(ToyNet):
        def parse_losses(self, losses):
            loss, scalars = super().parse_losses(losses)
            return loss, {**scalars, 'pair': torch.zeros(2)}

    hooks = {'checkpoint': None, 'runtime_info': DeferringHook()}
    runner = toy_runner(tmp_path, model=Vector(), default_hooks=hooks)
    with pytest.raises(ValueError, match='train/pair has 2 elements'):
        runner.train()


def test_a_nan_is_seen_at_once_by_a_hook_that_looks_for_it(tmp_path):
    class Stop(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            assert torch.isfinite(outputs['loss']), f'loss at {batch_idx}'

    batches = loader()
    batches['dataset'].images[6] = float('nan')
    runner = toy_runner(
        tmp_path,
        [Stop()],
        train_dataloader=batches,
        default_hooks={'checkpoint': None, 'runtime_info': OURS},
    )
    with pytest.raises(AssertionError, match='loss at 1'):
        runner.train()
