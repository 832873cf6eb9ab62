# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What hooks evaluate, test and train in a training is no part of what is measured."""

import json
from itertools import islice

import mmengine.runner
import pytest
from clocked_runs import BATCH, ClockedImages, ScriptedMetric, clocked_runner
from fake_clock import FakeClock
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner, ValLoop
from torch.utils.data import DataLoader

from hpml_mm.engine.hooks import (
    DataLoadRatioHook,
    GracefulStopHook,
    SummaryHook,
    ThroughputHook,
)
from hpml_mm.measure.cpu_load import CpuTimes


class FailingMetric(ScriptedMetric):
    def compute_metrics(self, results):
        raise RuntimeError('toy failure')


class NestedLoop(ValLoop):
    """Validates once more within itself."""

    def run_iter(self, idx, data_batch):
        super().run_iter(idx, data_batch)
        one_loop(self.runner)


def images(runner):
    return DataLoader(ClockedImages(runner.model.clock, batches=2), batch_size=BATCH)


def one_loop(runner, kind=ValLoop, metric=None):
    metric = metric or ScriptedMetric((9.0,) * 100)
    return kind(runner, images(runner), Evaluator(metric)).run()


def nested_loops(runner):
    one_loop(runner, NestedLoop)


def failing_loop(runner):
    for kind in (ValLoop, mmengine.runner.TestLoop):
        with pytest.raises(RuntimeError, match='toy failure'):
            one_loop(runner, kind, FailingMetric())


def second_runner(runner):
    """With the same hooks, its own numbers, and an end of its own."""
    folder = f'{runner.work_dir}/second'
    clock = runner.model.clock
    other = clocked_runner(folder, clock, measuring(clock), length=1, val_interval=1)
    other.train()
    assert other.hooks[-1] is not runner.hooks[-1]
    assert summary_of(folder)['measurements']['data_wait(%)'] == pytest.approx(40)


def evaluation(runner):
    """A loop of one's own over batches that lie ready."""
    runner.model.eval()
    for batch in runner.batches:
        runner.model.val_step(batch)
    runner.model.train()


def evaluation_on_the_train_set(runner):
    runner.model.eval()
    for batch in islice(runner.train_dataloader, 5):  # by iterations, it has no end
        runner.model.val_step(batch)
    runner.model.train()


#: One of them after another, in each iteration.
WORK = (
    lambda runner: runner.val_loop.run(),
    lambda runner: runner.test_loop.run(),
    Runner.val,
    Runner.test,
    one_loop,
    nested_loops,
    failing_loop,
    second_runner,
    evaluation,
    evaluation_on_the_train_set,
)


class Busy(Hook):
    """Does something besides the training in each iteration, or after each epoch."""

    def __init__(self, stage, priority, work=WORK):
        self.stage, self.priority, self.work = stage, priority, work

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if self.stage == 'before_train_iter':
            self.work[runner.iter % len(self.work)](runner)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if self.stage == 'after_train_iter':
            self.work[runner.iter % len(self.work)](runner)

    def after_train_epoch(self, runner):
        if self.stage == 'after_train_epoch':
            for work in self.work:
                work(runner)


def measuring(clock):
    hooks = [
        DataLoadRatioHook(interval=5),
        ThroughputHook(warmup_iters=2, interval=5),
        SummaryHook(),
        GracefulStopHook(),
    ]
    for hook in hooks[:3]:
        hook.clock = clock
    # Two cores, one of which this training takes.
    hooks[0].read_cpu = lambda: CpuTimes(clock.now, 2 * clock.now, 2 * clock.now)
    return hooks


def summary_of(folder):
    with open(f'{folder}/summary.json') as file:
        return json.load(file)


