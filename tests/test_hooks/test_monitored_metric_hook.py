# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A metric that did not come stops a run with a checkpoint of it."""

import pytest
import torch
from mmengine.hooks import CheckpointHook, EarlyStoppingHook
from mmengine.runner import get_priority
from toy_tools import toy_runner

from hpml_mm.engine.hooks import MonitoredMetricHook

CHECKPOINT = {'checkpoint': {'type': 'CheckpointHook', 'interval': 5}}
BEST = {'checkpoint': {**CHECKPOINT['checkpoint'], 'save_best': 'accuracy/top2'}}
STOP = {'type': 'EarlyStoppingHook', 'monitor': 'accuracy/top2', 'rule': 'greater'}
PLATEAU = {'type': 'ReduceOnPlateauLR', 'monitor': 'accuracy/top2', 'rule': 'greater'}
BY_ITERATION = {'by_epoch': False, 'max_iters': 9, 'val_interval': 4}


def checked(work_dir, **settings):
    runner = toy_runner(work_dir, **{'custom_hooks': [], **settings})
    runner.register_hook(MonitoredMetricHook())
    return runner


@pytest.mark.parametrize(
    ('settings', 'setting', 'done'),
    [
        ({'default_hooks': BEST}, 'save_best', (1, 6)),
        ({'custom_hooks': [{**STOP, 'strict': True}]}, 'monitor', (1, 6)),
        ({'param_scheduler': [PLATEAU]}, 'monitor', (1, 6)),
        (
            {'default_hooks': BEST, 'train_cfg': BY_ITERATION, 'param_scheduler': []},
            'save_best',
            (0, 4),
        ),
    ],
)
def test_the_names_that_came_are_said_and_nothing_is_lost(
    tmp_path, settings, setting, done
):
    runner = checked(tmp_path, **{'default_hooks': CHECKPOINT, **settings})
    message = rf"{setting} is 'accuracy/top2', and the validation gave accuracy/top1; "
    with pytest.raises(ValueError, match=message):
        runner.train()
    path = tmp_path / 'interrupted.pth'
    assert (tmp_path / 'last_checkpoint').read_text() == str(path)
    saved = torch.load(path, weights_only=False)
    assert (saved['meta']['epoch'], saved['meta']['iter']) == done

    hooks = {'default_hooks': CHECKPOINT, 'custom_hooks': [], 'param_scheduler': []}
    whole = checked(tmp_path / 'whole', **{**settings, **hooks})
    whole.train()
    rest = {'resume': True, 'load_from': str(path)}
    resumed = checked(tmp_path / 'rest', **{**settings, **hooks, **rest})
    resumed.train()
    assert (resumed.epoch, resumed.iter) == (whole.epoch, whole.iter)


@pytest.mark.parametrize('name', ['accuracy/top1', 'auto'])
def test_a_metric_that_came_changes_nothing(tmp_path, name):
    best = {'checkpoint': {**CHECKPOINT['checkpoint'], 'save_best': name}}
    runner = checked(tmp_path, default_hooks=best, custom_hooks=[STOP])
    runner.train()  # a monitor that is not strict is MMEngine's own to warn of
    assert runner.epoch == 2
    assert not (tmp_path / 'interrupted.pth').exists()
    assert list(tmp_path.glob('best_accuracy_top1_*.pth'))


def test_a_validation_alone_saves_nothing(tmp_path):
    runner = checked(tmp_path, default_hooks=BEST)
    with pytest.raises(ValueError, match='gave accuracy/top1$'):
        runner.val()
    assert not (tmp_path / 'interrupted.pth').exists()


def test_it_runs_before_those_that_wait():
    own = get_priority(MonitoredMetricHook.priority)
    for hook in (CheckpointHook, EarlyStoppingHook):
        assert own < get_priority(hook.priority)
