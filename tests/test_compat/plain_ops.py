# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""MMCV's ops once more, written as loops over single numbers."""

import math
from functools import partial
from itertools import product

import torch
from torch.nn.modules.utils import _pair

close = torch.testing.assert_close
double = partial(torch.randn, dtype=torch.float64)
gradcheck = partial(torch.autograd.gradcheck, fast_mode=True)


def sample(image, y, x, border):
    """One bilinear sample of an image (H, W).

    ``border`` says how the outside looks: 'zero' pads with zeros, 'edge' repeats the
    edge for one pixel and is zero beyond.
    """
    height, width = image.shape
    if border == 'edge':
        if y < -1 or y > height or x < -1 or x > width:
            return image.new_zeros(())
        y, x = min(max(y, 0.0), height - 1), min(max(x, 0.0), width - 1)
    total = image.new_zeros(())
    for row, column in product((math.floor(y), math.floor(y) + 1), (0, 1)):
        column += math.floor(x)
        weight = max(0.0, 1 - abs(y - row)) * max(0.0, 1 - abs(x - column))
        if weight and 0 <= row < height and 0 <= column < width:
            total = total + weight * image[row, column]
    return total


def convolved(size, kernel, stride, padding, dilation):
    """Height and width of the output of a convolution."""
    sides = zip(size, *map(_pair, (kernel, stride, padding, dilation)), strict=True)
    return [
        (length + 2 * around - apart * (taps - 1) - 1) // step + 1
        for length, taps, step, around, apart in sides
    ]


def deform_conv(image, offset, weight, stride, padding, dilation, mask=None):
    """Deformable convolution of one image (C, H, W); offsets (2 taps groups, h, w)."""
    channels, height, width = image.shape
    out_channels, per_group, kernel_h, kernel_w = weight.shape
    taps = kernel_h * kernel_w
    deform_groups = offset.shape[0] // (2 * taps)
    groups = channels // per_group
    stride, padding, dilation = (_pair(each) for each in (stride, padding, dilation))
    size = convolved((height, width), (kernel_h, kernel_w), stride, padding, dilation)
    output = image.new_zeros(out_channels, *size)
    for o, i, j in product(range(out_channels), *map(range, size)):
        group = o // (out_channels // groups)
        for c, tap in product(range(per_group), range(taps)):
            channel = group * per_group + c
            deform = channel // (channels // deform_groups)
            at = deform * taps + tap
            y = i * stride[0] - padding[0] + tap // kernel_w * dilation[0]
            x = j * stride[1] - padding[1] + tap % kernel_w * dilation[1]
            y += float(offset[2 * at, i, j])
            x += float(offset[2 * at + 1, i, j])
            value = sample(image[channel], y, x, 'zero')
            if mask is not None:
                value = value * mask[at, i, j]
            output[o, i, j] += value * weight[o, c].flatten()[tap]
    return output


def soft_nms(boxes, scores, threshold, sigma, min_score, method, offset=0):
    """Boxes left with their new scores, as (index, score)."""
    left, kept = dict(enumerate(scores)), []
    while left:
        best = max(left, key=left.get)
        kept.append((best, left.pop(best)))
        for other in list(left):
            iou = box_iou(boxes[best], boxes[other], offset)
            if method == 'gaussian':
                left[other] *= math.exp(-(iou**2) / sigma)
            elif iou >= threshold:
                left[other] *= 1 - iou if method == 'linear' else 0
            if left[other] < min_score:
                del left[other]
    return kept


def box_iou(a, b, offset=0):
    """Overlap of two boxes (x1, y1, x2, y2), with sides longer by ``offset``."""
    width = min(a[2], b[2]) - max(a[0], b[0]) + offset
    height = min(a[3], b[3]) - max(a[1], b[1]) + offset
    both = max(0, width) * max(0, height)
    areas = [(c[2] - c[0] + offset) * (c[3] - c[1] + offset) for c in (a, b)]
    return both / (sum(areas) - both)


def roi_bins(roi, size, samples):
    """Places of the samples of each bin, for a box in pixels of the map."""
    x1, y1, x2, y2 = roi
    for i, j in product(range(size[0]), range(size[1])):
        yield (
            i,
            j,
            [
                (
                    y1 + (i + (a + 0.5) / samples) * (y2 - y1) / size[0],
                    x1 + (j + (b + 0.5) / samples) * (x2 - x1) / size[1],
                )
                for a, b in product(range(samples), repeat=2)
            ],
        )


def carafe(features, masks, kernel, groups, scale):
    """Upsampled features (C, sH, sW) of one image."""
    channels, height, width = features.shape
    output = features.new_zeros(channels, height * scale, width * scale)
    half = kernel // 2
    for c, y, x in product(*map(range, output.shape)):
        group = c // (channels // groups)
        for i, j in product(range(kernel), repeat=2):
            row, column = y // scale + i - half, x // scale + j - half
            if 0 <= row < height and 0 <= column < width:
                weight = masks[(group * kernel + i) * kernel + j, y, x]
                output[c, y, x] += features[c, row, column] * weight
    return output


def correlation(first, second, kernel, reach, stride, padding, dilation, spread):
    """Correlation (patch, patch, h, w) of two maps (C, H, W)."""
    height, width = first.shape[1:]
    patch = 2 * reach + 1
    size = [
        (length + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        for length in (height, width)
    ]
    output = first.new_zeros(patch, patch, *size)
    for p, q, i, j in product(*map(range, output.shape)):
        for a, b in product(range(kernel), repeat=2):
            y = i * stride - padding + a * dilation
            x = j * stride - padding + b * dilation
            y2, x2 = y + (p - reach) * spread, x + (q - reach) * spread
            within = min(y, y2, x, x2) >= 0
            if within and max(y, y2) < height and max(x, x2) < width:
                output[p, q, i, j] += first[:, y, x] @ second[:, y2, x2]
    return output


def psa_mask(masks, kind, size):
    """Attention (H W, H, W) from masks (size^2, H, W) around each pixel."""
    height, width = masks.shape[1:]
    half = [(length - 1) // 2 for length in size]
    output = masks.new_zeros(height * width, height, width)
    for h, w, i, j in product(range(height), range(width), *map(range, size)):
        y, x = h + i - half[0], w + j - half[1]
        if 0 <= y < height and 0 <= x < width:
            value = masks[i * size[1] + j, h, w]
            if kind == 'collect':
                output[y * width + x, h, w] = value
            else:
                output[h * width + w, y, x] = value
    return output


def ball(centre, points, inner, outer, number):
    """Indices of the first points in a ring, the first one repeated."""
    near = [
        k
        for k, point in enumerate(points)
        if (squared := float((centre - point).square().sum())) == 0
        or inner**2 <= squared < outer**2
    ]
    return (near + near[:1] * number)[:number] if near else [0] * number
