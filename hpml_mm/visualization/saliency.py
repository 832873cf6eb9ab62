# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Maps of what in an image speaks for a class: Grad-CAM and guided backpropagation.

Selvaraju et al., `Grad-CAM <https://arxiv.org/abs/1610.02391>`_; Springenberg et al.,
`Striving for Simplicity <https://arxiv.org/abs/1412.6806>`_, both by Captum.
"""

import copy
import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hpml_mm.compat import require


class Logits(nn.Module):
    """The logits of one of MMPretrain's classifiers.

    Args:
        classifier: The classifier; it is copied, and its activations no longer
            overwrite their inputs, of which gradients are needed.
    """

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = copy.deepcopy(classifier).eval()
        for module in self.classifier.modules():
            if getattr(module, 'inplace', False):
                setattr(module, 'inplace', False)  # noqa: B010 - mypy takes it for a module

    def forward(self, inputs: Tensor) -> Tensor:
        """Map normalised images (N, C, H, W) to logits (N, classes)."""
        return self.classifier(inputs, mode='tensor')


def find_layer(logits: Logits, inputs: Tensor, name: str | None = None) -> nn.Module:
    """Find the layer whose map Grad-CAM weighs.

    Args:
        logits: The classifier.
        inputs: Images.
        name: Name of a module of the classifier; None for the last convolution whose
            output is larger than one pixel.

    Raises:
        ValueError: There is no such module, or no such convolution.
    """
    modules = dict(logits.classifier.named_modules())
    if name is not None:
        if name not in modules:
            near = [key for key in modules if key.endswith(name.split('.')[-1])]
            hint = f'; did you mean {near[-1]!r}?' if near else ''
            raise ValueError(f'the model has no module {name!r}{hint}')
        return modules[name]
    found: list[nn.Module] = []

    def note(module: nn.Module, _: Any, output: Tensor) -> None:
        if output.dim() == 4 and output.shape[-2:].numel() > 1:
            found.append(module)

    convolutions = [one for one in modules.values() if isinstance(one, nn.Conv2d)]
    handles = [one.register_forward_hook(note) for one in convolutions]
    try:
        with torch.no_grad():
            logits(inputs)
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise ValueError(
            'the model has no convolution with a map of more than one pixel: name a '
            'layer with such a map by --layer'
        )
    return found[-1]


def grad_cam(logits: Logits, inputs: Tensor, target: int, layer: nn.Module) -> Tensor:
    """Weigh a layer's maps by the mean gradients of a class, and sum what is positive.

    Args:
        logits: The classifier.
        inputs: One image, (1, C, H, W).
        target: Number of the class.
        layer: The layer, whose output is (1, channels, h, w).

    Returns:
        (H, W) from 0 to 1; zeros where nothing speaks for the class.
    """
    attr = require('captum.attr', 'explain')
    method = attr.LayerGradCam(logits, layer)
    weighed = method.attribute(inputs, target=target, relu_attributions=True)
    sides = inputs.shape[-2:]
    found = attr.LayerAttribution.interpolate(weighed, sides, 'bilinear')[0, 0].detach()
    return found / found.max() if found.max() > 0 else found


def guided_backprop(logits: Logits, inputs: Tensor, target: int) -> Tensor | None:
    """Gradient of a class by the image, without what is negative at a ReLU.

    Args:
        logits: The classifier.
        inputs: One image, (1, C, H, W).
        target: Number of the class.

    Returns:
        (C, H, W); None for a model without ReLU layers, for which it is not defined.
    """
    if not any(isinstance(one, nn.ReLU) for one in logits.modules()):
        return None
    attr = require('captum.attr', 'explain')
    with warnings.catch_warnings():
        # That hooks are set for the while: they are gone afterwards.
        warnings.filterwarnings('ignore', message='Setting backward hooks on ReLU')
        images = inputs.clone().requires_grad_()
        found = attr.GuidedBackprop(logits).attribute(images, target=target)
    return found[0].detach()


def as_grey(gradient: Tensor) -> np.ndarray:
    """Show a gradient (C, H, W) as a picture: 0 is grey, large values dark or bright.

    Returns:
        RGB, uint8, shape (H, W, 3), stretched to three standard deviations.
    """
    values = gradient.sum(dim=0) if gradient.shape[0] != 3 else gradient.mean(dim=0)
    scale = 3 * values.std() + 1e-12
    shown = (127.5 + 127.5 * (values / scale).clamp(-1, 1)).round().byte().numpy()
    return np.repeat(shown[..., None], 3, axis=2)


def overlaid(picture: np.ndarray, heat: Tensor) -> np.ndarray:
    """Lay a map over a picture, red where it is 1.

    Args:
        picture: RGB, uint8, shape (H, W, 3).
        heat: (H, W) from 0 to 1.
    """
    from matplotlib import colormaps

    colours = colormaps['jet'](heat.numpy())[..., :3] * 255
    return (0.5 * picture + 0.5 * colours).round().astype(np.uint8)
