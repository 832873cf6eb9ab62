# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The learning rate of the leaf configs, epoch by epoch."""

import numpy as np
import pytest
import torch
from leaves import LEAVES, load
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope

from hpml_mm.config.names import parse_leaf_name


@pytest.mark.parametrize('leaf', LEAVES)
def test_schedule_ends_with_the_training(leaf):
    cfg = load(leaf)
    ends = [s.get('end') for s in cfg.param_scheduler]
    assert not ends or ends[-1] in (None, cfg.train_cfg.max_epochs)


def learning_rates(leaf, steps, epoch_length):
    """The learning rate of each epoch, or of each step where steps are scheduled."""
    cfg = load(leaf)
    init_default_scope(cfg.default_scope)
    wrapper = build_optim_wrapper(torch.nn.Linear(1, 1), cfg.optim_wrapper.to_dict())
    schedulers = [
        PARAM_SCHEDULERS.build(
            dict(settings),
            default_args={'optimizer': wrapper, 'epoch_length': epoch_length},
        )
        for settings in cfg.param_scheduler
    ]
    rates = []
    for _ in range(steps):
        rates += wrapper.get_lr()['lr']
        wrapper.step()
        for scheduler in schedulers:
            scheduler.step()
    return rates


@pytest.mark.parametrize(
    ('variant', 'lr', 'start', 'every', 'rate'),
    [('step', 0.01, 80, 5, 0.9), ('step-tuned', 0.005, 100, 15, 0.85)],
)
def test_delayed_step_decay_of_every_epoch(variant, lr, start, every, rate):
    leaf = f'fer/mini-xception_1xb128-sgd-{variant}-300e_fer2013-44px.py'
    expected = [
        lr * rate ** ((epoch - start) // every) if epoch > start else lr
        for epoch in range(300)
    ]
    assert learning_rates(leaf, 300, epoch_length=225) == pytest.approx(expected)


@pytest.mark.parametrize(
    'leaf',
    [leaf for leaf in LEAVES if leaf.startswith('fer/mini') and 'step' not in leaf],
)
def test_one_cycle_peaks_at_the_learning_rate_of_the_optimizer(leaf):
    epochs, lr = parse_leaf_name(leaf).epochs, load(leaf).optim_wrapper.optimizer.lr
    rates = np.array(learning_rates(leaf, 100 * epochs, epoch_length=100)) / lr
    peak = int(0.3 * epochs * 100)
    assert rates[0] == pytest.approx(0.04)
    assert rates.max() == pytest.approx(1)
    np.testing.assert_allclose(rates[[peak - 1, peak]], 1)
    assert (np.diff(rates[:peak]) > 0).all()
    assert (np.diff(rates[peak:]) < 0).all()
    assert rates[-1] < 1e-4  # one step before the end
    # Half way down the cosine.
    assert rates[65 * epochs] == pytest.approx(0.5, rel=0.01)
