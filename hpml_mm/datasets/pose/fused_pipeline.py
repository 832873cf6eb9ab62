# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A stock top-down pipeline in the words of this project's faster transforms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: MMPose's steps that one warp does, in the order of its chain, and the argument of
#: ``FusedTopdownWarp`` that takes each one's settings.
_WARPED = {
    'GetBBoxCenterScale': None,
    'RandomFlip': 'flip',
    'RandomHalfBody': 'half_body',
    'RandomBBoxTransform': 'bbox_transform',
    'TopdownAffine': None,
}


@dataclass(frozen=True)
class FusedPipeline:
    """A pipeline for ``PoseTargetPreprocessor``.

    Attributes:
        steps: Configs of the transforms.
        encoder: Codec of the targets, which the preprocessor makes; None where the
            pipeline made none.
    """

    steps: list[dict[str, Any]]
    encoder: dict[str, Any] | None


def fuse_pipeline(
    steps: Sequence[Mapping[str, Any]], memory_gib: float
) -> FusedPipeline:
    """Rewrite a pipeline of MMPose's transforms; the same random state gives the same.

    Args:
        steps: Configs of ``LoadImage``, ``GetBBoxCenterScale``, then any of
            ``RandomFlip``, ``RandomHalfBody`` and ``RandomBBoxTransform`` in this
            order, ``TopdownAffine``, ``GenerateTarget`` if there are targets, and
            ``PackPoseInputs``. ``PhotometricDistortion`` may stand anywhere before
            the affine; other than as the first it draws other numbers of the same
            distribution.
        memory_gib: See ``LoadCachedImage``.

    Raises:
        ValueError: For another step, order or setting; it names it.
    """
    rest = [(_name(step), _settings(step)) for step in steps]
    _take(rest, 'LoadImage', allowed=())
    pack = _take(rest, 'PackPoseInputs', allowed=('meta_keys',), at=-1)
    encoder = None
    if rest and rest[-1][0] == 'GenerateTarget':
        encoder = _take(rest, 'GenerateTarget', allowed=('encoder',), at=-1)['encoder']
        if not isinstance(encoder, Mapping):
            raise ValueError('GenerateTarget has several encoders')
        encoder = dict(encoder)
    warp = _warp(rest)
    return FusedPipeline(
        [
            {'type': 'hpml_mm.LoadCachedImage', 'memory_gib': memory_gib},
            warp,
            {'type': 'hpml_mm.PackKeypoints', **pack},
        ],
        encoder,
    )


def _warp(rest: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    warp: dict[str, Any] = {'type': 'hpml_mm.FusedTopdownWarp'}
    order = list(_WARPED)
    found = [name for name, _ in rest if name != 'PhotometricDistortion']
    if [name for name in order if name in found] != found:
        strange = [name for name in found if name not in order]
        raise ValueError(
            f'{", ".join(strange)} is none of the steps that can be one warp'
            if strange
            else f'{", ".join(found)} are not in the order {", ".join(order)}'
        )
    if not found or found[0] != order[0] or rest[-1][0] != order[-1]:
        raise ValueError(f'it does not go from {order[0]} to {order[-1]}')
    for name, settings in rest:
        if name == 'PhotometricDistortion':
            if 'photometric' in warp:
                raise ValueError('PhotometricDistortion is there twice')
            warp['photometric'] = settings
        elif _WARPED[name]:
            warp[_WARPED[name]] = settings
        else:
            warp |= settings
    if (
        not {'input_size'}
        <= warp.keys()
        <= {
            *('type', 'input_size', 'use_udp', 'padding', 'photometric'),
            *filter(None, _WARPED.values()),
        }
    ):
        raise ValueError(f'{order[0]} or {order[-1]} has settings of another kind')
    return warp


def _take(
    rest: list[tuple[str, dict[str, Any]]],
    name: str,
    allowed: Sequence[str],
    at: int = 0,
) -> dict[str, Any]:
    """Take a step off an end; its settings."""
    if not rest or rest[at][0] != name:
        end = 'last' if at else 'first'
        raise ValueError(
            f'its {end} step is {rest[at][0] if rest else "-"}, not {name}'
        )
    settings = rest.pop(at)[1]
    other = [key for key in settings if key not in allowed]
    if other:
        raise ValueError(f'{name} has {", ".join(other)}')
    return settings


def _name(step: Mapping[str, Any]) -> str:
    return str(step['type']).removeprefix('mmpose.')


def _settings(step: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in step.items() if key != 'type'}
