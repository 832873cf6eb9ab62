# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Description of a model, stored in its file, by which it runs on images."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

from hpml_mm.utils.messages import shortened, shown
from hpml_mm.utils.text_file import parse_json

from .steps import KNOWN_STEPS, plain_type

#: Under this key the files carry the description.
METADATA_KEY = 'hpml_mm'
COLORS = ('grey', 'rgb', 'bgr')
OUTPUTS = ('heatmap', 'simcc', 'coordinates')
VERSION = 1


@dataclasses.dataclass(frozen=True)
class PoseSpec:
    """Settings by which a top-down pose network's outputs are decoded into keypoints.

    Attributes:
        output: ``'heatmap'`` (N, K, h, w); ``'simcc'``, two of (N, K, bins); or
            ``'coordinates'``, (N, K, 2) as parts of the input's width and height.
        codec: Config of MMPose's codec that decodes it.
        test_cfg: The model's settings of a test, such as ``flip_test``.
        padding: Side of the crop that the network sees, in sides of the box.
        flip_indices: For each keypoint the one that it becomes in a mirror.
        skeleton: Pairs of keypoints that a drawing joins.
        keypoint_colors: RGB of each keypoint, from 0 to 255.
        skeleton_colors: RGB of each pair.
    """

    output: str
    codec: dict[str, Any]
    test_cfg: dict[str, Any]
    padding: float
    flip_indices: tuple[int, ...]
    skeleton: tuple[tuple[int, int], ...]
    keypoint_colors: tuple[tuple[int, int, int], ...]
    skeleton_colors: tuple[tuple[int, int, int], ...]

    @property
    def metainfo(self) -> dict[str, Any]:
        """Metainfo for transforms, heads and drawings, under MMPose's names."""
        return {
            'flip_indices': list(self.flip_indices),
            'skeleton_links': [tuple(pair) for pair in self.skeleton],
            'skeleton_link_colors': [list(color) for color in self.skeleton_colors],
            'keypoint_colors': [list(color) for color in self.keypoint_colors],
        }


@dataclasses.dataclass(frozen=True)
class DeploySpec:
    """Description of a network: kind, classes, input, steps, and decoding.

    An input is made of an image by the steps of ``pipeline``; then its channels are
    brought into the order ``color``, ``mean`` is subtracted and ``std`` divides.

    Attributes:
        task: ``'classify'`` or ``'pose'``.
        names: Names of the classes or the keypoints, in order.
        input_size: Width and height of the network's input.
        channels: Number of input channels.
        mean: Mean of each channel, in levels from 0 to 255.
        std: Likewise.
        color: ``'grey'``, ``'rgb'`` or ``'bgr'``: the channels as the network sees
            them.
        pipeline: Configs of transforms, see
            :data:`~hpml_mm.deploy.steps.KNOWN_STEPS`. They give BGR or grey levels.
        pose: Only for a pose.

    Raises:
        ValueError: If a value is impossible; it names the key.
    """

    task: str
    names: tuple[str, ...]
    input_size: tuple[int, int]
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    color: str
    pipeline: tuple[dict[str, Any], ...]
    pose: PoseSpec | None = None

    def __post_init__(self) -> None:
        _check(self)

    def to_json(self) -> str:
        """One line of JSON, which :meth:`from_json` reads."""
        content = {'version': VERSION, **dataclasses.asdict(self)}
        return json.dumps(content, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, source: str) -> 'DeploySpec':
        """Read what :meth:`to_json` wrote.

        Args:
            text: JSON.
            source: Place of it, for errors.

        Raises:
            ValueError: If it is not such a description; it names source and key.
        """
        try:
            content = parse_json(text, 'the description')
            version = (
                content.pop('version', None) if isinstance(content, dict) else None
            )
            if version != VERSION:
                raise ValueError(
                    f'version of the description is {shown(version)}, not {VERSION}'
                )
            pose = content.pop('pose', None)
            spec = _fields(cls, content, optional=('pose',))
            if pose is not None:
                spec['pose'] = PoseSpec(**_fields(PoseSpec, pose, place='pose.'))
            return cls(**spec)
        except ValueError as error:
            raise ValueError(f'{source}: {error}') from error


