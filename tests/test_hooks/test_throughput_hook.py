# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""ThroughputHook in real runners, on a clock that the toy parts move."""

import pytest
import torch
from clocked_runs import ClockedNet, clocked_runner, events_by, shown
from mmengine.hooks import Hook
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack
from toy_runs import toy_runner

from hpml_mm.engine.hooks import DataLoadRatioHook, ThroughputHook
from hpml_mm.measure.step_timer import StepTimer
from hpml_mm.registry import HOOKS


def throughput_hook(clock, **kwargs):
    hook = ThroughputHook(**kwargs)
    hook.clock = clock
    return hook


def test_epochs(tmp_path, clock):
    """Worker start belongs to a step; validation and checkpoints to none."""
    hook = throughput_hook(clock, warmup_iters=2, interval=5)
    runner = clocked_runner(tmp_path, clock, [hook], val_interval=1)
    runner.train()
    summary = hook.summary()
    # Eight steps are measured: seven of .2 s, and one of 1.2 s in which the second
    # epoch's loader starts.
    assert summary['step_time/n'] == 8
    assert summary['throughput(img/s)'] == pytest.approx(32 / 2.6)
    assert summary['throughput/all(img/s)'] == pytest.approx(32 / 2.6)
    assert summary['step_time/median(ms)'] == pytest.approx(200)
    assert summary['step_time/p95(ms)'] == pytest.approx(850)
    # Windows: three steps that follow the warm-up, then a whole epoch.
    assert shown(runner, 'throughput(img/s)') == pytest.approx([20, 10])
    # The clock did run on: two validations of 5 s, two checkpoints of 3 s.
    assert clock.now - 1000 > 10 * 0.2 + 2 * 1 + 2 * 5 + 2 * 3


def test_iterations(tmp_path, clock):
    hook = throughput_hook(clock, warmup_iters=2, interval=4)
    runner = clocked_runner(
        tmp_path, clock, [hook], by_epoch=False, length=10, val_interval=5
    )
    runner.train()
    summary = hook.summary()
    assert summary['step_time/n'] == 8
    assert summary['throughput(img/s)'] == pytest.approx(20)
    assert summary['step_time/p95(ms)'] == pytest.approx(200)
    # After iterations 4, 8, and 10, the last.
    assert shown(runner, 'throughput(img/s)') == pytest.approx([20, 20, 20])


