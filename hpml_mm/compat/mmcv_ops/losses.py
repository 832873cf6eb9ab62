# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Focal losses (arXiv:1708.02002), for a class index as target.

An index equal to the number of classes is the background, of no class. ``weight``
holds one factor a class, chosen by the target, or nothing.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from .arithmetic import gradients, write


def sigmoid_focal_loss_forward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    output: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Focal loss of each logit of shape (N, C), written to ``output``."""
    write([(output, _sigmoid_focal(input.float(), target, weight, gamma, alpha))])


def sigmoid_focal_loss_backward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    grad_input: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Gradient of each element's loss by its logit, written to ``grad_input``."""

    def loss(logits: Tensor) -> Tensor:
        return _sigmoid_focal(logits, target, weight, gamma, alpha)

    (found,) = gradients(loss, [input], torch.ones_like(input))
    write([(grad_input, found)])


def softmax_focal_loss_forward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    output: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Focal loss of each sample, written to ``output``.

    Args:
        input: Softmax of the logits, shape (N, C).
        target: Class of each sample, shape (N,); below 0 for none.
        weight: Factor of each class, or nothing.
        output: Shape (N,).
        gamma: Exponent of 1 - p.
        alpha: Factor of the whole.
    """
    p = _of_class(input, target)
    loss = -alpha * (1 - p) ** gamma * p.clamp(min=_SMALLEST).log()
    write([(output, loss * _factor(weight, target) * (target >= 0))])


def softmax_focal_loss_backward(
    input: Tensor,
    target: Tensor,
    weight: Tensor,
    buff: Tensor,
    grad_input: Tensor,
    gamma: float,
    alpha: float,
) -> None:
    """Gradient of each sample's loss by its logits, written to ``grad_input``."""
    p = _of_class(input, target)
    log = p.clamp(min=_SMALLEST).log()
    rest = 1 - p
    # p times the derivative by p of the loss; that of p by a logit is p (1 - softmax).
    slope = alpha * (gamma * rest ** (gamma - 1) * p * log - rest**gamma)
    slope = slope * _factor(weight, target) * (target >= 0)
    one_hot = torch.zeros_like(input)
    one_hot.scatter_(1, target.clamp(min=0)[:, None], 1)
    write([(grad_input, slope[:, None] * (one_hot - input))])


# Of float32: the logarithm of a probability that underflows stays finite.
_SMALLEST = torch.finfo(torch.float32).tiny


def _sigmoid_focal(
    logits: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float
) -> Tensor:
    classes = torch.arange(logits.shape[1], device=logits.device)
    positive = target[:, None] == classes
    p = logits.sigmoid()
    loss = torch.where(
        positive,
        -alpha * (1 - p) ** gamma * logsigmoid(logits),
        -(1 - alpha) * p**gamma * logsigmoid(-logits),
    )
    return loss * _factor(weight, target)[..., None]


def _of_class(softmax: Tensor, target: Tensor) -> Tensor:
    return softmax.gather(1, target.clamp(min=0)[:, None])[:, 0]


def _factor(weight: Tensor, target: Tensor) -> Tensor:
    """Factor of each sample by its class; 1 without weights."""
    if weight.numel() == 0:
        return torch.ones(target.shape, device=target.device)
    return weight[target.clamp(0, len(weight) - 1)]
