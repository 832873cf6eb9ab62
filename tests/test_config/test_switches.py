# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Switches of OpenMMLab's scripts, on configs that are read and not built."""

import os

import pytest
from mmengine.config import Config
from test_tta import DEMO, POSE

from hpml_mm.config.run import configure_test, configure_training
from hpml_mm.config.switches import Switches, apply_switches


@pytest.fixture
def cfg() -> Config:
    return Config.fromfile(DEMO)


def test_nothing_is_changed_without_a_switch(cfg):
    before = cfg.to_dict()
    assert apply_switches(cfg, Switches()) == {}
    assert cfg.to_dict() == before


def test_a_training_without_validation_has_a_directory_of_its_own(tmp_path):
    cfg = configure_training(str(DEMO), {}, switches=Switches(validate=False))
    assert (cfg.val_cfg, cfg.val_dataloader, cfg.val_evaluator) == (None, None, None)
    assert 'validate=False' in cfg.work_dir


def test_the_learning_rate_is_scaled_where_the_config_says_from_what(cfg):
    cfg.auto_scale_lr = None
    with pytest.raises(ValueError, match='auto_scale_lr.base_batch_size=N'):
        apply_switches(cfg, Switches(auto_scale_lr=True))
    cfg.auto_scale_lr = dict(base_batch_size=256)
    changes = apply_switches(cfg, Switches(auto_scale_lr=True))
    assert changes == {'auto_scale_lr': True}
    assert cfg.auto_scale_lr.enable is True
    assert apply_switches(cfg, Switches(auto_scale_lr=True)) == {}


def test_loaders(cfg):
    apply_switches(cfg, Switches(pin_memory=False, persistent_workers=False))
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert (loader.pin_memory, loader.persistent_workers) == (False, False)


@pytest.mark.parametrize(
    ('config', 'hook'),
    [(DEMO, 'VisualizationHook'), (POSE, 'PoseVisualizationHook')],
)
def test_the_hook_of_the_library_draws(config, hook):
    cfg = Config.fromfile(config)
    apply_switches(cfg, Switches(show_dir='pics', interval=3))
    drawing = cfg.default_hooks.visualization
    assert (drawing.type, drawing.enable, drawing.show) == (hook, True, False)
    assert (drawing.out_dir, drawing.interval) == (os.path.abspath('pics'), 3)
    assert 'checkpoint' in cfg.default_hooks


def test_drawing_is_refused_where_nothing_could_draw(cfg, monkeypatch):
    monkeypatch.delenv('DISPLAY', raising=False)
    monkeypatch.delenv('WAYLAND_DISPLAY', raising=False)
    with pytest.raises(ValueError, match='needs a display.*--show-dir'):
        apply_switches(cfg, Switches(show=True))
    with pytest.raises(ValueError, match='--interval 0'):
        apply_switches(cfg, Switches(show_dir='pics', interval=0))
    cfg.default_scope = 'mmengine'
    with pytest.raises(ValueError, match='no default_hooks.visualization'):
        apply_switches(cfg, Switches(show_dir='pics'))


def test_bad_cases_are_found_by_loss_or_by_metric():
    cfg = Config.fromfile(POSE)
    with pytest.raises(ValueError, match='--badcase: .* no default_hooks.badcase'):
        apply_switches(cfg, Switches(badcase=True))
    cfg.default_hooks.badcase = dict(type='BadCaseAnalysisHook')
    apply_switches(cfg, Switches(badcase=True, interval=2))
    hook = cfg.default_hooks.badcase
    assert (hook.enable, hook.interval, hook.metric) == (True, 2, cfg.model.head.loss)
    cfg.default_hooks.badcase = dict(type='BadCaseAnalysisHook', metric_type='accuracy')
    apply_switches(cfg, Switches(badcase=True))
    assert cfg.default_hooks.badcase.metric == cfg.test_evaluator


def test_predictions_are_dumped_beside_the_metrics(cfg):
    evaluators = cfg.test_evaluator
    count = 1 if isinstance(evaluators, dict) else len(evaluators)
    apply_switches(cfg, Switches(dump='a.pkl'))
    assert len(cfg.test_evaluator) == count + 1
    assert cfg.test_evaluator[-1] == dict(type='DumpResults', out_file_path='a.pkl')


def test_a_test_in_mixed_precision(tmp_path):
    (tmp_path / 'a.pth').touch()
    cfg = configure_test(str(POSE), str(tmp_path / 'a.pth'), {}, amp=True)
    assert [h.val for h in cfg.custom_hooks if h.type == 'hpml_mm.AmpHook'] == ['amp']
