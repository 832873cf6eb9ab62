# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Grad-CAM and guided backpropagation on networks whose maps are known by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from hpml_mm.visualization.saliency import (
    Logits,
    as_grey,
    find_layer,
    grad_cam,
    guided_backprop,
    overlaid,
)

pytest.importorskip('captum')


class Classifier(nn.Module):
    """Two maps of an image, their means, and a linear layer; called as MMPretrain's."""

    def __init__(self, act=None):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 1, bias=False)
        self.act = act or nn.Identity()
        self.fc = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1))
            self.fc.weight.copy_(torch.tensor([[3.0, 1.0], [0.0, 1.0]]))

    def forward(self, inputs, mode):
        assert mode == 'tensor'
        return self.fc(self.act(self.conv(inputs)).mean(dim=(2, 3)))


IMAGE = torch.tensor([[[[1.0, -2.0], [4.0, 0.0]]]])


def test_grad_cam_weighs_the_maps_by_their_mean_gradients():
    logits = Logits(Classifier())
    layer = find_layer(logits, IMAGE)
    # Class 0: (3 x - x) / 4 of each pixel, without what is negative.
    expected = torch.tensor([[0.25, 0.0], [1.0, 0.0]])
    torch.testing.assert_close(grad_cam(logits, IMAGE, 0, layer), expected)
    # Class 1: -x.
    expected = torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    torch.testing.assert_close(grad_cam(logits, IMAGE, 1, layer), expected)
    nothing = grad_cam(logits, torch.ones(1, 1, 2, 2), 1, layer)
    assert nothing.eq(0).all()


@pytest.mark.parametrize('inplace', [True, False])
def test_guided_backprop_passes_what_is_positive_forth_and_back(inplace):
    model = Classifier(nn.ReLU(inplace=inplace))
    with torch.no_grad():
        model.fc.weight.copy_(torch.tensor([[3.0, 1.0], [-2.0, 1.0]]))
    logits = Logits(model)
    # The first map is positive at 1 and 4, the second at -2. Class 0 gives 3 / 4 to
    # the first, and 1 / 4 times -1 to the second.
    expected = torch.tensor([[[0.75, -0.25], [0.75, 0.0]]])
    torch.testing.assert_close(guided_backprop(logits, IMAGE, 0), expected)
    # Class 1 is against the first map: nothing of it comes back.
    expected = torch.tensor([[[0.0, -0.25], [0.0, 0.0]]])
    torch.testing.assert_close(guided_backprop(logits, IMAGE, 1), expected)
    assert model.act.inplace == inplace
    assert guided_backprop(Logits(Classifier(nn.SiLU())), IMAGE, 0) is None


def test_the_layer_is_the_last_convolution_with_a_map():
    model = Classifier()
    model.act = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(2, 2, 1))
    logits = Logits(model)
    assert find_layer(logits, IMAGE) is logits.classifier.conv
    assert find_layer(logits, IMAGE, 'act.1') is logits.classifier.act[1]
    with pytest.raises(
        ValueError, match=r"no module 'head\.conv'; did you mean 'conv'"
    ):
        find_layer(logits, IMAGE, 'head.conv')
    with pytest.raises(ValueError, match='no convolution with a map'):
        find_layer(logits, IMAGE[..., :1, :1])


def test_pictures_of_maps():
    gradient = torch.zeros(1, 8, 8)
    gradient[0, 0, 0], gradient[0, 7, 7] = 1.0, -1.0
    picture = as_grey(gradient)
    assert picture.shape == (8, 8, 3)
    assert picture[0, 0].tolist() == [255] * 3
    assert picture[7, 7].tolist() == [0] * 3
    assert picture[3, 3].tolist() == [128] * 3
    heat = torch.tensor([[0.0, 1.0]])
    cold, hot = overlaid(np.zeros((1, 2, 3), np.uint8), heat)[0].tolist()
    assert cold[2] > cold[0] == 0
    assert hot[0] > hot[2] == 0