def train(folder, clock, *others, **settings):
    """A training with a validation of its own, and the summary that it leaves."""
    parts = {
        'val_interval': 1,
        'test_dataloader': DataLoader(
            ClockedImages(clock, batches=1), batch_size=BATCH
        ),
        'test_cfg': {},
        'test_evaluator': Evaluator(ScriptedMetric()),
        **settings,
    }
    runner = clocked_runner(folder, clock, [*measuring(clock), *others], **parts)
    runner.batches = list(DataLoader(ClockedImages(clock, seconds=0), batch_size=BATCH))
    try:
        runner.train()
    finally:
        summary = summary_of(folder)
        for name in ('memory/peak(GiB)', 'verdict'):
            del summary['measurements'][name]
        del summary['train']['wall_time(s)']
    return summary


@pytest.fixture(scope='module', params=['epochs', 'iterations'])
def undisturbed(request, tmp_path_factory):
    by = {} if request.param == 'epochs' else {'by_epoch': False, 'length': 10}
    by['val_interval'] = 1 if request.param == 'epochs' else 5
    return train(tmp_path_factory.mktemp('plain'), FakeClock(), **by), by


@pytest.mark.slow
@pytest.mark.parametrize(
    ('stage', 'priority'),
    [
        ('before_train_iter', 'NORMAL'),
        ('after_train_iter', 'HIGH'),
        ('after_train_iter', 'LOWEST'),
        ('after_train_epoch', 'HIGH'),
    ],
)
def test_no_number_changes(tmp_path, clock, undisturbed, stage, priority):
    plain, by = undisturbed
    disturbed = train(tmp_path, clock, Busy(stage, priority), **by)
    expected = plain['measurements']
    assert expected['step_time/n'] == 8
    for key, value in expected.items():
        assert disturbed['measurements'][key] == pytest.approx(value), key
    for key in ('status', 'mode', 'metrics', 'train'):
        assert disturbed[key] == plain[key]


def test_a_loop_that_changes_no_mode_ends_with_its_stage(tmp_path, clock):
    """What other hooks do after it, in the same stage, is left out with it."""

    def loop(runner):
        for batch in images(runner):
            runner.model.val_step(batch)

    summary = train(tmp_path, clock, Busy('after_train_iter', 'NORMAL', (loop,)))
    measured = summary['measurements']
    # .02 s of logging are missing in each of the eight steps.
    assert measured['step_time/median(ms)'] == pytest.approx(180)
    assert measured['throughput(img/s)'] == pytest.approx(32 / (2.6 - 8 * 0.02))


def test_evaluation_mode_for_the_training_steps_counts(tmp_path, clock):
    frozen = Busy('before_train_iter', 'HIGH', (lambda runner: runner.model.eval(),))
    measured = train(tmp_path, clock, frozen)['measurements']
    assert measured['step_time/n'] == 8
    assert measured['step_time/median(ms)'] == pytest.approx(200)
    assert measured['data_wait(%)'] == pytest.approx(40)


def test_batches_that_a_resumed_run_skips_are_no_wait(tmp_path, clock):
    by = {'by_epoch': False, 'val_interval': 5}
    train(tmp_path, clock, length=5, **by)
    began = clock.now
    measured = train(tmp_path, clock, length=10, resume=True, **by)['measurements']
    # The sampler's second to start is part of the skipping, and the first batch that
    # is trained is not the iterator's first.
    assert clock.now - began > 1 + 5 * 0.2
    assert measured['step_time/n'] == 3
    assert measured['step_time/p95(ms)'] == pytest.approx(200)
    assert measured['data_wait(%)'] == pytest.approx(100 * 5 * 0.08 / (5 * 0.2 - 0.02))
    assert measured['data_wait/first_batch(s)'] is None


def test_only_a_validation_of_the_training_loop_is_in_the_summary(tmp_path, clock):
    class Validates(Hook):
        def after_train(self, runner):
            runner.val_loop.run()

    metric = ScriptedMetric([1.0, 2.0, 3.0])
    summary = train(tmp_path, clock, Validates(), metric=metric)
    assert summary['metrics'] == {'acc': 2.0}
