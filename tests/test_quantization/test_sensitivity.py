# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import math

import numpy as np
import pytest
import torch
from quantized_toys import LAYERS, swish_net, toy_batches
from torch import nn

from hpml_mm.quantization.sensitivity import (
    SQNR,
    layer_sqnr,
    output_sqnr,
    pixel_sqnr,
)


def test_sqnr_by_hand():
    ratio = SQNR()
    assert ratio.decibels == math.inf
    ratio.add(torch.tensor([3.0]), torch.tensor([3.0]))
    ratio.add(torch.tensor([4.0]), torch.tensor([3.0]))
    assert ratio.decibels == pytest.approx(10 * math.log10(25))


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
    assert layer.name == '0'
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
    ranked = layer_sqnr(network, toy_batches())
    assert sorted(layer.name for layer in ranked) == sorted(LAYERS)
    assert [layer.sqnr for layer in ranked] == sorted(layer.sqnr for layer in ranked)
    assert all(10 < layer.sqnr < 70 for layer in ranked)
    state = swish_net().state_dict()
    assert all(torch.equal(network.state_dict()[key], state[key]) for key in state)
    assert not any(module._forward_hooks for module in network.modules())
    with pytest.raises(ValueError, match='no batch'):
        layer_sqnr(network, [])
    with pytest.raises(ValueError, match='ReLU'):
        layer_sqnr(nn.ReLU(), [torch.zeros(1, 1)])


def test_noise_is_summed_over_all_outputs():
    def exact(images):
        return images, 3 * images

    def rounded(images):
        return images + 0.1, 3 * images

    # Signal 1 + 9 for noise .01: 30 dB.
    batches = [torch.ones(2, 1, 1, 1)] * 2
    assert output_sqnr(exact, rounded, batches) == pytest.approx(30, abs=1e-4)


def test_pixels_are_off_by_a_twelfth_of_a_squared_level():
    # 12 levels of 1 / 2 and of 1 / 8: signal 144, noise 1 / 12 of a level squared.
    levels = torch.tensor([1 / 2, 1 / 8]).view(2, 1, 1)
    images = (12 * levels).expand(4, 2, 100, 100)
    expected = 10 * torch.tensor(144 * 12.0).log10().item()
    found = pixel_sqnr(lambda shaken: shaken / levels, [images], (2, 8))
    assert found == pytest.approx(expected, abs=0.1)
    assert pixel_sqnr(lambda shaken: shaken / levels, [images], (2, 8)) == found
