# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Random weights made fit for a measurement of speed and noise."""

import torch
from deploy_models import build_classifier
from mmengine.config import ConfigDict
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from hpml_mm.deploy.network import plain_network
from hpml_mm.quantization.untrained import (
    Unjudged,
    estimate_statistics_,
    without_pretrained_,
)


def resnet():
    """A ResNet whose branches end in zero, as mmpretrain starts its training."""
    model = build_classifier(dict(type='mmpretrain.ResNet', depth=18), 512)
    for module in model.backbone.modules():
        if hasattr(module, 'norm2'):
            nn.init.zeros_(module.norm2.weight)
    return model


def test_branches_are_on_and_statistics_are_those_of_the_images():
    model = resnet()
    momentum = model.backbone.bn1.momentum
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randn(4, 3, 32, 32, generator=generator) for _ in range(3)]
    assert estimate_statistics_(model, batches) == 8
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    assert all(norm.weight.any() and not norm.training for norm in norms)
    assert model.backbone.bn1.momentum == momentum
    means = [model.backbone.conv1(batch).mean((0, 2, 3)) for batch in batches]
    expected = torch.stack(means).mean(0)
    torch.testing.assert_close(model.backbone.bn1.running_mean, expected)
    before = plain_network(model)(batches[0])
    assert estimate_statistics_(model, batches) == 0
    torch.testing.assert_close(plain_network(model)(batches[0]), before)


def test_no_model_is_run_for_a_score():
    assert Unjudged(loader=None, evaluator=None).run(model=None).metrics == {}


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
