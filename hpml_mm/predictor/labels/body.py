# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Architecture of a search space in the place of a config's backbone."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from hpml_mm.predictor.graphs.tracing.modules import evaluating
from hpml_mm.predictor.graphs.tracing.trace import uninitialised
from hpml_mm.predictor.spaces import Arch, SearchSpace
from hpml_mm.predictor.spaces.chain import layer_graph
from hpml_mm.predictor.stock.config_model import config_model, input_shape
from hpml_mm.utils.messages import listed

_CHANNELS = 'in_channels'
# Sides in pixels of images that features are measured with are multiples of it.
_STRIDE = 64


@dataclasses.dataclass(frozen=True)
class Features:
    """Feature maps that a body hands on, from the largest to the smallest.

    Attributes:
        channels: Of each.
        strides: Of each: side of the image over that of the feature map.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]


def features_of_config(cfg: Config, name: str) -> Features:
    """Find the feature maps of a config's own backbone, by an empty image.

    Args:
        cfg: Config of MMPretrain, MMPose or MMDetection.
        name: Name for error messages.

    Raises:
        ValueError: It has no backbone, or one of another kind.
    """
    if not (cfg.get('model') or {}).get('backbone'):
        raise ValueError(
            f'{name} has no model.backbone, in whose place a body could be put'
        )
    with uninitialised():
        model: Any = config_model(cfg, name)
    channels, *sides = input_shape(cfg, model, name, None)
    if channels != 3:
        raise ValueError(
            f'{name}: its images have {channels} channel, and bodies of search spaces '
            'take 3: load them in colour'
        )
    whole = [side + -side % _STRIDE for side in sides]
    try:
        try:
            found = _features(model.backbone, whole)
        except Exception:  # a transformer takes images of its own size alone
            found = _features(model.backbone, sides)
    except Exception as error:  # others' code: any may come
        reason = f'{type(error).__name__}: {error}'
        raise ValueError(
            f'{name}: its backbone {cfg.model.backbone.type} cannot take an image of '
            f'{sides[0]}x{sides[1]} pixels: {reason}'
        ) from error
    if found is None:
        raise ValueError(
            f'{name}: its backbone {cfg.model.backbone.type} gives no feature maps '
            '(N, C, H, W)'
        )
    return found


def body_of(
    space: SearchSpace, arch: str, wanted: Features, supernet: str | None = None
) -> tuple[ConfigDict, Features]:
    """Write the config of a body with feature maps of some strides.

    Of several with one stride it gives the last.

    Args:
        space: A search space.
        arch: Architecture in it.
        wanted: Those of the backbone that it replaces.
        supernet: Checkpoint that its weights are cut out of.

    Returns:
        The config, and its feature maps.

    Raises:
        ValueError: It has no feature map of a stride.
    """
    known = _stages(space, space.decode(arch))
    last = {stride: index for index, stride in enumerate(known.strides)}
    lacking = [stride for stride in wanted.strides if stride not in last]
    if lacking or len(set(wanted.strides)) < len(wanted.strides):
        raise ValueError(
            f'{space.name}:{arch} has feature maps of the strides '
            f'{listed(sorted(last))}, each once; {listed(wanted.strides)} are needed'
        )
    indices = sorted(last[stride] for stride in wanted.strides)
    body = ConfigDict(
        type='hpml_mm.OFANet', space=space.name, arch=arch, out_indices=indices
    )
    if supernet is not None:
        body.supernet = supernet
    channels = tuple(known.channels[index] for index in indices)
    return body, Features(channels, wanted.strides)


def swap_body(
    cfg: Config, body: ConfigDict, old: Features, new: Features, name: str
) -> None:
    """Put a body into the place of a config's backbone.

    The neck, or without one that counts channels the heads, take the new channels.
    Weights that the config would load are left out: they are of the other backbone.

    Args:
        cfg: Config, changed in place.
        body: Config of the body.
        old: Feature maps of the backbone that it replaces.
        new: Those of the body.
        name: Name for error messages.

    Raises:
        ValueError: Neither neck nor head has a place for the number of channels.
    """
    model = cfg.model
    readers = _readers(model)
    fitting = [part for _, part in readers if _reads(part[_CHANNELS], old)]
    if not fitting:
        given = old.channels if len(old.channels) > 1 else old.channels[-1]
        told = [f'{key}.{_CHANNELS}={part[_CHANNELS]}' for key, part in readers]
        raise ValueError(
            f'{name}: no neck or head has in_channels={given}, what its backbone '
            f'gives, in whose place those of a body could be set; it has '
            f'{listed(told) or "no in_channels"}'
        )
    for part in fitting:
        whole = isinstance(part[_CHANNELS], Sequence)
        part[_CHANNELS] = list(new.channels) if whole else new.channels[-1]
    model.backbone = body
    for place, key in ((model, 'pretrained'), (model, 'init_cfg'), (cfg, 'load_from')):
        if place.get(key) is not None:
            place[key] = None


def _readers(model: Mapping) -> list[tuple[str, Any]]:
    """Parts that read the backbone's feature maps and count their channels."""
    others = ('backbone', 'data_preprocessor', 'train_cfg', 'test_cfg')
    found = [
        (key, part)
        for key, value in model.items()
        if key not in others
        for part in _parts(value)
        if part.get(_CHANNELS) is not None
    ]
    necks = [(key, part) for key, part in found if key == 'neck'][:1]
    return necks or found


def _parts(value: Any) -> Iterator[Any]:
    """A part of a model, or each of a list of them."""
    for part in value if isinstance(value, list | tuple) else [value]:
        if isinstance(part, Mapping):
            yield part


def _reads(channels: Any, features: Features) -> bool:
    """True for the number of channels of the last feature map, or of each."""
    if isinstance(channels, Sequence):
        return list(channels) == list(features.channels)
    return bool(channels == features.channels[-1])


def _features(backbone: nn.Module, size: Sequence[int]) -> Features | None:
    """Channels and strides for an empty image; None without feature maps."""
    device = next(backbone.parameters()).device
    fake = FakeTensorMode(allow_non_fake_inputs=True)  # it computes shapes alone
    with fake, torch.no_grad(), evaluating(backbone):
        found = backbone(torch.zeros(1, 3, *size, device=device))
    maps = [found] if isinstance(found, Tensor) else list(found)
    if not all(isinstance(one, Tensor) and one.dim() == 4 for one in maps):
        return None
    strides = tuple(round(size[0] / one.shape[2]) for one in maps)
    return Features(tuple(one.shape[1] for one in maps), strides)


def _stages(space: SearchSpace, arch: Arch) -> Features:
    """Feature maps at the ends of a network's stages."""
    side = 2 * _STRIDE
    shape = 3, side, side
    ends: dict[int, tuple[int, ...]] = {}
    for layer in space.layers(arch, space.num_classes):
        if layer.stage is None:
            break
        if layer.kind is not nn.Identity:
            last = layer_graph(layer.kind, layer.args, shape).resolutions[-1]
            _, height, _, width, _, channels = last.tolist()
            shape = channels, height, width
        ends[layer.stage] = shape
    channels, heights, _ = zip(*ends.values(), strict=True) if ends else ((), (), ())
    return Features(channels, tuple(side // height for height in heights))
