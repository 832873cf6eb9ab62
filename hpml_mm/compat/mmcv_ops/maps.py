# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Ops over whole feature maps: upsampling, attention, correlation."""

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


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Multi-scale deformable attention by the function that MMCV uses on a CPU."""
    return _attend(value_spatial_shapes)(value, sampling_locations, attention_weights)


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Gradients of values, places and weights, written to the tensors ``grad_...``."""
    inputs = [value, sampling_locations, attention_weights]
    found = gradients(_attend(value_spatial_shapes), inputs, grad_output)
    outputs = (grad_value, grad_sampling_loc, grad_attn_weight)
    write(list(zip(outputs, found, strict=True)))


def psamask_forward(
    input: Tensor,
    output: Tensor,
    psa_type: int,
    num_: int,
    h_feature: int,
    w_feature: int,
    h_mask: int,
    w_mask: int,
    half_h_mask: int,
    half_w_mask: int,
) -> None:
    """Attention of all pixels from masks around each pixel (PSANet, ECCV 2018).

    Args:
        input: A mask for each pixel, shape (N, h_mask * w_mask, H, W).
        output: Shape (N, H * W, H, W).
        psa_type: 0 to collect, which puts what a pixel sees along axis 1; 1 to
            distribute, which puts it along the last two axes.
        num_: The N.
        h_feature: The H.
        w_feature: The W.
        h_mask: Height of a mask.
        w_mask: Width of a mask.
        half_h_mask: Row of a mask that is the pixel itself.
        half_w_mask: Column of a mask that is the pixel itself.
    """
    spread = _psa(psa_type, (h_mask, w_mask), (half_h_mask, half_w_mask))
    write([(output, spread(input))])


def psamask_backward(
    grad_output: Tensor,
    grad_input: Tensor,
    psa_type: int,
    num_: int,
    h_feature: int,
    w_feature: int,
    h_mask: int,
    w_mask: int,
    half_h_mask: int,
    half_w_mask: int,
) -> None:
    """Gradient of the masks, written to ``grad_input``."""
    spread = _psa(psa_type, (h_mask, w_mask), (half_h_mask, half_w_mask))
    # It moves values only, so zeros have the gradient of any others.
    (found,) = gradients(spread, [torch.zeros_like(grad_input)], grad_output)
    write([(grad_input, found)])


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


def _attend(shapes: Tensor) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    def attend(value: Tensor, places: Tensor, weights: Tensor) -> Tensor:
        return multi_scale_deformable_attn_pytorch(value, shapes, places, weights)

    return attend


def _psa(
    kind: int, size: tuple[int, int], half: tuple[int, int]
) -> Callable[[Tensor], Tensor]:
    def spread(masks: Tensor) -> Tensor:
        height, width = masks.shape[-2:]
        at_row, at_column = (
            torch.arange(length, device=masks.device)[:, None]
            - torch.arange(length, device=masks.device)
            + middle
            for length, middle in zip((height, width), half, strict=True)
        )
        # Of each seen pixel (first two axes) in the mask of each pixel (last two).
        row, column = at_row[:, None, :, None], at_column[None, :, None]
        seen = (row >= 0) & (row < size[0]) & (column >= 0) & (column < size[1])
        index = (row * size[1] + column).where(seen, 0).flatten(0, 1)
        index = index.expand(len(masks), -1, -1, -1)
        found = masks.gather(1, index) * seen.flatten(0, 1)
        if kind == 0:
            return found
        return found.flatten(2).transpose(1, 2).unflatten(2, (height, width))

    return spread
