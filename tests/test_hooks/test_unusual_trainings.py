# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Every hook in every unusual training works, or refuses it before the first step."""

import contextlib
import json
import signal

import pytest
import torch
from mmengine.hooks import Hook
from toy_runs import Terminal, for_pruning, toy_runner
from unusual_runs import UNUSUAL, two_optimizers, unusual_runner

from hpml_mm.engine.hooks import SummaryHook
from hpml_mm.engine.stopping.request import StoppedBySignalError
from hpml_mm.registry import HOOKS

STOP = {'type': 'hpml_mm.GracefulStopHook'}
ARGUMENTS = {
    'DataLoadRatioHook': {'interval': 1},
    'PTQHook': {'settings': {'latency_seconds': 0}},
    'QATHook': {'settings': {'latency_seconds': 0}},
    'SpeedHook': {'optimizer': 'auto', 'wide_batch_norm': True},
    'ThroughputHook': {'warmup_iters': 1, 'interval': 1},
    'TorchProfilerHook': {'wait': 0, 'warmup': 0, 'active': 1},
}
# For a kind of model or metric that none of these trainings has.
SPECIAL = {
    'ClassWeightHook': 'needs model.head.loss_module',
    'PTQHook': 'only these can be deployed',
    'PoseSheetHook': 'needs a data set of MMPose',
    'QATHook': 'only these can be deployed',
    'TargetScalingHook': 'has no scale of labels',
}
REFUSED = {('SampleSeedHook', 'no length'): 'seeds each sample by its index'}


def train(runner):
    """Train, at a terminal, and tell after how many steps it ended."""
    with contextlib.redirect_stdout(Terminal()):
        runner.train()
    return runner.iter


@pytest.mark.parametrize('training', UNUSUAL)
def test_a_hook_works_or_refuses(tmp_path, training):
    HOOKS.import_from_location()
    working = []
    arguments = {**ARGUMENTS, 'PruningHook': for_pruning(tmp_path)}
    for name in HOOKS.module_dict:
        hook = {'type': f'hpml_mm.{name}', **arguments.get(name, {})}
        reason = SPECIAL.get(name) or REFUSED.get((name, training))
        if reason is None:
            working.append(hook)
            continue
        runner = unusual_runner(training, tmp_path, [hook])
        with pytest.raises((ValueError, TypeError), match=reason):
            train(runner)
        assert runner.iter == 0
    assert len(working) >= 11
    assert train(unusual_runner(training, tmp_path, working)) == 2
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert summary['status'] == 'finished'
    measured = summary['measurements']
    assert measured['step_time/n'] == 1
    assert measured['throughput(img/s)'] > 0
    assert measured['data_wait/first_batch(s)'] > 0
    length = {'no length': None}.get(training, 8)
    assert summary['train']['dataset_size'] == length


@pytest.mark.parametrize('training', UNUSUAL)
def test_the_speed_of_the_optimizer_changes_no_step(tmp_path, training):
    """By a fused kernel or without, as the parameters allow."""
    speed = {'type': 'hpml_mm.SpeedHook', 'channels_last': False, 'optimizer': 'auto'}
    plain, fast = (unusual_runner(training, tmp_path, hooks) for hooks in ([], [speed]))
    train(plain)
    train(fast)
    for key, value in plain.model.state_dict().items():
        torch.testing.assert_close(fast.model.state_dict()[key], value)


class InterruptAt(Hook):
    """Sends this process Ctrl-C after one iteration, counted from 1."""

    def __init__(self, iteration):
        self.iteration = iteration

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.iteration:
            signal.raise_signal(signal.SIGINT)


def gan(work_dir, accumulate, *hooks, **settings):
    parts = {'train_cfg': {'by_epoch': True, 'max_epochs': 4}, **settings}
    hooks = [STOP, SummaryHook(), *hooks]
    return toy_runner(work_dir, hooks, **{**two_optimizers(accumulate), **parts})


@pytest.mark.parametrize(
    ('accumulate', 'stops_at'),
    [((1, 1), 3), ((4, 4), 4), ((4, 1), 4), ((2, 3), 6)],
)
def test_a_stopped_run_of_two_optimizers_ends_as_an_unbroken_one(
    tmp_path, accumulate, stops_at
):
    """It stops where the accumulations of both of them end."""
    whole = gan(tmp_path / 'whole', accumulate)
    whole.train()
    part = gan(tmp_path / 'part', accumulate, InterruptAt(3))
    with pytest.raises(StoppedBySignalError):
        part.train()
    path = tmp_path / 'part' / 'interrupted.pth'
    assert torch.load(path, weights_only=False)['meta']['iter'] == stops_at
    summary = json.loads((tmp_path / 'part' / 'summary.json').read_text())
    assert summary['status'] == 'interrupted'
    rest = gan(tmp_path / 'part', accumulate, resume=True, load_from=str(path))
    rest.train()
    assert rest.iter == whole.iter == 16
    for key, value in whole.model.state_dict().items():
        assert torch.equal(rest.model.state_dict()[key], value), key
    assert not torch.equal(part.model.critic.weight, rest.model.critic.weight)


def test_accumulations_that_never_end_together_do_not_hold_a_stop_up(tmp_path):
    runner = gan(tmp_path, (2, 2), InterruptAt(3))
    # Out of step for ever: one of them begins with a gradient of its own.
    runner.optim_wrapper['critic']._inner_count = 1
    with pytest.raises(StoppedBySignalError):
        runner.train()
    path = tmp_path / 'interrupted.pth'
    assert torch.load(path, weights_only=False)['meta']['iter'] == 4
    log = next(tmp_path.glob('*/*.log')).read_text()
    assert 'accumulated by 2 optimizer wrappers were not all used' in log


class Trains(Hook):
    """Runs a training of its own after the first iteration, and is asked to stop."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter == 0:
            self.inner = gan(f'{runner.work_dir}/inner', (1, 1), InterruptAt(1))
            self.inner.train()


def test_a_signal_in_a_training_within_a_training_stops_the_outer_one(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    hook = Trains()
    runner = gan(tmp_path, (1, 1), hook)
    with pytest.raises(StoppedBySignalError):
        runner.train()
    assert hook.inner.iter == 16
    assert not (tmp_path / 'inner' / 'interrupted.pth').exists()
    path = tmp_path / 'interrupted.pth'
    assert torch.load(path, weights_only=False)['meta']['iter'] == 1
    assert signal.getsignal(signal.SIGINT) is before
