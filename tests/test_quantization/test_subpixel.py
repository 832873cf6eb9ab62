# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest
import torch
from torch import nn

from hpml_mm.quantization.backends.subpixel import (
    can_replace,
    replace_deconvolutions_,
)


@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('size', [(5, 7), (1, 1)])
def test_outputs_and_names_stay(bias, size):
    torch.manual_seed(0)
    network = nn.Sequential(nn.ConvTranspose2d(3, 5, 4, 2, 1, bias=bias), nn.ReLU())
    images = torch.randn(2, 3, *size)
    expected = network(images)
    replace_deconvolutions_(network)
    assert not any(isinstance(m, nn.ConvTranspose2d) for m in network.modules())
    torch.testing.assert_close(network(images), expected)


def test_others_stay():
    assert can_replace(nn.ConvTranspose2d(4, 4, 4, 2, 1))
    for layer in (
        nn.ConvTranspose2d(4, 4, 3, 2, 1, 1),
        nn.ConvTranspose2d(4, 4, 4, 2, 1, groups=2),
        nn.ConvTranspose2d(4, 4, 4, 2, 1, output_padding=1),
        nn.ConvTranspose2d(4, 4, 4, 2, 1, dilation=2),
        nn.ConvTranspose2d(4, 4, 4, 4, 1),
        nn.Conv2d(4, 4, 4, 2, 1),
    ):
        assert not can_replace(layer)
