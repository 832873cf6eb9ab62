# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Resumed trainings against unbroken ones, in a real Runner."""

import contextlib
import json
import math
import random

import numpy as np
import pytest
import torch
from differences import differences
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.model import MMDistributedDataParallel
from mmengine.runner.checkpoint import _load_checkpoint
from torch import nn
from toy_runs import NoisyImages, StopAt, ToyNet, for_validation, loader, toy_runner
from two_ranks import on_two_ranks

from hpml_mm.engine.hooks import CheckpointHook, ResumeHook
from hpml_mm.engine.hooks.graceful_stop_hook import StoppedBySignalError

STOP = {'type': 'hpml_mm.GracefulStopHook', 'agree_interval': 1}
SUMMARY = {'type': 'hpml_mm.SummaryHook'}
OF_THE_CLOCK = ('time', 'eta', 'cfg', 'experiment_name')
WORKERS = {'num_workers': 2}
PERSISTENT = {'num_workers': 2, 'persistent_workers': True}


class DropoutNet(ToyNet):
    """Draws in the process that trains, as the images do where there are no workers."""

    def __init__(self):
        super().__init__()
        self.head.insert(2, nn.Dropout(0.3))


class ToyFailureError(Exception):
    """What ends a training in place of a kill."""


class Crash(Hook):
    """Fails in a validation, when its metrics are there or before."""

    def __init__(self, at, stage='before_val_iter'):
        setattr(self, stage, lambda runner, *args, **kwargs: self.fail(runner, at))

    def fail(self, runner, at):
        if runner.iter == at:
            raise ToyFailureError


def noisy_runner(
    folder,
    hooks=(),
    *,
    workers=None,
    by_epoch=True,
    exact=True,
    net=DropoutNet,
    **more,
):
    """Twelve shuffled iterations that validate and save after each fourth."""
    data = loader(shuffle=True) | {'dataset': NoisyImages()} | (workers or {})
    train = {'by_epoch': True, 'max_epochs': 3}
    if not by_epoch:
        train = {'by_epoch': False, 'max_iters': 12, 'val_interval': 4}
        data['sampler']['type'] = 'InfiniteSampler'
    torch.manual_seed(0)
    saving = {'type': 'hpml_mm.CheckpointHook', 'interval': 1 if by_epoch else 4}
    settings = {
        'model': net(),
        'train_dataloader': data,
        'train_cfg': train,
        'default_hooks': {'checkpoint': {**saving, 'by_epoch': by_epoch}},
        'visualizer': {'type': 'Visualizer', 'vis_backends': []},
        'randomness': {'seed': 3},
        'log_processor': {'by_epoch': by_epoch},
        **for_validation(),
    }
    hooks = [STOP, SUMMARY, {'type': 'hpml_mm.ResumeHook', 'exact': exact}, *hooks]
    return toy_runner(folder, hooks, **(settings | more))


def train(*args, **changes):
    """Train to the end, or to what ends it before; note what would be drawn next."""
    runner = noisy_runner(*args, **changes)
    with contextlib.suppress(StoppedBySignalError, ToyFailureError):
        runner.train()
    runner.draws = [random.random(), np.random.rand(), torch.rand(1)]
    return runner


def resumed(folder, name, *args, **changes):
    """Train on from a checkpoint in the folder."""
    random.seed(99), np.random.seed(99), torch.manual_seed(99)
    return train(folder, *args, resume=True, load_from=str(folder / name), **changes)


def state(runner):
    early = [hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]
    return {
        'model': runner.model.state_dict(),
        'optimizer': runner.optim_wrapper.state_dict(),
        'hub': runner.message_hub.state_dict(),
        'early': [(hook.wait_count, hook.best_score) for hook in early],
        'draws': runner.draws,
    }


def unlike(one, other):
    return differences(state(one), state(other), OF_THE_CLOCK)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('by_epoch', 'workers', 'at'),
    [
        (True, None, 4),
        (True, None, 6),
        (True, WORKERS, 6),
        (True, PERSISTENT, 4),
        (True, PERSISTENT, 6),
        (False, None, 6),
        (False, PERSISTENT, 6),
    ],
)
def test_a_resumed_run_ends_as_an_unbroken_one(tmp_path, by_epoch, workers, at):
    how = {'by_epoch': by_epoch, 'workers': workers}
    whole = train(tmp_path / 'whole', **how)
    train(tmp_path / 'part', [StopAt(at)], **how)
    part = resumed(tmp_path / 'part', 'interrupted.pth', **how)
    assert part.iter == whole.iter == 12
    assert not unlike(whole, part)


