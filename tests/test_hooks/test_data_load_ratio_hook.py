# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""DataLoadRatioHook in real runners, on a clock that the toy parts move."""

import os
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from clocked_runs import (
    BATCH,
    ClockedImages,
    ClockedNet,
    clocked_runner,
    events_by,
    shown,
)
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import DataLoader

from hpml_mm.engine.hooks.data_load_ratio_hook import DataLoadRatioHook
from hpml_mm.measure.cpu_load import CpuTimes, LinuxCpu
from hpml_mm.measure.step_timer import CudaGapTimer
from hpml_mm.registry import HOOKS


def ratio_hook(clock, **kwargs):
    hook = DataLoadRatioHook(**kwargs)
    hook.clock = clock
    hook.read_cpu = lambda: None  # the machine may be anybody's
    return hook


def log_of(tmp_path):
    return next(tmp_path.glob('*/*.log')).read_text()


def test_epochs(tmp_path, clock):
    hook = ratio_hook(clock, interval=5)
    runner = clocked_runner(tmp_path, clock, [hook], val_interval=1)
    loader = runner._train_dataloader
    runner.train()
    summary = hook.summary()
    assert summary['data_wait(%)'] == pytest.approx(40)
    assert summary['data_wait/first_batch(s)'] == pytest.approx(1.08)
    # 2 x 1.08 s in two epochs of 2 s, without the logging after the last step.
    assert summary['data_wait/first_batch(%)'] == pytest.approx(100 * 2.16 / 3.98)
    assert summary['device_idle(%)'] is None
    assert shown(runner, 'data_wait(%)') == pytest.approx([40, 40])
    assert shown(runner, 'data_wait/first_batch(s)') == pytest.approx([1.08, 1.08])
    log = log_of(tmp_path)
    assert log.count('This epoch was input-bound: 40.0 % of the time waits') == 2
    assert log.count('This run was input-bound: 40.0 % of the time waits') == 1
    assert '(first batch: 1.08 s)' in log
    assert runner.train_loop.dataloader is loader
    assert type(runner.train_loop.dataloader) is DataLoader


@pytest.mark.parametrize('by_epoch', [True, False])
def test_validations_have_times_of_their_own(tmp_path, clock, by_epoch):
    """One batch of .08 s, and 5 s to predict."""
    hook = ratio_hook(clock, interval=5)
    length, every = (2, 1) if by_epoch else (10, 5)
    runner = clocked_runner(
        tmp_path, clock, [hook], by_epoch=by_epoch, length=length, val_interval=every
    )
    runner.train()
    summary = hook.summary()
    assert summary['val/data_wait(s)'] == pytest.approx(0.08)
    assert summary['val/time(s)'] == pytest.approx(5.08)
    assert summary['data_wait(%)'] == pytest.approx(40)
    assert type(runner.val_loop.dataloader) is DataLoader


def test_without_a_validation_there_is_no_time_of_one(tmp_path, clock):
    hook = ratio_hook(clock, interval=5)
    clocked_runner(tmp_path, clock, [hook]).train()
    assert hook.summary()['val/time(s)'] is None
    assert hook.summary()['val/data_wait(s)'] is None


def test_iterations(tmp_path, clock):
    hook = ratio_hook(clock, interval=4)
    runner = clocked_runner(
        tmp_path, clock, [hook], by_epoch=False, length=10, val_interval=5
    )
    runner.train()
    summary = hook.summary()
    assert summary['data_wait(%)'] == pytest.approx(40)
    assert summary['data_wait/first_batch(s)'] == pytest.approx(1.08)
    assert shown(runner, 'data_wait(%)') == pytest.approx([40, 40, 40])
    log = log_of(tmp_path)
    assert log.count('This epoch was input-bound') == 1
    assert 'This run was' not in log
    assert type(runner.train_loop.dataloader_iterator).__name__ == (
        '_InfiniteDataloaderIterator'
    )


