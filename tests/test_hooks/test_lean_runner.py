# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from toy_runs import for_testing, for_validation, toy_runner

from hpml_mm.engine.lean_runner import LeanRunner, acts_in


class Noting(Hook):
    """Notes every stage that it is called for."""

    def __init__(self, seen, name):
        self.seen = seen
        self.name = name

    def __repr__(self):
        return f'Noting {self.name}'


class IterHook(Noting):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.seen.append((self.name, 'before_train_iter', runner.iter, batch_idx))


class AnyIterHook(Noting):
    """Acts in training, validation and test by one method."""

    def _after_iter(self, runner, batch_idx, data_batch=None, outputs=None, mode=''):
        self.seen.append((self.name, f'after_{mode}_iter', runner.iter, batch_idx))


class EndHook(Noting):
    def after_run(self, runner):
        self.seen.append((self.name, 'after_run', runner.epoch, runner.iter))

    def my_own_stage(self, runner, word):
        self.seen.append((self.name, word, 0, 0))


def lean(runner):
    runner.__class__ = LeanRunner
    return runner


def seen_of(runner_of, tmp_path, act):
    seen = []
    hooks = [kind(seen, kind.__name__) for kind in (IterHook, AnyIterHook, EndHook)]
    parts = {**for_validation(), **for_testing()}
    parts['train_cfg'] = {'by_epoch': True, 'max_epochs': 2, 'val_interval': 1}
    runner = runner_of(toy_runner(tmp_path, hooks, **parts))
    act(runner)
    return seen


def train_and_test(runner):
    runner.call_hook('my_own_stage', word='first')
    runner.train()
    runner.test()


def test_every_hook_that_acts_is_called_as_mmengine_calls_it(tmp_path):
    expected = seen_of(lambda runner: runner, tmp_path / 'a', train_and_test)
    assert len(expected) > 25
    assert seen_of(lean, tmp_path / 'b', train_and_test) == expected


class EpochHook(Noting):
    def before_test_epoch(self, runner):
        self.seen.append(self.name)


def test_a_hook_that_does_not_act_in_a_stage_is_passed_by(tmp_path):
    runner = lean(toy_runner(tmp_path, [IterHook([], 'a'), EpochHook([], 'b')]))
    runner.call_hook('before_test_epoch')
    called = [type(each).__name__ for each in runner._acting['before_test_epoch']]
    assert called == ['IterTimerHook', 'EpochHook']


def test_a_hook_that_is_added_or_removed_during_the_run_is_noticed(tmp_path):
    seen = []
    runner = lean(toy_runner(tmp_path))
    runner.call_hook('before_test_epoch')
    runner.register_hook(late := EpochHook(seen, 'late'))
    runner.call_hook('before_test_epoch')
    runner._hooks.remove(late)
    runner.call_hook('before_test_epoch')
    assert seen == ['late']


def test_a_method_given_to_one_hook_only_counts_as_its_own():
    hook = Hook()
    assert not acts_in(hook, 'after_run')
    hook.after_run = lambda runner: None
    assert acts_in(hook, 'after_run')


def test_a_type_error_names_the_hook(tmp_path):
    runner = lean(toy_runner(tmp_path, [EndHook([], 'wrong')]))
    with pytest.raises(TypeError, match="'words' in Noting wrong"):
        runner.call_hook('my_own_stage', words=1)


def test_a_config_chooses_it(tmp_path):
    assert RUNNERS.get('hpml_mm.LeanRunner') is LeanRunner
    runner = toy_runner(tmp_path, cfg=Config({'work_dir': str(tmp_path)}))
    assert Runner.iter.fget(runner) == LeanRunner.iter.fget(lean(runner)) == 0
