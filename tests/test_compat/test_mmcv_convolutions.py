# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Deformable and masked convolutions of MMCV.

The expected values are those of loops or of other libraries, and hold with compiled ops
too.
"""

import plain_ops as plain
import pytest
import torch
from plain_ops import close, double, gradcheck
from torch.nn import functional as F
from torch.nn.modules.utils import _pair

CONVOLUTIONS = [
    # in, out, kernel, stride, padding, dilation, groups, deform groups
    (2, 2, 3, 1, 1, 1, 1, 1),
    (4, 4, 3, 2, 1, 1, 2, 2),
    (4, 2, 2, 1, 1, 2, 2, 1),
    (3, 3, 1, 1, 0, 1, 3, 3),
    (2, 2, (3, 2), (2, 1), (1, 0), (1, 2), 1, 2),  # height and width
]


def deform_inputs(case, height=4, width=5):
    channels, out, kernel, stride, padding, dilation, groups, deform = case
    image = double(2, channels, height, width)
    size = plain.convolved((height, width), kernel, stride, padding, dilation)
    kernel = _pair(kernel)
    taps = kernel[0] * kernel[1]
    offset = double(2, 2 * deform * taps, *size) * 1.5
    mask = torch.rand(2, deform * taps, *size, dtype=torch.float64)
    weight = double(out, channels // groups, *kernel)
    return image, offset, mask, weight


@pytest.mark.parametrize('case', CONVOLUTIONS)
def test_deformable_convolution(case):
    from mmcv.ops import deform_conv2d

    image, offset, _, weight = deform_inputs(case)
    *_, stride, padding, dilation, groups, deform = case
    output = deform_conv2d(
        image, offset, weight, stride, padding, dilation, groups, deform
    )
    for found, one, its in zip(output, image, offset, strict=True):
        close(found, plain.deform_conv(one, its, weight, stride, padding, dilation))


@pytest.mark.parametrize('case', CONVOLUTIONS)
def test_modulated_deformable_convolution(case):
    from mmcv.ops import modulated_deform_conv2d

    image, offset, mask, weight = deform_inputs(case)
    bias = double(len(weight))
    *_, stride, padding, dilation, groups, deform = case
    output = modulated_deform_conv2d(
        image, offset, mask, weight, bias, stride, padding, dilation, groups, deform
    )
    for k, found in enumerate(output):
        expected = plain.deform_conv(
            image[k], offset[k], weight, stride, padding, dilation, mask[k]
        )
        close(found, expected + bias[:, None, None])


@pytest.mark.parametrize('case', [(2, 2, 2, 2, 1, 1, 2, 2), CONVOLUTIONS[-1]])
def test_gradients_of_deformable_convolutions(case):
    from mmcv.ops import deform_conv2d, modulated_deform_conv2d

    *_, stride, padding, dilation, groups, deform = case
    settings = (stride, padding, dilation, groups, deform)
    image, offset, mask, weight = (
        each.requires_grad_() for each in deform_inputs(case, 4, 3)
    )
    bias = double(len(weight)).requires_grad_()
    first = lambda *inputs: deform_conv2d(*inputs, *settings)  # noqa: E731
    second = lambda *inputs: modulated_deform_conv2d(*inputs, *settings)  # noqa: E731
    assert gradcheck(first, (image, offset, weight))
    assert gradcheck(second, (image, offset, mask, weight, bias))
    assert gradcheck(
        lambda *inputs: second(*inputs, None), (image, offset, mask, weight)
    )


def test_larger_offsets_are_read_as_the_compiled_op_reads_them():
    """A dynamic head gives a level of half the size the offsets of the finer one."""
    from mmcv.ops import modulated_deform_conv2d

    image, weight = double(2, 2, 3, 4), double(3, 2, 3, 3)
    offset, mask = double(2, 18, 6, 8), double(2, 9, 6, 8)
    offset, mask = offset.requires_grad_(), mask.requires_grad_()
    convolve = lambda *maps: modulated_deform_conv2d(  # noqa: E731
        image, *maps, weight, None, 1, 1
    )
    # Maps of 3x4 lie one behind the other in the memory of one image.
    first = [maps.flatten(1).chunk(4, dim=1)[0] for maps in (offset, mask)]
    small = [maps.reshape(2, -1, 3, 4) for maps in first]
    close(convolve(offset, mask), convolve(*small))
    assert gradcheck(convolve, (offset, mask))
    with pytest.raises(RuntimeError, match='offset output dims'):
        convolve(offset[..., :2, :4], mask[..., :2, :4])


def test_layers_start_as_plain_convolutions():
    from mmcv.ops import DeformConv2dPack, ModulatedDeformConv2dPack

    image = torch.randn(2, 4, 7, 6)
    first = DeformConv2dPack(4, 6, 3, padding=1)
    close(first(image), F.conv2d(image, first.weight, padding=1))
    second = ModulatedDeformConv2dPack(4, 6, 3, padding=1)
    # Its masks begin at a half.
    expected = F.conv2d(image, second.weight, padding=1) / 2
    close(second(image), expected + second.bias[:, None, None])
    with torch.autocast('cpu', torch.bfloat16):
        output = second(image)
    output.float().sum().backward()
    assert output.dtype == torch.bfloat16
    assert second.weight.grad.dtype == torch.float32


@pytest.mark.parametrize(('kernel', 'padding'), [(3, 1), ((3, 1), (1, 0))])
def test_masked_convolution(kernel, padding):
    from mmcv.ops import MaskedConv2d

    layer = MaskedConv2d(3, 2, kernel, padding=padding)
    image, mask = torch.randn(1, 3, 5, 6), torch.randint(0, 2, (1, 5, 6))
    with torch.no_grad():
        close(
            layer(image, mask),
            F.conv2d(image, layer.weight, layer.bias, padding=padding) * mask,
        )
    assert not layer(image, torch.zeros(1, 5, 6)).any()
