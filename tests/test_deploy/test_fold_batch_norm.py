# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import copy

import pytest
import torch
from deploy_models import (
    CATS,
    FACES,
    build_classifier,
    build_hrnet,
    build_leaf,
)
from mmcv.cnn import ConvWS2d
from torch import nn
from torch.nn.utils import parametrize

from hpml_mm.deploy.fold_batch_norm import fold_batch_norms_, folded_copy
from hpml_mm.deploy.network import plain_network

EFFICIENTNET = dict(type='EfficientNet', arch='b0')


def norms(network):
    kinds = nn.modules.batchnorm._BatchNorm
    return sum(isinstance(module, kinds) for module in network.modules())


def test_the_numbers_of_one_pair():
    conv, norm = nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=1.0)
    nn.init.constant_(conv.weight, 2.0)
    norm.running_mean.fill_(1.0)
    norm.running_var.fill_(3.0)
    nn.init.constant_(norm.weight, 4.0)
    nn.init.constant_(norm.bias, 5.0)
    network = nn.Sequential(conv, norm)
    assert fold_batch_norms_(network, torch.zeros(1, 1, 2, 2)) == 1
    # (2 x - 1) / sqrt(3 + 1) * 4 + 5
    assert conv.weight.item() == 4.0
    assert conv.bias.item() == 3.0
    assert isinstance(network[1], nn.Identity)


@pytest.mark.parametrize(
    ('build', 'shape', 'count'),
    [
        (lambda: build_leaf(FACES), (1, 44, 44), 14),
        (lambda: build_leaf(CATS), (3, 64, 64), 55),
        (lambda: build_classifier(EFFICIENTNET, 1280), (3, 32, 32), 49),
        (build_hrnet, (3, 32, 32), 40),
    ],
    ids=['mini-xception', 'mobilenet-v2-pose', 'efficientnet', 'hrnet'],
)
def test_all_of_a_network_are_folded_and_it_says_the_same(build, shape, count):
    network = plain_network(build())
    images, other = torch.randn(2, *shape), torch.randn(3, *shape)
    assert norms(network) == count
    names = [name for name, _ in network.named_modules()]
    with torch.no_grad():
        expected = network(other)
        assert fold_batch_norms_(network, images) == count
        assert norms(network) == 0
        folded = network(other)
    assert [name for name, _ in network.named_modules()] == names
    assert torch.allclose(folded, expected, atol=1e-4 * expected.abs().max())


def test_a_copy_leaves_the_network_and_its_weights_alone():
    network = plain_network(build_leaf(FACES)).train()
    state = copy.deepcopy(network.state_dict())
    copied = folded_copy(network, torch.randn(2, 1, 44, 44))
    assert norms(copied) == 0
    assert not copied.training
    assert not any(weight.requires_grad for weight in copied.parameters())
    assert network.training
    assert norms(network) == 14
    for key, value in network.state_dict().items():
        assert torch.equal(value, state[key])


class Pair(nn.Module):
    """A convolution and a norm, put together by a function."""

    def __init__(self, chain, conv=None, norm=None):
        super().__init__()
        self.conv = conv or nn.Conv2d(2, 2, 1)
        self.norm = norm or nn.BatchNorm2d(2)
        self.chain = chain

    def forward(self, x):
        return self.chain(self.conv, self.norm, x)


def shared_weight():
    pair = Pair(lambda conv, norm, x: norm(conv(x)) + pair.other(x))
    pair.other = nn.Conv2d(2, 2, 1)
    pair.other.weight = pair.conv.weight
    return pair


def parametrized():
    conv = nn.Conv2d(2, 2, 1)
    parametrize.register_parametrization(conv, 'weight', nn.Tanh())
    return Pair(lambda conv, norm, x: norm(conv(x)), conv)


def plainly(conv, norm, x):
    return norm(conv(x))


def also_added(conv, norm, x):
    y = conv(x)
    return norm(y) + y


def also_given(conv, norm, x):
    y = conv(x)
    return norm(y), y


def changed_between(conv, norm, x):
    return norm(conv(x).relu_())


KEPT = {
    'added': lambda: Pair(also_added),
    'given': lambda: Pair(also_given),
    'changed': lambda: Pair(changed_between),
    'layer-twice': lambda: Pair(lambda conv, norm, x: norm(conv(conv(x)))),
    'norm-twice': lambda: Pair(lambda conv, norm, x: norm(norm(conv(x)))),
    'standardised-weight': lambda: Pair(plainly, ConvWS2d(2, 2, 1)),
    'grouped-transposed': lambda: Pair(plainly, nn.ConvTranspose2d(2, 2, 1, groups=2)),
    'no-statistics': lambda: Pair(
        plainly, norm=nn.BatchNorm2d(2, track_running_stats=False)
    ),
    'parametrized': parametrized,
    'shared-weight': shared_weight,
}


@pytest.mark.parametrize('kind', KEPT)
def test_what_cannot_be_folded_stays(kind):
    torch.manual_seed(0)
    network = KEPT[kind]().eval()
    if network.norm.running_mean is not None:
        network.norm.running_mean.normal_()
    images = torch.randn(2, 2, 4, 4)
    with torch.no_grad():
        expected = network(images)
        assert fold_batch_norms_(network, images) == 0
        found = network(images)
    for one, other in zip(expected, found, strict=True):
        assert torch.equal(one, other)


def test_other_layers_are_folded():
    for layer in (
        nn.ConvTranspose2d(2, 3, 2, stride=2),
        nn.Conv2d(2, 3, 3, bias=False),
    ):
        network = nn.Sequential(layer, nn.Sequential(nn.BatchNorm2d(3))).eval()
        network[1][0].running_mean.normal_()
        images = torch.randn(2, 2, 6, 6)
        with torch.no_grad():
            expected = network(images)
            assert fold_batch_norms_(network, images) == 1
            assert torch.allclose(network(images), expected, atol=1e-6)
    # A linear layer, where its channels come second.
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).eval()
    network[1].running_mean.normal_()
    rows, tall = torch.randn(5, 4), torch.randn(5, 3, 4)
    with torch.no_grad():
        expected = network(rows)
        assert fold_batch_norms_(copy.deepcopy(network), tall) == 0
        assert fold_batch_norms_(network, rows) == 1
        assert torch.allclose(network(rows), expected, atol=1e-6)