def test_data_time_would_blame_the_loader_for_the_logger(tmp_path, clock, monkeypatch):
    """MMEngine's timer books a slow logging hook as data time."""
    stock = SimpleNamespace(time=clock)
    monkeypatch.setattr('mmengine.hooks.iter_timer_hook.time', stock)
    monkeypatch.setattr(
        'clocked_runs.SlowLog.after_train_iter',
        lambda self, *args, **kwargs: clock.advance(0.82),
    )
    hook = ratio_hook(clock, interval=5)
    runner = clocked_runner(tmp_path, clock, [hook], length=1)
    runner.train()
    data_time = np.array(shown(runner, 'data_time')[1:])
    time = np.array(shown(runner, 'time')[1:])
    # .08 s of loading in iterations of 1 s ...
    assert hook.summary()['data_wait(%)'] == pytest.approx(8)
    assert time == pytest.approx([1.0] * 4)
    # ... of which data_time makes 90 %.
    assert data_time / time == pytest.approx([0.9] * 4)


def test_fast_loader_is_compute_bound(tmp_path, clock):
    hook = ratio_hook(clock)
    loader = DataLoader(ClockedImages(clock, seconds=0.001), batch_size=BATCH)
    runner = clocked_runner(tmp_path, clock, [hook], train_dataloader=loader)
    runner.train()
    summary = hook.summary()
    assert summary['data_wait(%)'] == pytest.approx(100 * 0.004 / 0.124)
    assert summary['verdict'].startswith('compute-bound: 3.2 %')


def test_others_on_the_cores_are_told_from_compute(tmp_path, clock):
    """Two cores, of which this training takes a half and others what they want."""
    hook = ratio_hook(clock)
    hook.read_cpu = lambda: CpuTimes(clock.now, 2 * clock.now, 2 * clock.now)
    loader = DataLoader(ClockedImages(clock, seconds=0.001), batch_size=BATCH)
    runner = clocked_runner(
        tmp_path, clock, [hook], train_dataloader=loader, length=10, val_interval=5
    )
    runner.train()
    summary = hook.summary()
    assert summary['cpu/own(%)'] == pytest.approx(50)
    assert summary['cpu/others(%)'] == pytest.approx(50)
    assert summary['cpu/throttled(%)'] is None
    crowd = 'other processes took 50 % of the cores: measure again alone'
    assert summary['verdict'].endswith(f'; {crowd}')
    assert summary['cpu/crowded'] == crowd
    assert crowd in log_of(tmp_path)
    # A GPU that always has work does not mind.
    hook._setup = replace(hook._setup, on_cpu=False)
    assert hook.summary()['cpu/others(%)'] == pytest.approx(50)
    assert hook.summary()['cpu/crowded'] is None


def test_the_cores_are_read_for_the_tree_of_this_process(tmp_path, clock):
    hook = ratio_hook(clock)
    hook.read_cpu = None
    clocked_runner(tmp_path, clock, [hook], length=1).train()
    reader = hook._cpu._read
    assert isinstance(reader, LinuxCpu)
    assert reader._pid == os.getpid()


def test_cpu_time_outside_of_training_does_not_count(tmp_path, clock):
    """Others have both cores in the 5 s of a validation, and none in a step."""
    hook = ratio_hook(clock)
    training = []

    class Stopwatch(ClockedNet):
        def forward(self, inputs, data_samples=None, mode='tensor'):
            before = clock.now
            result = super().forward(inputs, data_samples, mode)
            if mode == 'loss':
                training.append(clock.now - before)
            return result

    def read():
        return CpuTimes(own=2 * sum(training), busy=2 * clock.now, total=2 * clock.now)

    hook.read_cpu = read
    loader = DataLoader(ClockedImages(clock, seconds=0.0), batch_size=BATCH)
    runner = clocked_runner(
        tmp_path,
        clock,
        [hook],
        model=Stopwatch(clock),
        train_dataloader=loader,
        length=10,
        val_interval=1,
    )
    runner.train()
    # .1 s of .12 s an iteration: the logger's .02 s are somebody else's here, but the
    # validation's 5 s are not.
    assert hook.summary()['cpu/own(%)'] == pytest.approx(100 / 1.2)


def test_the_verdict_knows_what_the_layers_do(tmp_path, clock, monkeypatch):
    module = 'hpml_mm.engine.hooks.data_load_ratio_hook'
    monkeypatch.setattr(f'{module}.cpu_has_bf16', lambda: True)

    def verdict_with(folder, *hooks):
        hook = ratio_hook(clock)
        loader = DataLoader(ClockedImages(clock, seconds=0.0), batch_size=BATCH)
        runner = clocked_runner(
            tmp_path / folder, clock, [*hooks, hook], train_dataloader=loader
        )
        runner.train()
        assert not runner.model.fc._forward_hooks
        return hook.summary()['verdict']

    assert verdict_with('fp32').endswith('; AMP or a larger batch may help')
    amp = {'type': 'hpml_mm.AmpHook'}
    assert verdict_with('bf16', amp).endswith('loader; a larger batch may help')


