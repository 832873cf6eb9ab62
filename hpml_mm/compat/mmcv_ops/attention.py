# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Attention over feature maps."""

from collections.abc import Callable

import torch
from torch import Tensor

from .arithmetic import gradients, write


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
