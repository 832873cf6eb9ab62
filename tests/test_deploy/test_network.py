# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
import torch
from deploy_models import CATS, FACES, build_classifier, build_leaf
from mmengine.model import MMDistributedDataParallel
from torch import nn

from hpml_mm.deploy.network import plain_network


def test_logits_before_the_softmax_heatmaps_or_a_tuple_of_outputs():
    model = build_leaf(FACES)
    images = torch.randn(3, 1, 44, 44)
    logits = plain_network(model)(images)
    assert logits.shape == (3, 7)
    assert torch.equal(logits, model(images, mode='tensor'))
    scores = torch.stack([one.pred_score for one in model(images, mode='predict')])
    assert torch.allclose(logits.softmax(1), scores)
    model.head.forward = lambda feats: [feats[-1], feats[-1] + 1]
    first, second = plain_network(model)(images)
    assert torch.equal(first + 1, second)
    model = build_leaf(CATS)
    images = torch.randn(2, 3, 96, 96)
    heatmaps = plain_network(model)(images)
    assert heatmaps.shape == (2, 17, 24, 24)
    assert torch.equal(heatmaps, model(images, None, mode='tensor'))


def test_the_parts_and_their_names_are_the_models_own():
    model = build_classifier(dict(type='ResNet', depth=18), 512)
    network = plain_network(model)
    own = dict(network.named_parameters())
    assert own.keys() == dict(model.named_parameters()).keys()
    assert all(own[name] is weight for name, weight in model.named_parameters())


def test_a_distributed_wrapper_is_taken_off():
    model = build_leaf(FACES)
    wrapper = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    nn.Module.__init__(wrapper)
    wrapper.module = model
    assert plain_network(wrapper).head is model.head


def test_models_that_cannot_be_deployed_are_named():
    with pytest.raises(ValueError, match='Linear is neither an ImageClassifier'):
        plain_network(nn.Linear(1, 1))
    model = build_leaf(FACES)

    class Own(type(model)):
        def extract_feat(self, inputs, stage='neck'):
            return super().extract_feat(2 * inputs, stage)

    model.__class__ = Own
    with pytest.raises(ValueError, match='Own extracts features in its own way'):
        plain_network(model)
    model = build_leaf(FACES)
    model.head = None
    with pytest.raises(ValueError, match='no head'):
        plain_network(model)
