# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Zero-cost proxies against values worked by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from traced_calls import Call

from hpml_mm.predictor.proxies import jacov, naswot, noise_proxies, snip, synflow


def linear(*rows, bias=None):
    """A linear layer with these weights."""
    layer = nn.Linear(len(rows[0]), len(rows), bias is not None)
    layer.weight.data = torch.tensor(rows, dtype=torch.float32)
    if bias is not None:
        layer.bias.data = torch.tensor(bias, dtype=torch.float32)
    return layer


FIRST, SECOND = ([1, -2], [3, -4]), ([-1, 2],)
PAIR = torch.tensor([[1.0, 1, -1], [1, -1, -1]])


@pytest.mark.parametrize('between', [nn.Identity(), nn.ReLU(), nn.BatchNorm1d(2)])
def test_synflow_of_two_layers_is_twice_the_flow_through_them(between):
    # R = 1 (1 + 2) + 2 (3 + 4) = 17, and each layer's weights conserve it.
    net = nn.Sequential(linear(*FIRST), between, linear(*SECOND))
    assert synflow(net, torch.randn(5, 2)) == 34


def test_absolute_biases_feed_the_flow_of_later_layers():
    # |b| = (1, 0): the second layer's is 1 (3 + 1) + 2 (7) = 18, the first's still 17.
    net = nn.Sequential(linear(*FIRST, bias=[-1, 0]), linear(*SECOND))
    assert synflow(net, torch.zeros(1, 2)) == 35


def test_synflow_of_a_convolution_and_a_shared_layer():
    conv = nn.Conv2d(1, 1, 2, bias=False)
    conv.weight.data = torch.tensor([[[[1.0, -2], [3, -4]]]])
    # A 3x3 image of ones has four windows, each of 1 + 2 + 3 + 4.
    assert synflow(conv, torch.zeros(2, 1, 3, 3)) == 40
    shared = linear([2])  # R = 2 * 2, whose derivative by the one weight is 2 * 2.
    assert synflow(nn.Sequential(shared, shared), torch.zeros(1, 1)) == 8


def test_synflow_runs_a_network_that_makes_tensors_itself():
    made = Call(lambda module, x: torch.full((1, 2), 2.0))
    assert synflow(nn.Sequential(made, linear(*SECOND)), torch.zeros(1, 2)) == 6


def test_snip_is_the_sum_of_weight_times_gradient():
    # The derivative by each weight is its input: |2| + |-1 * 2| + |1| + |3 * 2|.
    net = linear([2, -1], [1, 3], bias=[7, 7])
    image, nothing = torch.tensor([[1.0, 2]]), None
    assert snip(net, image, nothing, lambda output, _: output.sum()) == 11


def test_snip_of_a_classifier_takes_the_cross_entropy():
    # Both logits are 1: the softmax is a half each, so the gradients are -x/2 and x/2.
    net = linear([1, 0], [0, 1])
    image = torch.tensor([[1.0, 1]])
    assert snip(net, image, torch.tensor([0])) == pytest.approx(1)
    tuple_net = Call(lambda module, x: (x,))
    assert snip(nn.Sequential(net, tuple_net), image, torch.tensor([0])) == (
        pytest.approx(1)
    )


@pytest.mark.parametrize(
    'relu',
    [
        nn.ReLU(inplace=True),
        nn.ReLU6(),
        nn.LeakyReLU(),
        nn.PReLU(),
        Call(lambda module, x: F.relu(x)),
    ],
)
def test_naswot_is_the_log_determinant_of_the_hamming_kernel(relu):
    # Codes 110 and 100 of three units differ in one: [[3, 2], [2, 3]].
    assert naswot(relu, PAIR) == pytest.approx(math.log(5))
    # Again behind it: 110 and 100 of zeros and ones once more, so [[6, 4], [4, 6]].
    assert naswot(nn.Sequential(relu, relu), PAIR) == pytest.approx(math.log(20))
    assert PAIR.min() == -1  # in spite of one that works in place


def test_naswot_of_equal_codes_is_minus_infinity():
    assert naswot(nn.ReLU(), torch.ones(2, 3)) == -math.inf


def test_naswot_without_a_relu_is_refused():
    with pytest.raises(ValueError, match='no ReLU'):
        naswot(nn.SiLU(), PAIR)


def score(*eigenvalues):
    return -sum(math.log(v + 1e-5) + 1 / (v + 1e-5) for v in eigenvalues)


@pytest.mark.parametrize(
    ('images', 'eigenvalues'),
    [
        ([[1.0, -1, 0], [1, 1, -2]], (1, 1)),  # uncorrelated
        ([[1.0, 2, 3], [3, 5, 7]], (2, 0)),
        # Correlation of (-1, 0, 1) and (-1, 1, 0): 1/2.
        ([[1.0, 2, 3], [1, 3, 2]], (1.5, 0.5)),
    ],
)
def test_jacov_is_a_function_of_the_eigenvalues(images, eigenvalues):
    # The gradient of sum(x^2 / 2) is x.
    half = Call(lambda module, x: x * x / 2)
    found = jacov(half, torch.tensor(images))
    assert found == pytest.approx(score(*eigenvalues), rel=1e-6)


def test_jacov_of_constant_gradients_is_refused():
    with pytest.raises(ValueError, match='the same at all pixels'):
        jacov(nn.Identity(), torch.randn(2, 3))


def test_what_a_network_has_not_is_none_with_a_reason():
    found, reasons = noise_proxies(nn.Conv2d(3, 2, 3), (3, 8, 8))
    assert [name for name, value in found.items() if value is None] == list(reasons)
    assert reasons == {
        'snip': 'snip: labels at random are for classifiers alone',
        'naswot': 'naswot: the network has no ReLU, and so no codes to compare',
    }
    relu = nn.Sequential(nn.Flatten(), nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2))
    relu[1].bias.data.fill_(100)  # on for every image
    found, reasons = noise_proxies(relu, (3, 1, 1))
    assert found['naswot'] is None
    assert reasons == {'naswot': 'naswot: two images switch on the same units'}
    again, _ = noise_proxies(relu, (3, 1, 1))
    other, _ = noise_proxies(relu, (3, 1, 1), seed=1)
    assert again == found != other


def conv_net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Flatten(),
        nn.Linear(64, 3),
    )


def every(net):
    images = torch.randn(4, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 0])
    return (
        synflow(net, images),
        snip(net, images, labels),
        naswot(net, images),
        jacov(net, images),
    )


def test_the_network_stays_as_it_is_and_numbers_come_again():
    net = conv_net().eval()
    net[0].requires_grad_(False)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    first = every(net)
    assert all(map(math.isfinite, first))
    assert every(net) == first == every(conv_net())
    assert not any(part.training for part in net.modules())
    assert all(weight.grad is None for weight in net.parameters())
    assert not net[0].weight.requires_grad
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])


def test_batch_normalisation_takes_the_statistics_of_the_batch():
    # Without them nothing would be on: means of 1e6 are far above all inputs.
    net = conv_net()
    net[1].running_mean.fill_(1e6)
    assert every(net) == every(conv_net())
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(conv_net())
    assert every(synced) == every(conv_net())


def test_a_saturated_network_has_no_saliency_rather_than_0():
    net = nn.Sequential(nn.Linear(2, 1), nn.Tanh())
    with torch.no_grad():
        net[0].weight.fill_(1e3)
    with pytest.raises(ValueError, match='synflow: no weight changes the output'):
        synflow(net, torch.zeros(1, 2))
