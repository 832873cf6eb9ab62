# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
from pathlib import Path

import pytest
import torch
from deploy_models import build_classifier
from mmengine.config import Config, ConfigDict
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from hpml_mm.datasets.fer.demo_faces import DemoFaceDataset
from hpml_mm.deploy.network import plain_network
from hpml_mm.quantization.calibration import (
    calibration_batches,
    estimate_statistics_,
    without_pretrained_,
)

CONFIGS = Path(__file__).parents[2] / 'configs'
DEMO = CONFIGS / 'demo' / 'mini-xception_1xb64-channels-last-8e_demo-faces-44px.py'
CATS = 'td-hm_mobilenet-v2_1xb32-bf16-lr1e-3-channels-last-sigma2-10e_cats-96x96.py'
PER_CLASS = 19  # 133 faces


@pytest.fixture
def cfg():
    cfg = Config.fromfile(DEMO)
    for part in (cfg.train_dataloader, cfg.val_dataloader):
        part.dataset.num_per_class = PER_CLASS
    return cfg


def by_hand(cfg, seed):
    """The faces that are chosen, cropped and normalised without any pipeline."""
    source = DemoFaceDataset(split='train', num_per_class=PER_CLASS)
    generator = torch.Generator().manual_seed(seed)
    faces = [
        torch.from_numpy(source[index]['img'][2:46, 2:46])
        for index in torch.randperm(133, generator=generator)[:128].tolist()
    ]
    mean, std = cfg.data_preprocessor.mean[0], cfg.data_preprocessor['std'][0]
    return (torch.stack(faces)[:, None].float() - mean) / std


@pytest.mark.slow
def test_training_faces_go_through_the_pipeline_of_validation(cfg):
    state = torch.get_rng_state()
    batches = calibration_batches(cfg, 128, batch_size=50, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert [tuple(batch.shape) for batch in batches] == [
        (50, 1, 44, 44), (50, 1, 44, 44), (28, 1, 44, 44),
    ]  # fmt: skip
    torch.testing.assert_close(torch.cat(batches), by_hand(cfg, 3))
    other = calibration_batches(cfg, 128, batch_size=50, seed=4)
    assert not torch.equal(other[0], batches[0])


@pytest.mark.slow
def test_an_array_of_faces_and_repetitions_give_the_same(cfg):
    expected = torch.cat(calibration_batches(cfg, 128))
    again = Config(cfg.to_dict())
    inner = again.train_dataloader.dataset
    again.train_dataloader.dataset = dict(type='RepeatDataset', dataset=inner, times=2)
    assert torch.equal(torch.cat(calibration_batches(again, 128)), expected)
    array = Config.fromfile(CONFIGS / '_base_/datasets/fer2013_44px_array.py')
    for name in ('train_dataloader', 'val_dataloader'):
        cfg[name] = array[name]
        source = {'type': 'hpml_mm.DemoFaceDataset', 'num_per_class': PER_CLASS}
        source['split'] = cfg[name].dataset.source.split
        cfg[name].dataset.source = source
    cfg.data_preprocessor.type = 'hpml_mm.FacePreprocessor'
    torch.testing.assert_close(torch.cat(calibration_batches(cfg, 128)), expected)


def test_too_few_images_are_an_error(cfg):
    with pytest.raises(ValueError, match='^127 images are too few .* use 128 or more'):
        calibration_batches(cfg, 127)
    with pytest.raises(ValueError, match='holds 133 images, fewer than the 134'):
        calibration_batches(cfg, 134)


def test_an_image_with_nan_is_named(cfg):
    class Broken(torch.nn.Module):
        calls = 0

        def forward(self, data, training):
            assert not training
            self.calls += 1
            inputs = data['inputs'].float()
            if self.calls == 2:
                inputs[5, 0, 3, 3] = float('nan')
            return {'inputs': inputs, 'data_samples': data['data_samples']}

    order = torch.randperm(133, generator=torch.Generator().manual_seed(0)).tolist()
    with pytest.raises(ValueError, match=rf'demo/train/{order[32 + 5]} has NaN'):
        calibration_batches(cfg, 128, batch_size=32, preprocessor=Broken())


def test_what_the_config_lacks_is_named(cfg):
    with pytest.raises(ValueError, match='neither val_dataloader nor test_dataloader'):
        calibration_batches(without(cfg, 'val_dataloader', 'test_dataloader'))
    with pytest.raises(ValueError, match='no train_dataloader'):
        calibration_batches(without(cfg, 'train_dataloader'))
    with pytest.raises(ValueError, match='no data_preprocessor'):
        calibration_batches(without(cfg, 'data_preprocessor'))
    other = without(cfg)
    other.val_dataloader.dataset = {'type': 'hpml_mm.FaceArrayDataset', 'augment': []}
    with pytest.raises(ValueError, match='DemoFaceDataset.*must be of one kind'):
        calibration_batches(other)


def without(cfg, *names):
    copied = Config(cfg.to_dict())
    for name in names:
        copied.pop(name)
    return copied


def test_random_weights_have_branches_and_statistics_of_the_images():
    narrow = dict(type='ResNet', depth=18, stem_channels=8, base_channels=8)
    model = build_classifier(narrow, 64)
    for module in model.backbone.modules():  # as mmpretrain starts its training
        if hasattr(module, 'norm2'):
            nn.init.zeros_(module.norm2.weight)
    momentum = model.backbone.bn1.momentum
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randn(4, 3, 32, 32, generator=generator) for _ in range(3)]
    estimate_statistics_(model, batches)
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    assert all(norm.weight.any() and not norm.training for norm in norms)
    assert model.backbone.bn1.momentum == momentum
    means = [model.backbone.conv1(batch).mean((0, 2, 3)) for batch in batches]
    expected = torch.stack(means).mean(0)
    torch.testing.assert_close(model.backbone.bn1.running_mean, expected)
    before = plain_network(model)(batches[0])
    estimate_statistics_(model, batches)
    torch.testing.assert_close(plain_network(model)(batches[0]), before)


def test_no_pretrained_weights_are_read():
    kept = [dict(type='Constant', val=1, layer='BatchNorm2d')]
    model = ConfigDict(
        backbone=dict(type='ResNet', init_cfg=dict(type='Pretrained', checkpoint='a')),
        head=dict(convs=[dict(init_cfg=dict(type='Pretrained'))], init_cfg=kept),
    )
    without_pretrained_(model)
    assert model == dict(
        backbone=dict(type='ResNet'), head=dict(convs=[{}], init_cfg=kept)
    )


@pytest.mark.real_data
def test_cats_are_cropped_as_for_validation(real_data, monkeypatch):
    monkeypatch.setenv('HPML_MM_DATA', str(real_data))
    cfg = Config.fromfile(CONFIGS / 'cat_pose' / CATS)
    batches = calibration_batches(cfg, 128, batch_size=64)
    assert [tuple(batch.shape) for batch in batches] == [(64, 3, 96, 96)] * 2
    assert all(-2.5 < batch.min() < batch.max() < 2.8 for batch in batches)