@pytest.mark.parametrize('by_epoch', [True, False], ids=['epochs', 'iterations'])
def test_without_it_a_resumed_run_differs(tmp_path, by_epoch):
    how = {'by_epoch': by_epoch, 'exact': False}
    whole = train(tmp_path / 'whole', **how)
    train(tmp_path / 'part', [StopAt(6)], **how)
    part = resumed(tmp_path / 'part', 'interrupted.pth', **how)
    assert part.iter == whole.iter == 12
    assert '/model/backbone.0.weight' in unlike(whole, part)


def test_the_number_of_workers_may_change(tmp_path):
    how = {'workers': WORKERS, 'net': ToyNet}  # which draws nothing itself
    whole = train(tmp_path / 'whole', **how)
    train(tmp_path / 'part', [StopAt(6)], **how)
    how['workers'] = {'num_workers': 1}
    part = resumed(tmp_path / 'part', 'interrupted.pth', **how)
    first, last = state(whole)['hub'], state(part)['hub']
    assert not differences(first, last, OF_THE_CLOCK)


def test_a_checkpoint_is_one_of_mmengine_with_one_key_more(tmp_path):
    train(tmp_path / 'ours')
    train(tmp_path / 'theirs', exact=False)
    ours, theirs = (
        _load_checkpoint(str(tmp_path / side / 'epoch_1.pth'))
        for side in ('ours', 'theirs')
    )
    added = ours.pop('hpml_mm_resume')
    assert ours.keys() == theirs.keys()
    assert not differences(
        *(side['state_dict'] for side in (ours, theirs)), OF_THE_CLOCK
    )
    assert (added['world_size'], len(added['processes'])) == (1, 1)
    assert added['validated'] == -1  # it was written before the first validation
    # Nothing but tensors, numbers, text and containers of these.
    torch.save(added, tmp_path / 'added.pth')
    torch.load(tmp_path / 'added.pth', weights_only=True)


def test_a_checkpoint_without_it_resumes_with_a_warning(tmp_path):
    train(tmp_path, [StopAt(6)], exact=False)
    part = resumed(tmp_path, 'interrupted.pth')
    assert part.iter == 12
    text = ''.join(path.read_text() for path in tmp_path.glob('*/*.log'))
    assert text.count('was written without ResumeHook') == 1


@pytest.mark.parametrize('by_epoch', [True, False], ids=['epochs', 'iterations'])
@pytest.mark.parametrize('at', [4, 12])
@pytest.mark.parametrize('stage', ['before_val_iter', 'after_val_epoch'])
def test_a_validation_cut_short_is_made_up_for(tmp_path, by_epoch, at, stage):
    early = {'type': 'EarlyStoppingHook', 'monitor': 'count', 'rule': 'greater'}
    whole = train(tmp_path / 'whole', [{**early}], by_epoch=by_epoch)
    train(tmp_path / 'part', [{**early}, Crash(at, stage)], by_epoch=by_epoch)
    name = f'epoch_{at // 4}.pth' if by_epoch else f'iter_{at}.pth'
    part = resumed(tmp_path / 'part', name, [{**early}], by_epoch=by_epoch)
    assert len(part.message_hub.get_scalar('val/count').data[0]) == 3
    assert not unlike(whole, part)
    summaries = [
        json.loads((tmp_path / side / 'summary.json').read_text())
        for side in ('whole', 'part')
    ]
    assert summaries[1]['status'] == 'finished'
    assert summaries[0]['metrics'] == summaries[1]['metrics'] == {'count': 16}


def test_a_finished_run_keeps_its_summary(tmp_path):
    train(tmp_path)
    before = (tmp_path / 'summary.json').read_bytes()
    again = resumed(tmp_path, 'epoch_3.pth')
    assert (tmp_path / 'summary.json').read_bytes() == before
    assert 'val/count' in again.message_hub.log_scalars
    text = ''.join(path.read_text() for path in tmp_path.glob('*/*.log'))
    assert text.count('was finished before, at iteration 12') == 1
    # What is longer now is trained on, and has a new one.
    more = {'train_cfg': {'by_epoch': True, 'max_epochs': 4}}
    resumed(tmp_path, 'epoch_3.pth', **more)
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert summary['train']['iters'] == 16
    assert summary['metrics'] == {'count': 16}


