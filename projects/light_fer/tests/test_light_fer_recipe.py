# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The baseline is the recipe that the source's code and logs tell of."""

import numpy as np
import pytest
import torch

from hpml_mm.models.mini_xception import ConvClsHead, MiniXception
from projects.light_fer.recipe import FacesInMemory, LightFERNet, learning_rate, train


def bright_and_dark(seed, count=256):
    """Faces that their brightness tells apart: class 0 is dark, class 1 bright."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 2, count)
    noise = generator.integers(0, 60, (count, 48, 48))
    return (noise + 180 * labels[:, None, None]).astype(np.uint8), labels


def test_the_network_has_the_sources_parameters_and_batch_norm():
    net = LightFERNet()
    assert sum(p.numel() for p in net.parameters()) == 56_951
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.99)}
    strides = [block.shortcut[0].stride for block in net.backbone.blocks]
    assert strides == [(2, 2)] * 4


def test_it_computes_what_this_projects_model_computes():
    torch.manual_seed(0)
    net, backbone, head = LightFERNet(), MiniXception(bn_momentum=0.99), ConvClsHead()
    backbone.load_state_dict(net.backbone.state_dict())
    head.load_state_dict(net.head.state_dict())
    faces = torch.rand(8, 1, 44, 44)
    torch.testing.assert_close(net(faces), head(backbone(faces)))


@pytest.mark.parametrize(
    ('epoch', 'rate'),
    [(0, 0.01), (80, 0.01), (84, 0.01), (85, 0.009), (95, 0.01 * 0.9**3)],
)
def test_the_rate_decays_after_epoch_80(epoch, rate):
    assert learning_rate(epoch) == pytest.approx(rate)


def test_a_face_is_cropped_and_scaled_to_one():
    images, labels = bright_and_dark(0, 2)
    images[:] = 255
    face, label = FacesInMemory((images, labels), lambda image: image)[1]
    assert (face.size, face.mode, label) == ((48, 48), 'L', labels[1])


@pytest.mark.slow
def test_training_stops_at_the_target():
    seen = []
    splits = {'train': bright_and_dark(0), 'val': bright_and_dark(1, 64)}
    last = train(splits, 'val', 90, epochs=20, workers=0, report=seen.append)
    assert last.accuracies['val'] >= 90
    assert [epoch.number for epoch in seen] == list(range(1, last.number + 1))
    assert all(epoch.accuracies['val'] < 90 for epoch in seen[:-1])
    assert seen == sorted(seen, key=lambda epoch: epoch.seconds)


@pytest.mark.slow
def test_training_ends_without_the_target():
    splits = {'train': bright_and_dark(0, 128), 'val': bright_and_dark(1, 64)}
    last = train(splits, 'val', 101, epochs=2, workers=0, report=lambda epoch: None)
    assert last.number == 2
