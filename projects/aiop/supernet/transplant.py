# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Start of a supernet: the weights of a MobileNetV2 inside its largest network.

MobileNetV2's stages have the strides of Once-for-All's two mobile spaces, and no more
channels but in MobileNetV3's stem. So the first channels of each feature map become
MobileNetV2's. Channels inside of a block are sorted by importance, as a network with
a smaller expansion has the first ones; kernels lie in the middle of larger ones; blocks
that MobileNetV2 does not have add nothing; gates of squeeze-and-excitation are open.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hpml_mm.predictor.spaces.blocks import MobileBlock
from hpml_mm.predictor.spaces.chain import Layer

# hardsigmoid(2) is .83; it has no gradient from 3 on.
_OPEN_GATE = 2.0
_NORM = ('weight', 'bias', 'running_mean', 'running_var')

Weights = Mapping[str, Tensor]


@torch.no_grad()
def transplant(
    teacher: Weights, layers: Sequence[Layer], supernet: Weights, scale: Tensor
) -> None:
    """Copy a MobileNetV2's weights into the largest network of a mobile space.

    Args:
        teacher: State dictionary of MMPretrain's MobileNetV2.
        layers: The largest network's, from the stem to the end of its body.
        supernet: Its state dictionary, which is written to.
        scale: (3,) factors of the colours, as the two networks may scale images
            differently. What they add is left to BatchNorm.
    """
    stem, first = layers[0].path, layers[1].path
    source = 'layer1.0.conv'
    kept = _importance(teacher[f'{source}.1.conv.weight'])
    kept = kept[: len(supernet[f'{stem}.bn.weight'])]
    _conv(supernet, stem, teacher, 'conv1', kept)
    supernet[f'{stem}.conv.weight'].mul_(scale[:, None, None])
    _conv(supernet, f'{first}.conv.depth_conv', teacher, f'{source}.0', kept)
    _conv(supernet, f'{first}.conv.point_linear', teacher, f'{source}.1', into=kept)
    blocks: dict[int | None, int] = {}
    for layer in layers[2:]:
        if layer.kind is MobileBlock:
            number = blocks.setdefault(layer.stage, 0)
            blocks[layer.stage] += 1
            # The stem is feature 0, whose block is MobileNetV2's layer1.
            stage = 1 + (layer.stage or 0)
            _block(supernet, layer.path, teacher, f'layer{stage}.{number}.conv')
    last = layers[-1].path
    if (
        supernet[f'{last}.conv.weight'].shape[1]
        >= teacher['conv2.conv.weight'].shape[1]
    ):
        _conv(supernet, last, teacher, 'conv2')


def _block(target: Weights, place: str, source: Weights, origin: str) -> None:
    """Copy an inverted bottleneck, or let one that there is not add nothing."""
    place = f'{place}.conv'
    projection = source.get(f'{origin}.2.conv.weight')
    if projection is None:
        target[f'{place}.point_linear.bn.weight'].zero_()
        return
    kept = _importance(projection)[: len(target[f'{place}.depth_conv.bn.weight'])]
    _conv(target, f'{place}.inverted_bottleneck', source, f'{origin}.0', kept)
    _conv(target, f'{place}.depth_conv', source, f'{origin}.1', kept)
    _conv(target, f'{place}.point_linear', source, f'{origin}.2', into=kept)
    gate = f'{place}.depth_conv.se.fc.expand'
    if f'{gate}.weight' in target:
        target[f'{gate}.weight'].zero_()
        target[f'{gate}.bias'].fill_(_OPEN_GATE)


def _conv(
    target: Weights,
    place: str,
    source: Weights,
    origin: str,
    out: Tensor | None = None,
    into: Tensor | None = None,
) -> None:
    """Copy a convolution and its BatchNorm to the first channels.

    These read no other inputs than those that are copied. ``out`` and ``into`` are
    the channels of the source in their new order; None for all in theirs.
    """
    weight, taken = target[f'{place}.conv.weight'], source[f'{origin}.conv.weight']
    taken = taken if out is None else taken[out]
    taken = taken if into is None else taken[:, into]
    margin = (weight.shape[-1] - taken.shape[-1]) // 2
    side = slice(margin, margin + taken.shape[-1])
    first = slice(len(taken))
    weight[first] = 0
    weight[first, : taken.shape[1], side, side] = taken
    for name in _NORM:
        values = source[f'{origin}.bn.{name}']
        target[f'{place}.bn.{name}'][first] = values if out is None else values[out]


def _importance(projection: Tensor) -> Tensor:
    """Order the inputs of a 1x1 convolution, the one with the largest L1 norm first."""
    return projection.abs().sum(dim=(0, 2, 3)).argsort(descending=True)
