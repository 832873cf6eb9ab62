# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What quantization-aware training changes in a config, and what it leaves."""

import pytest
from mmengine.config import Config, ConfigDict

from hpml_mm.quantization.fine_tune import fine_tune_

HOOKS = [
    dict(type='hpml_mm.SpeedHook', compile=True),
    dict(type='EMAHook', momentum=0.001),
]


def config(**changes) -> Config:
    content = dict(
        train_cfg=dict(by_epoch=True, max_epochs=60, val_begin=50),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.5, momentum=0.9)),
        param_scheduler=[dict(type='OneCycleLR')],
        custom_hooks=HOOKS,
        resume=True,
    )
    return Config({**content, **changes})


def tuned(cfg, **arguments):
    fine_tune_(cfg, 'a.pth', {'backend': 'openvino'}, 'out', **arguments)
    return cfg


def test_it_starts_from_the_checkpoint_with_a_small_rate_that_falls():
    cfg = tuned(config(), epochs=4)
    assert (cfg.load_from, cfg.resume) == ('a.pth', False)
    assert cfg.train_cfg == dict(by_epoch=True, max_epochs=4, val_interval=1)
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.005)
    assert cfg.optim_wrapper.optimizer.momentum == 0.9
    (schedule,) = cfg.param_scheduler
    assert (schedule.type, schedule.T_max) == ('CosineAnnealingLR', 4)
    assert tuned(config(), lr=0.2).optim_wrapper.optimizer.lr == 0.2


@pytest.mark.parametrize(
    ('epochs', 'freeze', 'expected'), [(4, None, 3), (2, None, 2), (1, None, None)]
)
def test_the_second_half_is_frozen(epochs, freeze, expected):
    hook = tuned(config(), epochs=epochs, freeze=freeze).custom_hooks[-1]
    assert hook['freeze'] == expected
    assert hook.type == 'hpml_mm.QATHook'
    assert (hook.reference, hook.out) == ('a.pth', 'out')
    assert hook.settings == {'backend': 'openvino'}


def test_the_recipe_keeps_its_hooks_but_is_not_compiled():
    speed, average, _ = tuned(config()).custom_hooks
    assert speed.compile is False
    assert average == HOOKS[1]
    assert HOOKS[0]['compile'] is True


@pytest.mark.parametrize(
    ('changes', 'arguments', 'message'),
    [
        ({'train_cfg': dict(by_epoch=False, max_iters=9)}, {}, 'counts epochs'),
        ({}, {'epochs': 0}, 'epochs is 0: train for 1 or more'),
        (
            {'optim_wrapper': dict(optimizer=ConfigDict(type='Rprop'))},
            {},
            'no lr: give one',
        ),
    ],
)
def test_what_cannot_be_fine_tuned_is_refused(changes, arguments, message):
    with pytest.raises(ValueError, match=message):
        tuned(config(**changes), **arguments)
