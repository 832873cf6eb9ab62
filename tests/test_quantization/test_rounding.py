# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import numpy as np
import pytest
import torch
from quantized_toys import LAYERS, swish_net
from torch import nn

from hpml_mm.quantization.rounding import (
    activation_grid,
    channel_axis,
    round_activation,
    round_weight,
    weight_scales,
    weighted_layers,
    widen_,
)


def test_layers_with_weights_in_their_order():
    assert list(weighted_layers(swish_net())) == LAYERS
    assert channel_axis(nn.ConvTranspose2d(2, 3, 2)) == 1
    assert channel_axis(nn.Conv2d(2, 3, 2)) == channel_axis(nn.Linear(2, 3)) == 0


def test_a_range_holds_so_many_percent_of_all_values():
    values, ranges = np.arange(20_000.0), {}
    widen_(ranges, 'a', values, 99.98)
    assert ranges == {'a': (2, 19_997)}  # two of 20,000 are cut off at each end
    widen_(ranges, 'a', -values, 99.98)
    assert ranges == {'a': (-19_997, 19_997)}
    widen_(ranges, 'b', values, 100)
    widen_(ranges, 'c', values, 98, sample=100)  # every 200th but one at each end
    assert (ranges['b'], ranges['c']) == ((0, 19_999), (200, 19_600))


def test_each_output_channel_has_its_own_grid():
    weight = torch.tensor([[127.0, -2.4], [0.0, 0.0], [-0.254, 0.0031]])
    scales = weight_scales(weight, axis=0)
    assert scales.tolist() == pytest.approx([1, torch.finfo().eps, 0.002])
    rounded = torch.tensor([[127, -2], [0, 0], [-0.254, 0.004]])
    torch.testing.assert_close(round_weight(weight, axis=0), rounded)


def test_the_channels_of_a_transposed_convolution_lie_along_the_second_axis():
    weight = torch.randn(3, 2, 4, 4)
    by_hand = torch.stack([round_weight(weight[:, [c]], axis=1)[:, 0] for c in (0, 1)])
    assert torch.equal(round_weight(weight, axis=1), by_hand.transpose(0, 1))


def test_the_range_of_activations_holds_zero():
    assert activation_grid(-1.0, 254.0) == (1.0, 1)
    assert activation_grid(10.0, 255.0) == (1.0, 0)
    assert activation_grid(-255.0, -10.0) == (1.0, 255)
    scale, zero_point = activation_grid(0.0, 0.0)
    assert scale > 0
    assert zero_point == 0


def test_activations_are_clipped_and_rounded():
    values = torch.tensor([-3.0, -1.0, 0.0, 0.6, 300.0])
    assert round_activation(values, -1.0, 254.0).tolist() == [-1, -1, 0, 1, 254]
