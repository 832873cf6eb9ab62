# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Models and input sizes of configs of MMPretrain, MMPose and MMDetection."""

import difflib
from collections.abc import Collection, Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import nn

from hpml_mm.compat import has_mmpose
from hpml_mm.config.overrides import read_config
from hpml_mm.utils.model import build_model, innermost_dataset

from .detectors import without_teacher

#: Keys by which steps of pipelines say how large the image becomes; a crop says height
#: and width, the others width and height.
_CROPPED, _WIDE_FIRST = 'crop_size', ('input_size', 'scale')
#: Steps whose ``scale`` is a size; of others it may be a factor.
_SCALED = ('RandomResizedCrop', 'Resize', 'EfficientNetRandomCrop')
_PACKAGES = ('mmpretrain', 'mmpose', 'mmdet')
#: Names at most that are offered for one that is not known.
_OFFERED = 5


def find_config(source: str) -> Config:
    """Find a config by path, as ``package::name``, or by a published model's name.

    Args:
        source: ``configs/fer/a.py``, ``mmpose::path/to/a.py``, or what one of the
            packages calls a model, such as ``resnet18_8xb32_in1k``.

    Raises:
        FileNotFoundError: There is none of that path or name; the message names
            similar ones.
        ValueError: It cannot be read as a config, or several have that name; the
            message names them.
    """
    if '::' in source or source.endswith('.py'):
        return read_config(source)
    known = _config_files()
    if len(known.get(source, ())) > 1:
        raise ValueError(
            f'{source!r} is the name of {len(known[source])} configs: write one of '
            f'{", ".join(known[source])}'
        )
    if source in known:
        (place,) = known[source].values()
        return read_config(str(place))
    from mmpretrain.apis import ModelHub, list_models

    # ModelHub.has knows nothing until they have been listed.
    published = list_models()
    if source.lower() in published:
        return ModelHub.get(source).config
    near = _near(source, {*known, *published})
    hint = f'; did you mean {" or ".join(near)}?' if near else ''
    raise FileNotFoundError(
        f'{source!r} is no arch, no ONNX file, no config file, and no model of '
        f'{", ".join(_PACKAGES[:-1])} or {_PACKAGES[-1]}{hint}'
    )


def _config_files() -> dict[str, dict[str, Path]]:
    """Find the configs of installed packages, by name and by ``package::path``."""
    found: dict[str, dict[str, Path]] = {}
    for package in _PACKAGES:
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            root = Path(folder, '.mim', 'configs')
            for path in sorted(root.rglob('*.py')):
                if '_base_' not in path.parts:
                    full = f'{package}::{path.relative_to(root).as_posix()}'
                    found.setdefault(path.stem, {})[full] = path
    return found


def _near(source: str, names: Collection[str]) -> list[str]:
    """Names that start with a text, then those that hold it; else the most similar."""
    text = source.lower()
    holding = [name for name in names if text and text in name.lower()]
    holding.sort(key=lambda name: (not name.lower().startswith(text), name))
    return holding[:_OFFERED] or difflib.get_close_matches(source, names, n=1)


def config_model(cfg: Config, name: str) -> nn.Module:
    """Build a config's model with random weights.

    Args:
        cfg: Config with a ``model``.
        name: Name for error messages.

    Raises:
        ValueError: It has no model, or the model cannot be built.
    """
    if 'model' not in cfg:
        raise ValueError(f'{name} has no model')
    if has_mmpose():
        import mmpose.models  # noqa: F401  # registers its models
    try:
        return build_model(without_teacher(cfg))
    except Exception as error:  # a model is others' code: any may come
        reason = f'{type(error).__name__}: {error}'
        raise ValueError(f'cannot build the model of {name}: {reason}') from error


def input_shape(
    cfg: Config, model: nn.Module, name: str, size: tuple[int, int] | None
) -> tuple[int, int, int]:
    """Find channels, height and width of the images that a model is made for.

    Args:
        cfg: Its config.
        model: The model; its first convolution tells whether images are grey.
        name: Name for error messages.
        size: Height and width instead of the config's.

    Raises:
        ValueError: The config does not tell a size, and none is given.
    """
    found = size or _size(cfg)
    if found is None:
        raise ValueError(
            f'{name} does not tell the size of its images: give --input-size HxW'
        )
    if size is None:
        side = _preprocessor(cfg).get('pad_size_divisor', 1)
        found = found[0] + -found[0] % side, found[1] + -found[1] % side
    return _channels(cfg, model), *found


def _channels(cfg: Config, model: nn.Module) -> int:
    convolutions = (m for m in model.modules() if isinstance(m, nn.Conv2d))
    first = next(convolutions, None)
    found = 3 if first is None else first.in_channels
    if found in (1, 3):
        return found
    # More of them may be pixels that a stem has stacked, as YOLO's does.
    mean = _preprocessor(cfg).get('mean')
    if isinstance(mean, list | tuple):
        return len(mean)
    stacked = any(type(m).__name__ == 'Focus' for m in model.modules())
    return found // 4 if stacked else found


def _preprocessor(cfg: Config) -> dict[str, Any]:
    inner = cfg.model.get('data_preprocessor') or {}
    return {**(cfg.get('data_preprocessor') or {}), **inner}


def _size(cfg: Config) -> tuple[int, int] | None:
    """Height and width of the last step of a pipeline that has one, or of the codec.

    The test pipeline comes first, before the codec: a config that inherits both may
    change the pipeline alone. But it may take images as they are. Without any, a
    transformer's backbone may tell.
    """
    first, *others = (_pipeline_size(cfg, name) for name in ('test', 'val', 'train'))
    codec = cfg.get('codec')
    size = codec.get('input_size') if isinstance(codec, Mapping) else None
    backbone = _two_sides((cfg.model.get('backbone') or {}).get('img_size'))
    found = (first, size and _two_sides(size[::-1]), *others, backbone)
    return next(filter(None, found), None)


def _pipeline_size(cfg: Config, name: str) -> tuple[int, int] | None:
    data = (cfg.get(f'{name}_dataloader') or {}).get('dataset') or {}
    data = innermost_dataset(data, 'pipeline')
    sizes = list(filter(None, map(_step_size, _steps(data.get('pipeline')))))
    return sizes[-1] if sizes else None


def _steps(part: Any) -> Iterator[Mapping[str, Any]]:
    """The steps of a pipeline, those within others too."""
    if isinstance(part, Mapping):
        yield part
        part = part.get('transforms')
    if isinstance(part, list | tuple):
        for step in part:
            yield from _steps(step)


def _step_size(step: Mapping[str, Any]) -> tuple[int, int] | None:
    kind = str(step.get('type')).split('.')[-1]
    if _CROPPED in step:
        return _two_sides(step[_CROPPED])
    for key in _WIDE_FIRST:
        if key in step and (key != 'scale' or kind in _SCALED):
            sides = _two_sides(step[key])
            return sides and sides[::-1]
    return None


def _two_sides(size: Any) -> tuple[int, int] | None:
    if isinstance(size, int):
        return size, size
    whole = isinstance(size, list | tuple) and all(isinstance(s, int) for s in size)
    return tuple(size) if whole and len(size) == 2 else None
