# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Ops over whole feature maps: upsampling and correlation."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad, unfold

from .arithmetic import as_float, gradients, write


def carafe_naive_forward(
    features: Tensor,
    masks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Content-aware upsampling (arXiv:1905.02188), written to ``output``.

    Args:
        features: Shape (N, C, H, W).
        masks: A kernel for each output pixel, shape (N, groups * kernel^2, s H, s W).
        output: Shape (N, C, s H, s W).
        kernel_size: Width and height of a kernel, odd.
        group_size: Number of groups of channels that share a kernel.
        scale_factor: The factor s.
    """
    reassemble = _carafe(kernel_size, group_size, scale_factor)
    write([(output, reassemble(*as_float(features, masks)))])


def carafe_naive_backward(
    grad_output: Tensor,
    features: Tensor,
    masks: Tensor,
    grad_input: Tensor,
    grad_masks: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Gradients of features and masks, written to the tensors ``grad_...``."""
    reassemble = _carafe(kernel_size, group_size, scale_factor)
    found = gradients(reassemble, [features, masks], grad_output)
    write(list(zip((grad_input, grad_masks), found, strict=True)))


def carafe_forward(
    features: Tensor,
    masks: Tensor,
    rfeatures: Tensor,
    routput: Tensor,
    rmasks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Compute :func:`carafe_naive_forward`, and keep features for the gradient."""
    carafe_naive_forward(features, masks, output, kernel_size, group_size, scale_factor)
    write([(rfeatures, features)])


def carafe_backward(
    grad_output: Tensor,
    rfeatures: Tensor,
    masks: Tensor,
    rgrad_output: Tensor,
    rgrad_input_hs: Tensor,
    rgrad_input: Tensor,
    rgrad_masks: Tensor,
    grad_input: Tensor,
    grad_masks: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Gradients of features and masks; the tensors ``rgrad_...`` are not needed."""
    carafe_naive_backward(
        grad_output,
        rfeatures,
        masks,
        grad_input,
        grad_masks,
        kernel_size,
        group_size,
        scale_factor,
    )


def correlation_forward(
    input1: Tensor,
    input2: Tensor,
    output: Tensor,
    kH: int,
    kW: int,
    patchH: int,
    patchW: int,
    padH: int,
    padW: int,
    dilationH: int,
    dilationW: int,
    dilation_patchH: int,
    dilation_patchW: int,
    dH: int,
    dW: int,
) -> None:
    """Correlation of patches for optical flow (arXiv:1504.06852).

    ``output``, shape (N, patchH, patchW, H, W), holds for each displacement of the
    second map the sum over channels and kernel of the products.
    """
    correlate = _correlation(
        (kH, kW),
        (patchH, patchW),
        (padH, padW),
        (dilationH, dilationW),
        (dilation_patchH, dilation_patchW),
        (dH, dW),
    )
    write([(output, correlate(*as_float(input1, input2)))])


def correlation_backward(
    grad_output: Tensor,
    input1: Tensor,
    input2: Tensor,
    grad_input1: Tensor,
    grad_input2: Tensor,
    kH: int,
    kW: int,
    patchH: int,
    patchW: int,
    padH: int,
    padW: int,
    dilationH: int,
    dilationW: int,
    dilation_patchH: int,
    dilation_patchW: int,
    dH: int,
    dW: int,
) -> None:
    """Gradients of both maps, written to the tensors ``grad_...``."""
    correlate = _correlation(
        (kH, kW),
        (patchH, patchW),
        (padH, padW),
        (dilationH, dilationW),
        (dilation_patchH, dilation_patchW),
        (dH, dW),
    )
    found = gradients(correlate, [input1, input2], grad_output)
    write(list(zip((grad_input1, grad_input2), found, strict=True)))


def _carafe(kernel: int, groups: int, scale: int) -> Callable[[Tensor, Tensor], Tensor]:
    def reassemble(features: Tensor, masks: Tensor) -> Tensor:
        n, c, h, w = features.shape
        patches = unfold(features, kernel, padding=(kernel - 1) // 2)
        patches = patches.view(n, groups, c // groups, kernel**2, h, w)
        masks = masks.view(n, groups, kernel**2, h, scale, w, scale)
        output = torch.einsum('ngckhw,ngkhiwj->ngchiwj', patches, masks)
        return output.reshape(n, c, h * scale, w * scale)

    return reassemble


def _correlation(
    kernel: tuple[int, int],
    patch: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    patch_dilation: tuple[int, int],
    stride: tuple[int, int],
) -> Callable[[Tensor, Tensor], Tensor]:
    reach = [
        step * (size - 1) // 2 for step, size in zip(patch_dilation, patch, strict=True)
    ]

    def correlate(first: Tensor, second: Tensor) -> Tensor:
        height, width = first.shape[-2:]
        around = pad(second, (reach[1], reach[1], reach[0], reach[0]))
        ones = first.new_ones(1, 1, *kernel)
        sums = []
        for row in range(patch[0]):
            for column in range(patch[1]):
                top, left = row * patch_dilation[0], column * patch_dilation[1]
                moved = around[..., top : top + height, left : left + width]
                product = (first * moved).sum(1, keepdim=True)
                sums.append(
                    conv2d(
                        product,
                        ones,
                        stride=stride,
                        padding=padding,
                        dilation=dilation,
                    )
                )
        return torch.cat(sums, 1).unflatten(1, patch)

    return correlate
