# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import math

import numpy as np
import pytest
import torch
from quantized_toys import LAYERS, swish_net, toy_batches
from torch import nn

from hpml_mm.quantization.sensitivity import NoiseRatio, input_ranges, layer_sqnr


def test_noise_ratio_by_hand():
    ratio = NoiseRatio()
    assert ratio.decibels == math.inf
    ratio.add(torch.tensor([3.0]), torch.tensor([3.0]))
    ratio.add(torch.tensor([4.0]), torch.tensor([3.0]))
    assert ratio.decibels == pytest.approx(10 * math.log10(25))


def test_ranges_leave_out_one_in_ten_thousand():
    network = nn.Sequential(nn.Linear(10_000, 1))
    values = torch.arange(10_000.0).view(1, -1)
    assert input_ranges(network, [values], 99.99) == {'0': (1, 9998)}
    assert input_ranges(network, [values, -values], 100) == {'0': (-9999, 9999)}
    with pytest.raises(ValueError, match='percentile .* got 50'):
        input_ranges(network, [values], 50)


def test_a_layer_is_rounded_as_numpy_would():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 4))
    batches = [torch.randn(5, 6), torch.randn(5, 6)]
    x = torch.cat(batches).double().numpy()
    weight = network[0].weight.detach().double().numpy()
    bias = network[0].bias.detach().double().numpy()
    scales = np.abs(weight).max(1, keepdims=True) / 127
    rounded = np.round(weight / scales) * scales
    step = (x.max() - x.min()) / 255
    zero = np.round(-x.min() / step)
    levels = np.clip(np.round(x / step) + zero, 0, 255)
    exact = x @ weight.T + bias
    noisy = ((levels - zero) * step) @ rounded.T + bias
    expected = 10 * np.log10((exact**2).sum() / ((exact - noisy) ** 2).sum())
    (layer,) = layer_sqnr(network, batches, percentile=100)
    assert (layer.name, layer.kind) == ('0', 'Linear')
    assert layer.sqnr == pytest.approx(expected, abs=0.05)


class ExactAndSpoilt(nn.Module):
    """One layer that lies on the grid with its input, and one with an outlier."""

    def __init__(self):
        super().__init__()
        self.exact = nn.Linear(2, 1, bias=False)
        self.spoilt = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.exact.weight.copy_(torch.tensor([[127.0, 3.0]]))
            self.spoilt.weight.copy_(torch.tensor([[1.0, 1.0], [1.0, 0.5]]))

    def forward(self, x):
        return self.exact(x), self.spoilt(x * torch.tensor([1.0, 1e-3]))


def test_what_lies_on_the_grid_loses_nothing_and_outliers_lose_most():
    batch = torch.tensor([[0.0, 255.0], [1.0, 7.0]])
    ranked = layer_sqnr(ExactAndSpoilt(), [batch], percentile=100)
    assert [layer.name for layer in ranked] == ['spoilt', 'exact']
    assert ranked[1].sqnr == math.inf
    assert ranked[0].sqnr < 70


def test_all_layers_are_ranked_worst_first_and_the_network_stays():
    network = swish_net()
    network.excite.train()
    state = {key: value.clone() for key, value in network.state_dict().items()}
    images = toy_batches()[0]
    before = network(images)
    ranked = layer_sqnr(network, toy_batches())
    assert sorted(layer.name for layer in ranked) == sorted(LAYERS)
    assert [layer.sqnr for layer in ranked] == sorted(layer.sqnr for layer in ranked)
    assert all(10 < layer.sqnr < 70 for layer in ranked)
    assert torch.equal(network(images), before)
    assert all(torch.equal(network.state_dict()[key], state[key]) for key in state)
    assert not network.training
    assert network.excite.training
    assert not any(module._forward_hooks for module in network.modules())


def test_nothing_to_measure_is_an_error():
    with pytest.raises(ValueError, match='no batch'):
        layer_sqnr(swish_net(), [])
    with pytest.raises(ValueError, match='ReLU has no convolution or linear layer'):
        layer_sqnr(nn.ReLU(), [torch.zeros(1, 1)])
