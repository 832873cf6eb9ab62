# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
from mmengine.config import Config

from hpml_mm.benchmark.baseline import baseline_config, check_other_input


def config(**parts):
    return Config(dict(parts), filename=__file__)


def test_our_hooks_go_and_others_stay():
    cfg = config(
        custom_hooks=[dict(type='hpml_mm.SpeedHook'), dict(type='EMAHook')],
        default_hooks=dict(
            runtime_info=dict(type='hpml_mm.RuntimeInfoHook'),
            logger=dict(type='LoggerHook', interval=7),
        ),
    )
    stock = baseline_config(cfg, 'train')
    assert stock.custom_hooks == [dict(type='EMAHook')]
    assert stock.default_hooks == dict(logger=dict(type='LoggerHook', interval=7))
    assert len(cfg.custom_hooks) == 2
    assert 'runtime_info' in cfg.default_hooks


@pytest.mark.parametrize('kind', ['AmpOptimWrapper', 'hpml_mm.AmpOptimWrapper'])
def test_the_optimizer_is_plain_and_in_full_precision(kind):
    wrapper = dict(
        type=kind,
        dtype='bfloat16',
        loss_scale='dynamic',
        accumulative_counts=2,
        optimizer=dict(type='SGD', lr=0.1, fused=True, foreach=False),
    )
    stock = baseline_config(config(optim_wrapper=wrapper, compile=True), 'train')
    assert stock.optim_wrapper == dict(
        type='OptimWrapper',
        accumulative_counts=2,
        optimizer=dict(type='SGD', lr=0.1),
    )
    assert 'compile' not in stock


def test_every_optimizer_of_several_and_validation_are_in_full_precision():
    part = dict(type='AmpOptimWrapper', optimizer=dict(type='SGD', lr=0.1, fused=True))
    wrapper = dict(constructor='Own', generator=part)
    stock = baseline_config(
        config(optim_wrapper=wrapper, test_cfg=dict(fp16=True)), 'infer'
    )
    assert stock.optim_wrapper.generator == dict(
        type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)
    )
    assert stock.test_cfg == {}


def test_a_data_part_without_a_twin_asks_for_another_config():
    source = dict(type='hpml_mm.FERFolderDataset', data_root='d')
    data = dict(type='hpml_mm.FaceArrayDataset', source=source)
    cfg = config(train_dataloader=dict(dataset=data))
    with pytest.raises(
        ValueError, match=r'test_baseline\.py.*hpml_mm\.FaceArrayDataset; give --ag'
    ):
        baseline_config(cfg, 'train')
    # What is tested is read the stock way, and the engine has data of its own.
    for mode in ('infer', 'engine'):
        stock = baseline_config(cfg, mode)
        assert stock.train_dataloader.dataset.type == data['type']


@pytest.mark.parametrize('place', ['model', 'top'])
def test_a_preprocessor_without_a_twin_counts_wherever_it_stands(place):
    part = dict(data_preprocessor=dict(type='hpml_mm.PoseTargetPreprocessor'))
    cfg = config(model=part) if place == 'model' else config(**part)
    with pytest.raises(ValueError, match='PoseTargetPreprocessor'):
        baseline_config(cfg, 'train')


def test_only_an_input_that_a_hook_makes_fast_has_something_to_be_compared_with():
    with pytest.raises(ValueError, match='give --against CONFIG'):
        check_other_input(config())
    cfg = config(custom_hooks=[dict(type='hpml_mm.FastPoseInputHook')])
    check_other_input(cfg)
    assert baseline_config(cfg, 'data').custom_hooks == []
