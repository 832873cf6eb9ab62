# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Deformable and masked convolutions.

Deformable Convolutional Networks (arXiv:1703.06211) are the first version, with a
mask (arXiv:1811.11168) the second. torchvision has both.
"""

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import unfold
from torchvision.ops import deform_conv2d

from .arithmetic import as_float, gradients, write


def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Deformable convolution without a bias, written to ``output``.

    ``columns``, ``ones``, the groups and the step of the compiled op are not needed:
    torchvision reads groups from the shapes.
    """
    convolve = _convolution((dH, dW), (padH, padW), (dilationH, dilationW))
    write([(output, convolve(*as_float(input, offset, weight)))])


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Gradients of input and offset, written to ``grad_input``, ``grad_offset``."""
    convolve = _convolution((dH, dW), (padH, padW), (dilationH, dilationW))
    found = gradients(convolve, [input, offset, weight], grad_output)
    write([(grad_input, found[0]), (grad_offset, found[1])])


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """Gradient of the weight, times ``scale``, written to ``grad_weight``."""
    convolve = _convolution((dH, dW), (padH, padW), (dilationH, dilationW))
    # The convolution is linear in the weight, so any weight has the same gradient.
    found = gradients(convolve, [input, offset, grad_weight], grad_output)
    write([(grad_weight, scale * found[2])])


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Deformable convolution with a mask, written to ``output``."""
    convolve = _convolution(
        (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w)
    )
    inputs = [input, offset, weight, mask, *([bias] if with_bias else [])]
    write([(output, convolve(*as_float(*inputs)))])


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Gradients of all inputs, written to the tensors ``grad_...``."""
    convolve = _convolution(
        (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w)
    )
    inputs = [input, offset, weight, mask, *([bias] if with_bias else [])]
    outputs = [grad_input, grad_offset, grad_weight, grad_mask, grad_bias]
    found = gradients(convolve, inputs, grad_output)
    write(list(zip(outputs, found, strict=False)))


def masked_im2col_forward(
    im: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    col: Tensor,
    kernel_h: int,
    kernel_w: int,
    pad_h: int,
    pad_w: int,
) -> None:
    """Write the patches around some output pixels of one image to ``col``.

    Args:
        im: Image, shape (1, C, H, W).
        mask_h_idx: Rows of K output pixels.
        mask_w_idx: Their columns.
        col: Output of shape (C * kernel_h * kernel_w, K).
        kernel_h: Height of a patch.
        kernel_w: Width of a patch.
        pad_h: Rows of zeros at either side.
        pad_w: Columns of zeros at either side.
    """
    patches = unfold(im, (kernel_h, kernel_w), padding=(pad_h, pad_w))[0]
    width = im.shape[-1] + 2 * pad_w - kernel_w + 1
    write([(col, patches[:, mask_h_idx * width + mask_w_idx])])


def masked_col2im_forward(
    col: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    im: Tensor,
    height: int,
    width: int,
    channels: int,
) -> None:
    """Write ``col``, shape (C, K), to K pixels of ``im``, shape (1, C, H, W)."""
    im[0, :, mask_h_idx, mask_w_idx] = col


def _convolution(
    stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int]
) -> Callable[..., Tensor]:
    """Deformable convolution of input, offset, weight, and maybe mask and bias."""

    def convolve(
        input: Tensor,
        offset: Tensor,
        weight: Tensor,
        mask: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        if mask is not None:
            size = [
                (length + 2 * pad - spread * (kernel - 1) - 1) // step + 1
                for length, kernel, step, pad, spread in zip(
                    input.shape[-2:], weight.shape[-2:], stride, padding, dilation,
                    strict=True,
                )
            ]  # fmt: skip
            offset, mask = _reread(offset, size), _reread(mask, size)
        return deform_conv2d(
            input, offset, weight, bias, stride, padding, dilation, mask
        )

    return convolve


def _reread(maps: Tensor, size: list[int]) -> Tensor:
    """Read the first numbers of larger maps as maps of the size of the output.

    The compiled op of the second version checks no sizes and so reads them; dynamic
    heads, which give a coarser level the offsets of a finer one, rely on it.

    Args:
        maps: Offsets or masks, shape (N, C, H, W).
        size: Height and width of the output.
    """
    number = maps.shape[1] * size[0] * size[1]
    if list(maps.shape[-2:]) == size or number > maps[0].numel():
        return maps
    return maps.flatten(1)[:, :number].reshape(*maps.shape[:2], *size)
