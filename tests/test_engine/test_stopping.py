# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Errors of processes that are lost, and validations that can be left."""

import pytest
import torch
from mmengine.hooks import EMAHook, Hook
from torch.utils.data import DataLoader, Dataset
from toy_tools import toy_runner

from hpml_mm.engine.stopping.leave_validation import can_be_left, take_back_averages
from hpml_mm.engine.stopping.lost_processes import (
    explain_loss,
    is_worker_death,
    raised_by_loader,
)

GLOO = (
    '[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:538] Connection closed by '
    'peer [127.0.0.1]:17829. This may indicate a remote failure'
)


@pytest.mark.parametrize(
    ('error', 'said', 'remedy'),
    [
        (
            RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed. '),
            '(DataLoader worker (pid 7) is killed by signal: Killed)',
            'num_workers',
        ),
        (
            RuntimeError('DataLoader worker (pid 7) is killed by signal: Bus error. '),
            'Bus error',
            '/dev/shm',
        ),
        (RuntimeError('Pin memory thread exited unexpectedly'), 'Pin memory', 'dmesg'),
        (RuntimeError(GLOO), 'Connection closed by peer', 'another process'),
        (torch.distributed.DistNetworkError('timed out'), 'timed out', 'another'),
    ],
)
def test_a_lost_process_is_one_line(error, said, remedy):
    line = explain_loss(error)
    assert said in line
    assert remedy in line
    assert '\n' not in line


@pytest.mark.parametrize('error', [RuntimeError('shapes differ'), OSError('disk')])
def test_other_errors_are_no_lost_processes(error):
    assert explain_loss(error) == ''


def test_what_torch_noted_is_told():
    error = RuntimeError('DataLoader worker (pid(s) 7) exited unexpectedly')
    noted = 'DataLoader worker (pid 7) is killed by signal: Bus error.'
    assert noted.rstrip('.') in explain_loss(error, noted)


class Broken(Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        raise OSError('a broken image')


@pytest.mark.parametrize('workers', [0, 1])
def test_an_error_of_a_sample_comes_of_the_loader_and_is_no_death(workers):
    loader = DataLoader(Broken(), num_workers=workers)
    with pytest.raises(OSError, match='a broken image') as raised:
        next(iter(loader))
    assert raised_by_loader(raised.value)
    assert not is_worker_death(raised.value)


def test_an_error_of_a_hooks_own_loader_is_not_between_two_iterations(tmp_path):
    class Reads(Hook):
        def before_train(self, runner):
            next(iter(DataLoader(Broken())))

    runner = toy_runner(tmp_path)
    runner.register_hook(Reads())
    with pytest.raises(OSError, match='a broken image') as raised:
        runner.call_hook('before_train')
    assert not raised_by_loader(raised.value)


class Prepares(Hook):
    def before_val_epoch(self, runner):
        """Changes the model, as far as anyone knows."""


class Watches(Hook):
    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        """Leaves the model as it is."""


@pytest.mark.parametrize(('hook', 'left'), [(Prepares(), False), (Watches(), True)])
def test_a_validation_that_an_unknown_hook_prepares_is_not_left(tmp_path, hook, left):
    runner = toy_runner(tmp_path)
    runner.register_hook(hook)
    assert can_be_left(runner) is left


def test_the_model_gets_its_own_weights_back(tmp_path):
    runner = toy_runner(tmp_path)
    hook = EMAHook()
    runner.register_hook(hook)
    hook.before_run(runner)
    weight = runner.model.out.weight
    own = weight.detach().clone()
    with torch.no_grad():
        hook.ema_model.module.out.weight.add_(1)
    hook.before_val_epoch(runner)
    assert torch.equal(weight, own + 1)
    take_back_averages(runner)
    assert torch.equal(weight, own)
