# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What is printed is a config that loads, passes the checks, and holds the settings."""

from pathlib import Path

import pytest
import torch

from hpml_mm.benchmark.tune import Setting
from hpml_mm.benchmark.tuned_config import (
    child_config,
    precision_choices,
    setting_of,
    tuned_hooks,
)
from hpml_mm.config.overrides import load_config

CONFIGS = Path(__file__).parents[2] / 'configs'
FAST = CONFIGS / 'fer/mini-xception_1xb128-bf16-channels-last-24e_fer2013-44px.py'
PLAIN = CONFIGS / 'fer/efficientnet-b0_1xb16-30e_fer2013-224px.py'
CPU = torch.device('cpu')


@pytest.mark.slow
@pytest.mark.parametrize('path', [FAST, PLAIN], ids=['fast', 'plain'])
@pytest.mark.parametrize(
    'setting',
    [
        Setting(True, 'bfloat16', False, 256, 0),
        Setting(False, 'fp32', False, 16, 2),
        Setting(True, 'fp32', False, 8, 1),
    ],
    ids=str,
)
def test_a_child_is_valid_and_has_the_setting(tmp_path, path, setting):
    child = tmp_path / 'child.py'
    child.write_text(child_config(load_config(str(path)), str(path), setting, 'a\nb'))
    cfg = load_config(str(child))
    assert setting_of(cfg, CPU) == setting
    assert cfg.train_dataloader.persistent_workers is (setting.workers > 0)
    others = load_config(str(path)).custom_hooks
    kept = [h for h in others if h.type not in ('hpml_mm.SpeedHook', 'hpml_mm.AmpHook')]
    assert cfg.custom_hooks[: len(kept)] == kept
    text = child.read_text()
    assert text.startswith('# a\n# b\n')
    assert ('# The learning rate is that of' in text) is (
        setting.batch_size != load_config(str(path)).train_dataloader.batch_size
    )


def test_a_child_has_the_overrides_of_its_config(tmp_path):
    options = {'optim_wrapper.optimizer.lr': 0.125, 'train_cfg.max_epochs': 7}
    options['train_dataloader.dataset.num_per_class'] = 3
    (demo,) = (CONFIGS / 'demo').glob('*.py')
    setting = Setting(True, 'fp32', False, 8, 0)
    child = tmp_path / 'child.py'
    cfg = load_config(str(demo), options)
    child.write_text(child_config(cfg, str(demo), setting, options=options))
    found = load_config(str(child))
    assert found.optim_wrapper.optimizer.lr == 0.125
    assert found.train_cfg.max_epochs == 7
    assert found.train_dataloader.dataset.num_per_class == 3
    assert found.train_dataloader.batch_size == 8
    assert setting_of(found, CPU) == setting


def test_a_setting_is_read_from_the_config():
    cfg = load_config(str(FAST))
    assert setting_of(cfg, CPU) == Setting(True, 'bfloat16', False, 128, 2)
    plain = load_config(str(PLAIN))
    assert setting_of(plain, CPU) == Setting(False, 'fp32', False, 16, 4)
    cfg.pop('train_dataloader')
    with pytest.raises(ValueError, match='no train_dataloader.batch_size to tune'):
        setting_of(cfg, CPU)


def test_what_else_a_hook_does_stays():
    cfg = load_config(str(FAST))
    cfg.custom_hooks = [
        dict(type='hpml_mm.SpeedHook', channels_last=True, optimizer='auto'),
        dict(type='hpml_mm.AmpHook', dtype='bfloat16', val='amp'),
    ]
    hooks = tuned_hooks(cfg, Setting(False, 'float16', True, 128, 2))
    assert hooks == [
        dict(
            type='hpml_mm.SpeedHook',
            channels_last=False,
            optimizer='auto',
            compile=True,
        ),
        dict(type='hpml_mm.AmpHook', dtype='float16', val='amp'),
    ]


def test_precisions_to_try():
    cfg = load_config(str(FAST))
    assert precision_choices(cfg, CPU) == ['fp32', 'bfloat16']
    assert precision_choices(cfg, torch.device('cuda'))[-1] == 'float16'
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    assert precision_choices(cfg, CPU) == ['bfloat16']


@pytest.mark.parametrize(
    ('wanted', 'on_cpu', 'on_gpu'),
    [(True, True, True), ('auto', False, True), (dict(mode='x'), True, True)],
)
def test_compilation_is_read_for_the_device(wanted, on_cpu, on_gpu):
    cfg = load_config(str(FAST))
    (hook,) = (h for h in cfg.custom_hooks if h.type == 'hpml_mm.SpeedHook')
    hook.compile = wanted
    cfg.custom_hooks = [hook]
    assert setting_of(cfg, CPU).compile is on_cpu
    assert setting_of(cfg, torch.device('cuda')).compile is on_gpu
    # The arguments of the compiler stay where it is compiled.
    (speed, _) = tuned_hooks(cfg, Setting(True, 'bfloat16', True, 128, 2))
    assert speed['compile'] == (wanted if isinstance(wanted, dict) else True)
    (speed, _) = tuned_hooks(cfg, Setting(True, 'bfloat16', False, 128, 2))
    assert 'compile' not in speed
