# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The learning rate of the leaf configs, epoch by epoch."""

import hpml_mm  # noqa: F401  # isort: skip
import pytest
import torch
from leaves import LEAVES, load
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope

STEPS = 7  # in an epoch


def learning_rates(leaf, param_scheduler=None):
    """The learning rate of each epoch, or of each step where steps are scheduled."""
    cfg = load(leaf)
    init_default_scope(cfg.default_scope)
    epochs, lr = cfg.train_cfg.max_epochs, cfg.optim_wrapper.optimizer.lr
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr)
    schedulers = [
        PARAM_SCHEDULERS.build(
            {'end': epochs, **scheduler},  # as a Runner fills it in
            default_args={'optimizer': optimizer, 'epoch_length': STEPS},
        )
        for scheduler in param_scheduler or cfg.param_scheduler
    ]
    rates = []
    for _ in range(epochs if schedulers[0].by_epoch else epochs * STEPS):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
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
    assert learning_rates(leaf) == pytest.approx(expected)


def test_nowarmup_steps_as_hrnets_own_code_does():
    """Its loop calls the scheduler before it trains an epoch."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 1e-3)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [170, 200], 0.1)
    expected = []
    for _ in range(210):
        optimizer.step()
        scheduler.step()
        expected.append(optimizer.param_groups[0]['lr'])
    leaf = 'coco_pose/td-hm_hrnet-w32_1xb32-nowarmup-210e_coco-256x192.py'
    assert learning_rates(leaf) == pytest.approx(expected)


@pytest.mark.slow
def test_one_cycle_is_a_line_and_a_cosine_of_mmengine():
    """To the last bit: with these two schedulers the committed results were made."""
    leaves = [leaf for leaf in LEAVES if 'OneCycle' in str(load(leaf).param_scheduler)]
    assert len(leaves) == 36
    lengths = {load(leaf).train_cfg.max_epochs: leaf for leaf in leaves}
    assert set(lengths) == {3, 8, 10, 12, 24, 40, 60, 100}
    for epochs, leaf in lengths.items():
        climb, fall = {'end': 0.3 * epochs}, {'begin': 0.3 * epochs, 'end': epochs}
        pair = [
            {'type': 'LinearLR', 'start_factor': 0.04, **climb},
            {'type': 'CosineAnnealingLR', **fall},
        ]
        pair = [{**scheduler, 'convert_to_iter_based': True} for scheduler in pair]
        rates = learning_rates(leaf)
        assert rates == learning_rates(leaf, pair), leaf
        assert max(rates) == pytest.approx(load(leaf).optim_wrapper.optimizer.lr)