def test_a_run_that_stopped_early_stays_so(tmp_path):
    early = {'type': 'EarlyStoppingHook', 'monitor': 'count', 'patience': 1}
    early |= {'rule': 'greater', 'min_delta': 1.0}
    whole = train(tmp_path, [early])
    assert whole.iter == 8
    before = (tmp_path / 'summary.json').read_bytes()
    assert resumed(tmp_path, 'epoch_2.pth', [early]).iter == 8
    assert (tmp_path / 'summary.json').read_bytes() == before


def test_a_seed_that_no_config_gives_is_resumed(tmp_path):
    seeds = {}
    for name, call in (('first', train), ('second', resumed)):
        extra = () if name == 'first' else ('epoch_1.pth',)
        runner = call(tmp_path, *extra, workers=WORKERS, randomness={'seed': None})
        start = runner.train_dataloader.worker_init_fn
        sampler = runner.train_dataloader.sampler
        seeds[name] = runner.seed, sampler.seed, start.keywords['seed']
    assert seeds['second'] == seeds['first']
    assert len(set(seeds['first'])) == 1


def test_accumulated_gradients_are_resumed(tmp_path):
    wrapper = {'optimizer': {'type': 'SGD', 'lr': 0.1}, 'accumulative_counts': 3}
    how = {'optim_wrapper': wrapper}
    whole = train(tmp_path / 'whole', **how)
    part = train(tmp_path / 'part', [Crash(8)], **how)  # 8 is amid three
    assert part.iter == 8
    assert not unlike(whole, resumed(tmp_path / 'part', 'epoch_2.pth', **how))


def test_early_stopping_counts_before_a_checkpoint_is_saved(tmp_path):
    early = {'type': 'EarlyStoppingHook', 'monitor': 'count', 'rule': 'greater'}
    saving = {'type': 'hpml_mm.CheckpointHook', 'interval': 1, 'save_best': 'count'}
    hooks = {'checkpoint': {**saving, 'rule': 'greater'}}
    runner = noisy_runner(tmp_path, [early], default_hooks=hooks)
    runner.train()
    # The first validation gave the best score, with which the last one was saved anew.
    added = _load_checkpoint(str(tmp_path / 'epoch_1.pth'))['hpml_mm_resume']
    assert added['validated'] == 4
    assert added['metrics'] == {'count': 16}
    assert added['hooks'] == [[0, 16]]
    # Hooks that it has added are gone, and nothing is patched.
    assert not [hook for hook in runner.hooks if 'Watch' in type(hook).__name__]
    saver = next(hook for hook in runner.hooks if isinstance(hook, CheckpointHook))
    assert not vars(saver).keys() & {'_save_checkpoint_with_step'}
    assert math.isfinite(runner.message_hub.get_info('best_score'))


def on_rank(rank, folder):
    """Unbroken and resumed, with BatchNorm statistics of each process's own."""

    def net():
        return MMDistributedDataParallel(DropoutNet(), broadcast_buffers=False)

    how = {'by_epoch': False, 'net': net}
    whole = train(folder / 'whole', **how)
    train(folder / 'part', [StopAt(6)] if rank == 0 else [], **how)
    part = resumed(folder / 'part', 'interrupted.pth', **how)
    assert part.iter == 12
    # The log of the first process is in the checkpoint, that of others is not.
    found = unlike(whole, part)
    assert not [place for place in found if rank == 0 or '/hub' not in place], found
    added = torch.load(folder / 'part' / 'interrupted.pth', weights_only=False)
    processes = added['hpml_mm_resume']['processes']
    assert [len(one['buffers']) > 0 for one in processes] == [False, True]


@pytest.mark.slow
def test_two_processes(tmp_path):
    on_two_ranks(on_rank, tmp_path)


def test_the_runner_has_it_once(tmp_path):
    from toy_tools import toy_config

    from hpml_mm.runner import build_runner

    for hooks in ([], [{'type': 'hpml_mm.ResumeHook', 'exact': False}]):
        runner = build_runner(toy_config(tmp_path, custom_hooks=hooks))
        found = [hook for hook in runner.hooks if isinstance(hook, ResumeHook)]
        assert [hook.exact for hook in found] == [not hooks]
