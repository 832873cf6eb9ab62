# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A schedule that does not end with its run is refused, or warned of."""

import logging
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger

import hpml_mm  # noqa: F401  # mmpose without compiled ops
from hpml_mm.config.overrides import read_config
from hpml_mm.config.run import configure_training
from hpml_mm.config.schedule import check_schedule, schedule_problems

CONFIGS = Path(__file__).parents[2] / 'configs'
STEPS = CONFIGS / 'cat_pose/e00_td-hm_res50_1xb64-20e_cats-128x128.py'
CYCLE = CONFIGS / 'demo/mini-xception_1xb64-channels-last-8e_demo-faces-44px.py'
STOCK = (
    'mmpose::body_3d_keypoint/video_pose_lift/h36m/'
    'video-pose-lift_tcn-27frm-supv_8xb128-160e_h36m.py'
)
LONGER = {'train_cfg.max_epochs': 40}
CONVERT = {'convert_to_iter_based': True}
WARM = {'type': 'LinearLR', 'start_factor': 0.1, 'end': 5}
COSINE = {'type': 'CosineAnnealingLR', 'begin': 5, 'end': 24, **CONVERT}
STEP = {'type': 'MultiStepLR', 'milestones': [8, 16]}


def problems(schedule, **train_cfg):
    cfg = {'train_cfg': train_cfg, 'param_scheduler': schedule}
    return schedule_problems(Config(cfg))


@pytest.mark.parametrize(
    'schedule',
    [
        [],
        COSINE,
        [WARM, COSINE],
        [{**WARM, 'by_epoch': False, 'end': 500}, STEP],
        [{'type': 'mmpose.QuadraticWarmupLR', 'end': 5, **CONVERT}, COSINE],
        [{'type': 'ConstantLR', 'factor': 0.1, 'end': 5}],
        # Constant at the end, as YOLOX has it.
        [{**COSINE, 'end': 20}, {'type': 'ConstantLR', 'begin': 20, 'end': 24}],
        {'type': 'StepLR', 'step_size': 10},
        {'generator': [WARM, COSINE], 'discriminator': STEP},
        # In iterations: nobody knows yet how many there will be.
        [{**COSINE, 'by_epoch': False, 'convert_to_iter_based': False}],
    ],
)
def test_a_schedule_that_ends_with_the_run_is_right(schedule):
    assert problems(schedule, max_epochs=24) == []


@pytest.mark.parametrize(
    ('schedule', 'epochs', 'words'),
    [
        ([WARM, COSINE], 40, ['lr', '24', '40']),
        ([WARM, COSINE], 10, ['lr', '24', '10']),
        (STEP, 12, ['lr', 'milestone', '16', '12']),
        (
            [{**WARM, 'start_factor': 1.0, 'end_factor': 0.1, 'end': 20}],
            24,
            ['lr', '20', '24'],
        ),
        (
            [COSINE, {'type': 'CosineAnnealingMomentum', 'end': 20}],
            24,
            ['momentum', '20', '24'],
        ),
        (
            [{'type': 'PolyParamScheduler', 'param_name': 'lr', 'end': 20}],
            24,
            ['lr', '20', '24'],
        ),
        ({'one': COSINE, 'other': {**COSINE, 'end': 20}}, 24, ['other.lr', '20', '24']),
    ],
)
def test_both_numbers_are_said(schedule, epochs, words):
    (problem,) = problems(schedule, max_epochs=epochs)
    assert all(word in problem for word in [*words, 'train_cfg.max_epochs'])


def test_iterations_are_compared_with_iterations():
    poly = {'type': 'PolyLR', 'by_epoch': False, 'end': 900}
    assert problems(poly, max_iters=900) == []
    (problem,) = problems(poly, max_iters=1000)
    assert '900' in problem
    assert '1000 (train_cfg.max_iters)' in problem
    assert problems([WARM, poly], max_iters=900) == []
    for forgotten in (STEP, {'type': 'hpml_mm.OneCycle', **CONVERT}):
        (problem,) = problems(forgotten, max_iters=900)
        assert 'by_epoch=False is missing' in problem


@pytest.fixture
def warnings(caplog):
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield lambda: [r for r in caplog.records if r.levelno == logging.WARNING]
    logger.removeHandler(caplog.handler)


def test_somebody_elses_config_is_warned_of_once(warnings):
    check_schedule(read_config(STOCK), ['train_dataloader.batch_size'])
    (record,) = warnings()
    assert '80' in record.getMessage()
    assert '160' in record.getMessage()


def test_a_length_from_the_command_line_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match='ends at 80.* at 40 .*--cut-short'):
        configure_training(STOCK, LONGER)
    assert configure_training(STOCK, LONGER, cut_short=True).train_cfg.max_epochs == 40
    with pytest.raises(ValueError, match='milestone at 15.* at 12 '):
        configure_training(str(STEPS), {'train_cfg.max_epochs': 12})
    with pytest.raises(ValueError, match='milestone at 30.* at 20 '):
        configure_training(str(STEPS), {'param_scheduler.1.milestones': [10, 30]})


def test_a_child_of_our_configs_is_refused(tmp_path, monkeypatch, warnings):
    monkeypatch.chdir(tmp_path)
    child = tmp_path / 'child.py'
    text = 'train_cfg = dict(max_epochs=12)\n'
    child.write_text(f"_base_ = '{STEPS}'\n{text}")
    with pytest.raises(ValueError, match='milestone at 15'):
        configure_training(str(child), {})
    child.write_text(f"_base_ = '{STOCK}'\n{text}")
    configure_training(str(child), {})
    assert len(warnings()) == 1


def test_one_cycle_follows_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = configure_training(str(CYCLE), LONGER)
    assert cfg.train_cfg.max_epochs == 40
    assert cfg.param_scheduler == [{'type': 'hpml_mm.OneCycle', **CONVERT}]
