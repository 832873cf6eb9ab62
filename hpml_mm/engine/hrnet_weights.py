# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Checkpoints of the original HRNet code in MMPose's model.

The original (leoxiaobin/deep-high-resolution-net.pytorch for poses,
HRNet/HRNet-Image-Classification for ImageNet) and MMPose give every layer of the
network the same name. The original is one module; in MMPose the network is ``backbone``
and the 1x1 convolution that makes the heatmaps is the head's. So ``stage2.0...``
becomes ``backbone.stage2.0...``, and ``final_layer.bias`` ``head.final_layer.bias``.

ImageNet's networks end in other layers, among them a ``final_layer`` with numbers
(``final_layer.0.weight``). They belong to classification and are left over.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch

from hpml_mm.utils.messages import listed

# What all of them have, of any width, and no other network of MMPose.
_MARKS = {
    'conv1.weight',
    'layer1.0.conv1.weight',
    'transition1.0.0.weight',
    'stage4.0.branches.3.0.conv1.weight',
}
_NETWORK = re.compile(r'(conv[12]|bn[12]|layer1|transition[123]|stage[234])\.')
_HEATMAPS = re.compile(r'final_layer\.(weight|bias)')
# Batches that BatchNorm has seen: no weight, and files of old PyTorch lack it.
_COUNTER = 'num_batches_tracked'

Shape = tuple[int, ...]


@dataclass(frozen=True)
class HRNetReport:
    """Weights of a checkpoint that were taken, missing, left over or misshapen.

    Attributes:
        matched: Weights of the model that the checkpoint holds.
        missing: Those that it does not hold; they stay as they were drawn.
        unused: Weights of the checkpoint, by its own names, without a place.
        other_shape: Weights of the model that have another shape in the checkpoint:
            the checkpoint's shape and the model's. They stay as they were drawn.
    """

    matched: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    other_shape: Mapping[str, tuple[Shape, Shape]]

    def text(self) -> str:
        """The report as lines for a log; the first one holds the counts."""
        wanted = len(self.matched) + len(self.missing) + len(self.other_shape)
        lines = [
            f'a checkpoint of the original HRNet code: {len(self.matched)} of the '
            f"model's {wanted} weights taken, {len(self.missing)} missing, "
            f'{len(self.other_shape)} of another shape; {len(self.unused)} of the '
            "checkpoint's left over"
        ]
        if self.missing:
            lines.append(f'missing, as drawn: {listed(self.missing)}')
        for name, (given, own) in self.other_shape.items():
            lines.append(f'other shape, as drawn: {name} is {own}, not {given}')
        if self.unused:
            lines.append(f'left over: {listed(self.unused)}')
        return '\n'.join(lines)


def is_original_hrnet(names: Collection[str]) -> bool:
    """Return whether weights are named as by the original code.

    Args:
        names: Names of a state dict, without ``module.``.
    """
    return set(names) >= _MARKS


def rename_hrnet(
    state: Mapping[str, torch.Tensor],
    wanted: Mapping[str, torch.Tensor],
    source: str,
) -> tuple[dict[str, torch.Tensor], HRNetReport]:
    """Name the original's weights as MMPose does, and keep those that fit.

    A last layer for another number of keypoints is left out.

    Args:
        state: Weights for which :func:`is_original_hrnet` holds.
        wanted: State dict of the model.
        source: File, for errors.

    Returns:
        The weights that fit, and what became of all.

    Raises:
        ValueError: If the model's backbone is no HRNet, or one of another width.
    """
    if not is_original_hrnet(_without_prefix(wanted)):
        raise ValueError(
            f'{source} is a checkpoint of the original HRNet code, and the backbone of '
            "this model is no HRNet: choose a config whose backbone is MMPose's HRNet"
        )
    fitting, unused, other_shape = {}, [], {}
    for name, weight in state.items():
        target = _target_of(name)
        if target is None or target not in wanted:
            unused.append(name)
        elif weight.shape == wanted[target].shape:
            fitting[target] = weight
        else:
            other_shape[target] = tuple(weight.shape), tuple(wanted[target].shape)
    for name, (given, own) in other_shape.items():
        if name.startswith('backbone.'):
            raise ValueError(
                f'{source} is an HRNet of another width or depth: {name} has the shape '
                f"{given}, the model's {own}; choose the config that fits the file"
            )
    report = HRNetReport(
        matched=_weights(fitting),
        missing=_weights(wanted.keys() - fitting.keys() - other_shape.keys()),
        unused=_weights(unused),
        other_shape=other_shape,
    )
    return fitting, report


def _target_of(name: str) -> str | None:
    """MMPose's name of one of the original's weights; None if there is none."""
    if _NETWORK.match(name):
        return f'backbone.{name}'
    return f'head.{name}' if _HEATMAPS.fullmatch(name) else None


def _without_prefix(names: Collection[str]) -> set[str]:
    return {n.removeprefix('backbone.') for n in names if n.startswith('backbone.')}


def _weights(names: Collection[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if not name.endswith(_COUNTER)))
