# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Focal losses of MMCV.

The expected values are those of loops or of other libraries, and hold with compiled ops
too.
"""

import pytest
import torch
from plain_ops import close, double
from torch.nn import functional as F
from torchvision import ops


@pytest.mark.parametrize('reduction', ['none', 'mean', 'sum'])
def test_sigmoid_focal_loss(reduction):
    from mmcv.ops import SigmoidFocalLoss

    logits = torch.randn(5, 3, requires_grad=True)
    target = torch.tensor([0, 2, 3, 1, 3])  # 3: background
    weight = torch.tensor([1.0, 2, 0.5])
    one_hot = F.one_hot(target, 4)[:, :3].float()
    for factor in (None, weight):
        if factor is not None:
            target, one_hot = target[:2], one_hot[:2]
            logits = logits[:2].detach().requires_grad_()
        expected = ops.sigmoid_focal_loss(logits, one_hot, 0.3, 1.5)
        if factor is not None:
            expected = expected * factor[target][:, None]
        if reduction != 'none':
            expected = expected.sum() / (len(target) if reduction == 'mean' else 1)
        scale = 1 if reduction == 'none' else 3.0
        (expected_grad,) = torch.autograd.grad(expected.sum() * scale, logits)
        found = SigmoidFocalLoss(1.5, 0.3, factor, reduction)(logits, target)
        (grad,) = torch.autograd.grad(found.sum() * scale, logits)
        close(found, expected)
        close(grad, expected_grad)


def test_focal_losses_of_sure_logits_are_finite():
    from mmcv.ops import sigmoid_focal_loss, softmax_focal_loss

    for loss in (sigmoid_focal_loss, softmax_focal_loss):
        logits = torch.tensor([[300.0, -300.0]], requires_grad=True)
        value = loss(logits, torch.tensor([1]), 2.0, 0.25, None, 'sum')
        value.backward()
        assert torch.isfinite(value)
        assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize('weighted', [False, True])
def test_softmax_focal_loss(weighted):
    from mmcv.ops import softmax_focal_loss

    logits = double(6, 4, requires_grad=True)
    target = torch.tensor([0, 3, 1, 2, 2, 0])
    weight = torch.rand(4, dtype=torch.float64) if weighted else None
    log_p = F.log_softmax(logits, 1).gather(1, target[:, None])[:, 0]
    expected = -0.7 * (1 - log_p.exp()) ** 1.5 * log_p
    if weighted:
        expected = expected * weight[target]
    (expected_grad,) = torch.autograd.grad(expected.mean(), logits)
    found = softmax_focal_loss(logits, target, 1.5, 0.7, weight, 'mean')
    (grad,) = torch.autograd.grad(found, logits)
    close(found, expected.mean())
    close(grad, expected_grad)
    # No class, no loss.
    target[0] = -1
    found = softmax_focal_loss(logits, target, 1.5, 0.7, weight, 'sum')
    (grad,) = torch.autograd.grad(found, logits)
    assert not grad[0].any()
    close(found, expected[1:].sum())
