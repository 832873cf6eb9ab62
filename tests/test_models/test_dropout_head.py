# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Dropout before a linear head, and torchvision's EfficientNet-B0 made of it."""

from pathlib import Path

import pytest
import torch
import torchvision
from mmengine.model import BaseModel
from torchvision.ops import StochasticDepth

from hpml_mm.config.overrides import load_config
from hpml_mm.models import DropoutClsHead
from hpml_mm.registry import MODELS

LEAF = (
    Path(__file__).parents[2]
    / 'configs/fer/efficientnet-b0-torchvision_1xb16-30e_fer2013-224px.py'
)


def test_features_are_left_out_in_training_only():
    head = DropoutClsHead(num_classes=2, in_channels=1000, dropout=0.25)
    features = torch.ones(4, 1000)
    head.train()
    torch.manual_seed(0)
    kept = head.pre_logits((features,))
    assert kept.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert (kept == 0).float().mean() == pytest.approx(0.25, abs=0.03)
    head.eval()
    assert head.pre_logits((features,)).equal(features)


@pytest.mark.parametrize('dropout', [-0.1, 1.0])
def test_a_dropout_that_is_no_share(dropout):
    with pytest.raises(ValueError, match='dropout is a share'):
        DropoutClsHead(2, 8, dropout=dropout)


@pytest.fixture(scope='module')
def both():
    """Ours of the leaf and torchvision's, with its weights."""
    cfg = load_config(str(LEAF), {})
    ours: BaseModel = MODELS.build({**cfg.model, 'data_preprocessor': None})
    torch.manual_seed(0)
    theirs = torchvision.models.efficientnet_b0(num_classes=7)
    own = ours.state_dict()
    given = list(theirs.state_dict().values())
    assert [v.shape for v in own.values()] == [v.shape for v in given]
    ours.load_state_dict(dict(zip(own, given, strict=True)))
    return ours, theirs


def test_it_is_torchvisions_network_layer_by_layer(both):
    ours, theirs = both
    images = torch.randn(2, 3, 97, 224, generator=torch.Generator().manual_seed(0))
    # With the statistics of the batch, so that an eps counts; what is left out by
    # chance is compared below.
    for module in (*ours.modules(), *theirs.modules()):
        module.training = isinstance(module, torch.nn.BatchNorm2d)
    expected = theirs(images)
    found = ours(images, mode='tensor')
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def test_as_much_is_left_out_as_in_torchvision(both):
    ours, theirs = both
    depths = [m.p for m in theirs.modules() if isinstance(m, StochasticDepth)]
    found = [m.drop_prob for m in ours.modules() if hasattr(m, 'drop_prob')]
    # The first has 0, for which MMPretrain makes no module.
    assert depths[0] == 0
    assert found == pytest.approx(depths[1:])
    assert ours.head.dropout.p == theirs.classifier[0].p