def test_worker_processes_are_waited_for(tmp_path, clock):
    """The real multi-process iterator works behind the proxy, epoch after epoch."""
    hook = DataLoadRatioHook()
    loader = DataLoader(ClockedImages(clock), batch_size=BATCH, num_workers=1)
    runner = clocked_runner(tmp_path, clock, [hook], train_dataloader=loader)
    runner.train()
    summary = hook.summary()
    assert 0 < summary['data_wait(%)'] < 100
    assert summary['data_wait/first_batch(s)'] > 0
    assert runner.iter == 10


def test_loader_of_another_hook_is_kept_and_measured(tmp_path, clock):
    """A recipe that switches loaders between epochs works behind the proxy."""
    fast = DataLoader(ClockedImages(clock, seconds=0.0), batch_size=BATCH)

    class Switch(Hook):
        def before_train_epoch(self, runner):
            if runner.epoch == 1:
                runner.train_loop.dataloader = fast

        def after_train_epoch(self, runner):
            if runner.epoch == 0:
                assert runner.train_loop.dataloader is slow

    hook = ratio_hook(clock, interval=5)
    runner = clocked_runner(tmp_path, clock, [hook, Switch()], length=3)
    slow = runner._train_dataloader
    runner.train()
    assert runner.train_loop.dataloader is fast
    # The switch comes after the proxy, so the second epoch goes unmeasured; the
    # third does not: no wait at all in four of eight iterations.
    assert shown(runner, 'data_wait(%)') == pytest.approx([40, 0])


def test_device_idle_by_events(tmp_path, clock):
    event, syncs = events_by(clock)

    class OnDevice(DataLoadRatioHook):
        def before_train(self, runner):
            super().before_train(runner)
            self._gaps = CudaGapTimer(event)

    hook = OnDevice(interval=5)
    hook.clock = clock
    runner = clocked_runner(
        tmp_path, clock, [hook], by_epoch=False, length=10, val_interval=5
    )
    runner.train()
    # Loading and logging make .1 of each .2 s; a gap with a validation in it is left
    # out.
    assert hook.summary()['device_idle(%)'] == pytest.approx(50)
    assert len(syncs) == 2
    assert shown(runner, 'device_idle(%)') == pytest.approx([50, 50])


def test_after_an_error_a_loop_by_iterations_has_its_iterator_back(tmp_path, clock):
    hook = ratio_hook(clock)
    runner = clocked_runner(tmp_path, clock, [hook], by_epoch=False, length=2)
    runner.model.fail_at = 2
    with pytest.raises(RuntimeError, match='toy failure'):
        runner.train()
    name = type(runner.train_loop.dataloader_iterator).__name__
    assert name == '_InfiniteDataloaderIterator'


def test_loop_that_draws_elsewhere_is_not_guessed(tmp_path, clock):
    class Elsewhere(EpochBasedTrainLoop):
        def run_epoch(self):
            self.runner.call_hook('before_train_epoch')
            for idx, batch in enumerate(elsewhere):
                self.run_iter(idx, batch)
            self.runner.call_hook('after_train_epoch')
            self._epoch += 1

    hook = ratio_hook(clock)
    runner = clocked_runner(tmp_path, clock, [hook], length=1)
    elsewhere = runner._train_dataloader
    runner._train_loop = Elsewhere(runner, elsewhere, max_epochs=1)
    runner.train()
    summary = hook.summary()
    assert summary['data_wait(%)'] is None
    assert summary['verdict'] is None
    assert 'Elsewhere draws its batches neither from' in log_of(tmp_path)


def test_before_a_run_there_is_nothing():
    assert set(DataLoadRatioHook().summary().values()) == {None}


def test_bad_interval():
    with pytest.raises(ValueError, match='interval=-1 is no window length'):
        HOOKS.build({'type': 'hpml_mm.DataLoadRatioHook', 'interval': -1})
