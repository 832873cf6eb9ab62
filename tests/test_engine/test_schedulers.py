# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""One cycle, and steps that begin late, in MMEngine's own Runner."""

import math

import pytest
from mmengine.hooks import Hook
from toy_tools import toy_runner

# Climbs from a 25th over the first three of ten steps; six of the cosine's seven
# intervals are trained.
TEN = [0.04, 0.52, 1, *((1 + math.cos(math.pi * k / 7)) / 2 for k in range(7))]


class Rates(Hook):
    """Keeps the learning rate of each iteration."""

    priority = 'VERY_HIGH'

    def __init__(self):
        self.rates = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.rates.append(runner.optim_wrapper.get_lr()['lr'][0])


def trained(work_dir, batches=5, scheduler=None, stop=None, **changes):
    """The learning rates of a run of the toy at 1.0, in epochs of some batches."""
    optimizer = {'optimizer': {'type': 'SGD', 'lr': 1.0}}
    changes.setdefault('train_cfg', {'by_epoch': True, 'max_epochs': 2})
    runner = toy_runner(
        work_dir,
        optim_wrapper={**optimizer, **changes.pop('optim_wrapper', {})},
        param_scheduler=scheduler or ONCE,
        custom_hooks=[],
        train_dataloader={
            'batch_size': 4,
            'num_workers': 0,
            'sampler': {'type': 'DefaultSampler', 'shuffle': False},
            'dataset': {'type': 'ToyPoints', 'size': 4 * batches},
        },
        **changes,
    )
    hook = Rates()
    runner.register_hook(hook)
    runner.train()
    return hook.rates


ONCE = {'type': 'hpml_mm.OneCycle', 'convert_to_iter_based': True}


@pytest.mark.slow
@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({}, TEN),
        ({'optim_wrapper': {'accumulative_counts': 2}}, TEN),
        (
            {
                'train_cfg': {'by_epoch': False, 'max_iters': 10, 'val_interval': 10},
                'scheduler': {'type': 'hpml_mm.OneCycle', 'by_epoch': False},
            },
            TEN,
        ),
        (
            {
                'batches': 1,
                'train_cfg': {'by_epoch': True, 'max_epochs': 10},
                'scheduler': {'type': 'hpml_mm.OneCycle'},
            },
            TEN,
        ),
        # Too short to climb: a cosine alone.
        ({'batches': 1}, [1, 0.5]),
        (
            {'scheduler': {**ONCE, 'pct_start': 0.2, 'div_factor': 4.0}},
            [0.25, 1, *((1 + math.cos(math.pi * k / 8)) / 2 for k in range(8))],
        ),
    ],
    ids=['epochs', 'accumulation', 'iterations', 'by epoch', 'two steps', 'settings'],
)
def test_the_run_says_how_long_the_cycle_is(tmp_path, changes, expected):
    assert trained(tmp_path, **changes) == pytest.approx(expected)


def test_a_resumed_run_goes_on_in_the_cycle_and_in_no_other(tmp_path):
    whole = trained(tmp_path)
    first = str(tmp_path / 'epoch_1.pth')
    resumed = {'resume': True, 'load_from': first}
    assert trained(tmp_path / 'on', **resumed) == whole[5:]
    longer = {'by_epoch': True, 'max_epochs': 3}
    with pytest.raises(ValueError, match='end=10.* end=15'):
        trained(tmp_path / 'longer', train_cfg=longer, **resumed)


@pytest.mark.parametrize(
    ('settings', 'key'),
    [
        ({'pct_start': 1.0}, 'pct_start'),
        ({'div_factor': 0.5}, 'div_factor'),
        ({'convert_to_iter_based': False, 'end': 1}, 'from epoch 0 to 1'),
    ],
)
def test_settings_that_are_no_cycle_are_refused(tmp_path, settings, key):
    with pytest.raises(ValueError, match=key):
        trained(tmp_path, scheduler={**ONCE, **settings})


def test_epochs_in_a_run_of_iterations_are_refused(tmp_path):
    iters = {'by_epoch': False, 'max_iters': 10, 'val_interval': 10}
    with pytest.raises(ValueError, match='by_epoch=False'):
        trained(tmp_path, scheduler={'type': 'hpml_mm.OneCycle'}, train_cfg=iters)


def light_fer(epoch, start=80, every=5, rate=0.9):
    """Factor of an epoch in light FER's own words, of which there are 300."""
    return rate ** ((epoch - start) // every) if epoch > start else 1.0


@pytest.mark.slow
@pytest.mark.parametrize('convert', [True, False])
def test_light_fers_steps_are_scaled_to_the_run(tmp_path, convert):
    """Thirty steps are its three hundred epochs, ten at a time."""
    scheduler = {'type': 'hpml_mm.DelayedStep', 'rate': 0.9}
    scheduler |= {'start': 80 / 300, 'every': 20 / 300}
    # Iterations of two epochs, or epochs of one.
    scheduler |= {'convert_to_iter_based': True} if convert else {}
    epochs, batches = (2, 15) if convert else (30, 1)
    length = {'by_epoch': True, 'max_epochs': epochs}
    rates = trained(tmp_path, batches, scheduler, train_cfg=length)
    expected = [light_fer(10 * step, every=20) for step in range(30)]
    assert rates == pytest.approx(expected)


def test_shares_are_shares(tmp_path):
    wrong = {'type': 'hpml_mm.DelayedStep', 'start': 80, 'every': 5, 'rate': 0.9}
    with pytest.raises(ValueError, match='start is 80'):
        trained(tmp_path, scheduler=wrong)