def test_checkpoint_saved_by_any_hook_stops_the_clock(tmp_path, clock):
    class Saver(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            runner.save_checkpoint(str(tmp_path), 'mine.pth')

    hook = throughput_hook(clock, warmup_iters=1, interval=5)
    runner = clocked_runner(tmp_path, clock, [hook, Saver()], length=1)
    runner.train()
    assert hook.summary()['throughput(img/s)'] == pytest.approx(20)
    assert 'save_checkpoint' not in vars(runner)


def test_logged_and_in_tensorboard_with_the_wait_for_data(tmp_path, clock):
    hook = throughput_hook(clock, warmup_iters=2, interval=5)
    waits = DataLoadRatioHook(interval=5)
    waits.clock = clock
    runner = clocked_runner(
        tmp_path,
        clock,
        [hook, waits],
        default_hooks={'logger': {'type': 'LoggerHook', 'interval': 5}},
        visualizer={
            'type': 'Visualizer',
            'vis_backends': [{'type': 'TensorboardVisBackend'}],
        },
    )
    runner.train()
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'throughput(img/s): 20.0000' in log
    assert 'data_wait(%): 40.0000' in log
    events = EventAccumulator(str(tmp_path)).Reload()
    for tag, values in {
        'train/throughput_img_per_s': [20, 10],
        'train/data_wait_percent': [40, 40],
        'train/data_wait/first_batch_s': [1.08, 1.08],
    }.items():
        shown = {s.step: s.value for s in events.Scalars(tag)}
        assert shown == dict(zip((5, 10), map(pytest.approx, values), strict=True))
    assert 'train/memory/peak_GiB' in events.Tags()['scalars']


def test_cost_of_a_step(tmp_path, clock):
    hook = throughput_hook(clock, warmup_iters=1)
    clocked_runner(tmp_path, clock, [hook], length=1).train()
    summary = hook.summary()
    # 4 x 8 x 3 multiply-adds forward, as many for the weight's gradient.
    assert summary['step(GMACs)'] == 192e-9
    assert summary['image(GMACs)'] == 48e-9
    assert summary['params(M)'] == 27e-6
    assert summary['step/precision'] == 'float32'
    assert summary['mfu(%)'] is None  # no peak of a CPU is known
    assert summary['memory/peak(GiB)'] > 0.05
    assert summary['memory/reserved(GiB)'] is None
    # 2 x 48 operations an image at 20 images/s, of a device that can do 7,680.
    hook._peak_flops = 7680.0
    assert hook.summary()['mfu(%)'] == pytest.approx(25)


@pytest.mark.parametrize('kwargs', [{'warmup_iters': 0}, {'count_flops': False}])
def test_cost_is_not_counted_within_the_measurement(tmp_path, clock, kwargs):
    hook = throughput_hook(clock, **kwargs)
    clocked_runner(tmp_path, clock, [hook], length=1).train()
    assert hook.summary()['step(GMACs)'] is None


def test_compiled_parts_are_not_counted(tmp_path, clock):
    hook = throughput_hook(clock, warmup_iters=1)
    model = ClockedNet(clock)
    model.fc.compile(backend='eager')
    clocked_runner(tmp_path, clock, [hook], length=1, model=model).train()
    summary = hook.summary()
    assert summary['step(GMACs)'] is None
    assert summary['step_time/n'] == 4


@pytest.mark.parametrize(
    ('accumulate', 'others'),
    [(1, []), (2, [{'type': 'hpml_mm.AmpHook', 'dtype': 'bfloat16'}])],
    ids=['plain', 'accumulated-amp'],
)
def test_training_is_the_same_with_and_without(tmp_path, accumulate, others):
    """Counting a step changes no bit of what is learned."""
    states = []
    for hook in ([], [{'type': 'hpml_mm.ThroughputHook', 'warmup_iters': 2}]):
        runner = toy_runner(
            tmp_path,
            hooks=[*others, *hook],
            optim_wrapper={
                'optimizer': {'type': 'SGD', 'lr': 0.1, 'momentum': 0.9},
                'accumulative_counts': accumulate,
            },
        )
        runner.train()
        states.append(runner.model.state_dict())
    measured = next(h for h in runner.hooks if isinstance(h, ThroughputHook))
    assert measured.summary()['step(GMACs)'] > 0
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name


def test_failing_step_leaves_nothing_behind(tmp_path, clock):
    hook = throughput_hook(clock, warmup_iters=2)
    runner = clocked_runner(tmp_path, clock, [hook])
    runner.model.fail_at = 1  # the step whose operations are counted
    with pytest.raises(RuntimeError, match='toy failure'):
        runner.train()
    assert _get_current_dispatch_mode_stack() == []
    assert 'train_step' not in vars(runner.model)
    # The same runner may try again.
    runner.model.fail_at = None
    runner.train()
    assert hook.summary()['step_time/n'] == 8
    assert hook.summary()['step(GMACs)'] == 192e-9


def test_resumed_run_measures_anew(tmp_path, clock):
    checkpoint = {'checkpoint': {'type': 'CheckpointHook'}}
    first = throughput_hook(clock, warmup_iters=2, interval=5)
    clocked_runner(tmp_path, clock, [first], length=1, default_hooks=checkpoint).train()
    hook = throughput_hook(clock, warmup_iters=2, interval=5)
    runner = clocked_runner(
        tmp_path, clock, [hook], default_hooks=checkpoint, resume=True
    )
    runner.train()
    assert runner.iter == 10
    assert hook.summary()['step_time/n'] == 3
    # What the first process measured is not shown as this one's.
    assert shown(runner, 'throughput(img/s)') == pytest.approx([20])


def test_run_within_warm_up_says_so(tmp_path, clock):
    hook = throughput_hook(clock, warmup_iters=10)
    clocked_runner(tmp_path, clock, [hook], length=1).train()
    assert hook.summary()['throughput(img/s)'] is None
    log = next(tmp_path.glob('*/*.log')).read_text()
    reason = '5 steps in all, the first 10 are warm-up; lower warmup_iters'
    assert f'no images/s: {reason}' in log
    assert hook.summary()['throughput/reason'] == reason


def test_unknown_batch_leaves_step_times(tmp_path, clock):
    class Odd(ClockedNet):
        def train_step(self, data, optim_wrapper):
            return super().train_step(data['all'], optim_wrapper)

    def collate(items):
        return {'all': torch.utils.data.default_collate(items)}

    hook = throughput_hook(clock, warmup_iters=1)
    runner = clocked_runner(tmp_path, clock, [hook], length=1, model=Odd(clock))
    runner._train_dataloader.collate_fn = collate
    runner.train()
    summary = hook.summary()
    assert summary['throughput(img/s)'] is None
    assert summary['throughput/reason'] == 'a batch does not tell its number of samples'
    assert summary['step_time/median(ms)'] == pytest.approx(200)
    assert summary['image(GMACs)'] is None
    assert summary['step(GMACs)'] == 192e-9
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'a batch of type dict does not tell its number of samples' in log


def test_before_a_run_there_is_nothing():
    assert set(ThroughputHook().summary().values()) == {None, 0}


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        ({'interval': 0}, 'interval=0 is no window length'),
        ({'interval': 2.5}, 'interval=2.5 is no window length'),
        ({'warmup_iters': -1}, 'warmup_iters=-1 is negative'),
        ({'warmup_iters': '5'}, "warmup_iters='5' is no number of steps"),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        HOOKS.build({'type': 'hpml_mm.ThroughputHook', **kwargs})


def test_steps_by_device_events(tmp_path, clock):
    """With events, nothing waits for the device but the end of a window."""
    event, syncs = events_by(clock)

    class OnDevice(ThroughputHook):
        def before_train(self, runner):
            super().before_train(runner)
            self.timer = StepTimer(event)

    hook = OnDevice(warmup_iters=2, interval=5)
    runner = clocked_runner(tmp_path, clock, [hook], val_interval=1)
    runner.train()
    assert len(syncs) == 2
    assert hook.summary()['throughput(img/s)'] == pytest.approx(32 / 2.6)