def _fields(
    kind: type, content: Any, place: str = '', optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The fields of a dataclass, lists as tuples; no more and no fewer."""
    if not isinstance(content, Mapping):
        raise ValueError(f'{place.rstrip(".")} of the description is not an object')
    names = {field.name for field in dataclasses.fields(kind)} - set(optional)
    for name in sorted(names - content.keys()):
        raise ValueError(f'the description lacks {place}{name}')
    for name in sorted(content.keys() - names):
        raise ValueError(f'the description has an unknown key {place}{shortened(name)}')
    return {name: _frozen(value) for name, value in content.items()}


def _frozen(value: Any) -> Any:
    """Lists as tuples; within a dict, which is a config, they stay."""
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    return value


def _check(spec: DeploySpec) -> None:
    _require(spec.task in KNOWN_STEPS, 'task', spec.task, 'classify or pose')
    names = _items(spec.names)
    texts = names and all(isinstance(name, str) for name in names)
    _require(texts, 'names', spec.names, 'a list of names')
    size = _numbers(spec.input_size, 2, int) and min(spec.input_size) > 0
    _require(size, 'input_size', spec.input_size, 'width and height')
    _require(spec.channels in (1, 3), 'channels', spec.channels, '1 or 3')
    wanted = f'{spec.channels} numbers'
    _require(_numbers(spec.mean, spec.channels), 'mean', spec.mean, wanted)
    positive = _numbers(spec.std, spec.channels) and min(spec.std) > 0
    _require(positive, 'std', spec.std, f'{wanted} above 0')
    colors = COLORS[:1] if spec.channels == 1 else COLORS
    _require(spec.color in colors, 'color', spec.color, f'one of {", ".join(colors)}')
    check_steps(spec.task, spec.pipeline)
    pose = spec.pose is not None
    _require(pose == (spec.task == 'pose'), 'pose', spec.pose, 'there for a pose only')
    if spec.pose is not None:
        _check_pose(spec.pose, len(spec.names))


def check_steps(task: str, steps: tuple[Mapping[str, Any], ...]) -> None:
    """Refuse transforms that a file must not name.

    Raises:
        ValueError: It names the place, and the steps that are known.
    """
    known = KNOWN_STEPS[task]
    _require(_items(steps), 'pipeline', steps, 'a list of steps')
    for index, step in enumerate(steps):
        named = isinstance(step, Mapping) and 'type' in step
        kind = plain_type(step) if named else step
        _require(
            kind in known, f'pipeline[{index}]', kind, f'one of {", ".join(known)}'
        )


def _check_pose(pose: PoseSpec, count: int) -> None:
    def require(right: Any, key: str, wanted: str) -> None:
        _require(right, f'pose.{key}', getattr(pose, key), wanted)

    require(pose.output in OUTPUTS, 'output', f'one of {OUTPUTS}')
    codec = pose.codec.get('type') if isinstance(pose.codec, Mapping) else None
    # A dotted name would be imported.
    short = isinstance(codec, str) and codec.isidentifier()
    require(short, 'codec', 'the config of a codec of MMPose')
    require(isinstance(pose.test_cfg, Mapping), 'test_cfg', 'an object')
    padding = _numbers((pose.padding,), 1) and pose.padding > 0
    require(padding, 'padding', 'a number above 0')
    flips = _numbers(pose.flip_indices, count, int)
    flips = flips and sorted(pose.flip_indices) == list(range(count))
    require(flips, 'flip_indices', f'the numbers 0 to {count - 1} in an order')
    pairs = all(
        _numbers(pair, 2, int) and min(pair) >= 0 and max(pair) < count
        for pair in _items(pose.skeleton)
    )
    require(pairs, 'skeleton', 'pairs of keypoints')
    lengths = {'keypoint_colors': count, 'skeleton_colors': len(pose.skeleton)}
    for key, length in lengths.items():
        colors = _items(getattr(pose, key))
        right = len(colors) == length and all(_numbers(one, 3, int) for one in colors)
        require(right, key, f'{length} RGB colours')


def _require(right: Any, key: str, value: Any, wanted: str) -> None:
    if not right:
        raise ValueError(f'the description has {key} = {shown(value)}, not {wanted}')


def _items(value: Any) -> tuple:
    return value if isinstance(value, tuple) else ()


def _numbers(value: Any, count: int, kind: Any = int | float) -> bool:
    """True for a tuple of ``count`` finite numbers."""
    return (
        isinstance(value, tuple)
        and len(value) == count
        and all(
            isinstance(one, kind) and not isinstance(one, bool) and math.isfinite(one)
            for one in value
        )
    )
