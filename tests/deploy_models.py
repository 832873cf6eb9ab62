# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Small models of every kind that is deployed, with statistics that are not neutral."""

import hpml_mm  # noqa: F401  # isort: skip  # makes mmpose importable
import copy
from functools import cache

import torch
from hrnet_models import hrnet_config
from leaves import load
from mmengine.config import Config
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from hpml_mm.utils.model import build_model

FACES = 'fer/mini-xception_1xb128-bf16-channels-last-24e_fer2013-44px.py'
FACES_ARRAY = 'fer/mini-xception_1xb128-bf16-channels-last-array-24e_fer2013-44px.py'
LARGE_FACES = 'fer/efficientnet-b0_1xb16-30e_fer2013-224px.py'
CATS = (
    'cat_pose/td-hm_mobilenet-v2_1xb32-bf16-lr1e-3-channels-last-sigma2-10e_'
    'cats-96x96.py'
)


def leaf(name: str) -> Config:
    """A config of the project, not shared with other tests."""
    return copy.deepcopy(load(name))


def build(config: dict, scope: str, seed: int = 0) -> nn.Module:
    """A model with random weights and random BatchNorm statistics, in evaluation mode.

    Weights are large enough for the outputs to differ from image to image.
    """
    torch.manual_seed(seed)
    model = build_model(Config(dict(model=config, default_scope=scope)))
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, _BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()


def build_leaf(name: str) -> nn.Module:
    """The model of a config of the project, not shared with other tests."""
    return copy.deepcopy(_build_leaf(name))


@cache
def _build_leaf(name: str) -> nn.Module:
    cfg = leaf(name)
    model = dict(cfg.model)
    model.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    return build(model, cfg.default_scope)


def build_classifier(backbone: dict, channels: int) -> nn.Module:
    """A classifier of three classes with a linear head."""
    config = dict(
        type='ImageClassifier',
        backbone=backbone,
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=3, in_channels=channels),
    )
    return build(config, 'mmpretrain')


def build_hrnet() -> nn.Module:
    """An HRNet for poses: all four resolutions, narrow and in one block each."""
    config = hrnet_config(width=8)
    for stage in config['backbone']['extra'].values():
        stage.update(num_modules=1, num_blocks=(1,) * stage['num_branches'])
    config['head']['decoder'] = dict(
        type='MSRAHeatmap', input_size=(64, 64), heatmap_size=(16, 16), sigma=2
    )
    return build(config, 'mmpose')
