# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Fake quantization in the models of the project: every layer takes part."""

import copy

import pytest
import torch
from deploy_models import FACES, LARGE_FACES, build_hrnet, build_leaf

from hpml_mm.deploy.network import plain_network
from hpml_mm.quantization.qat import (
    fake_quant_layers,
    freeze_batch_norm_,
    insert_fake_quant_,
    remove_fake_quant_,
)
from hpml_mm.quantization.rounding import weighted_layers

MODELS = {
    'mini-xception': (lambda: build_leaf(FACES), (1, 44, 44)),
    'efficientnet-b0': (lambda: build_leaf(LARGE_FACES), (3, 32, 32)),
    'hrnet pose': (build_hrnet, (3, 32, 32)),
}


@pytest.mark.parametrize('name', MODELS)
def test_every_layer_rounds_learns_and_becomes_plain_again(name):
    make, shape = MODELS[name]
    network = plain_network(make())
    plain = copy.deepcopy(network)
    torch.manual_seed(0)
    images = torch.randn(2, *shape)
    names = insert_fake_quant_(network)
    assert names == list(weighted_layers(plain))

    freeze_batch_norm_(network.train())  # its random statistics are not of these images
    network(images).square().mean().backward()
    missing = [n for n, p in network.named_parameters() if p.grad is None]
    assert missing == []
    unseen = [
        name
        for name, layer in fake_quant_layers(network)
        if not layer.input_fake_quant.high > layer.input_fake_quant.low
    ]
    assert unseen == []

    network.eval()
    with torch.no_grad():
        exact, rounded = plain.eval()(images), network(images)
        noise = (exact - rounded).square().sum() / exact.square().sum()
        assert 0 < noise < 0.5
        remove_fake_quant_(network, on_grid=False)
        torch.testing.assert_close(network(images), exact, rtol=0, atol=0)
