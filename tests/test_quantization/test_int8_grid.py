# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
import torch

from hpml_mm.quantization.grid import (
    activation_grid,
    on_activation_grid,
    on_weight_grid,
    weight_scales,
)


def test_each_output_channel_has_its_own_grid():
    weight = torch.tensor([[127.0, -2.4], [0.0, 0.0], [-0.254, 0.0031]])
    scales = weight_scales(weight, axis=0)
    assert scales.tolist() == pytest.approx([1, torch.finfo().eps, 0.002])
    rounded = torch.tensor([[127, -2], [0, 0], [-0.254, 0.004]])
    torch.testing.assert_close(on_weight_grid(weight, axis=0), rounded)


def test_the_channels_of_a_transposed_convolution_lie_along_the_second_axis():
    weight = torch.randn(3, 2, 4, 4)
    by_hand = torch.stack(
        [on_weight_grid(weight[:, [c]], axis=1)[:, 0] for c in (0, 1)]
    )
    assert torch.equal(on_weight_grid(weight, axis=1), by_hand.transpose(0, 1))


def test_rounding_twice_is_rounding_once():
    weight = torch.randn(4, 3, 3, 3)
    once = on_weight_grid(weight, axis=0)
    assert not torch.equal(once, weight)
    torch.testing.assert_close(on_weight_grid(once, axis=0), once)


def test_the_range_of_activations_holds_zero():
    assert activation_grid(-1.0, 254.0) == (1.0, 1)
    assert activation_grid(10.0, 255.0) == (1.0, 0)
    assert activation_grid(-255.0, -10.0) == (1.0, 255)
    scale, zero_point = activation_grid(0.0, 0.0)
    assert scale > 0
    assert zero_point == 0


def test_activations_are_clipped_and_rounded():
    values = torch.tensor([-3.0, -1.0, 0.0, 0.6, 300.0])
    assert on_activation_grid(values, -1.0, 254.0).tolist() == [-1, -1, 0, 1, 254]
