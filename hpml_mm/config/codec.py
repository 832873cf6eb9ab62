# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""One input size for a pose model, in codec, head and all transforms.

MMPose copies the variable ``codec`` into the head's decoder, the encoders of the
pipelines and ``TopdownAffine`` while a config is read. An override of one copy leaves
the others as they were, and the run trains at the old size without a word.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config

#: What an encoder must share with the decoder, and what the variable must. Other
#: settings may differ, such as a target's sigma; associative embedding decodes
#: larger heatmaps than its variable says.
ENCODER_KEYS = ('type', 'input_size', 'heatmap_size')
VARIABLE_KEYS = ('type', 'input_size')
#: The transforms that cut an image to the size of the network's input.
AFFINES = ('TopdownAffine', 'hpml_mm.FusedTopdownWarp')
#: Codecs that put a Gaussian, cut off, into the heatmap.
_PATCHED = ('MSRAHeatmap', 'UDPHeatmap', 'AssociativeEmbedding')
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def rebind_codec(cfg: Config, options: Mapping[str, Any]) -> dict[str, Any]:
    """Copy an override of ``codec`` to every place that holds the codec.

    Args:
        cfg: The config as its file has it, changed in place.
        options: Overrides by dotted key.

    Returns:
        The overrides that remain to be made: those of ``codec`` are done.

    Raises:
        ValueError: For a key that the codec has not got, a size that is none, and a
            size of input or heatmap that the network cannot have: it fixes their
            ratio, and takes multiples of 32 where the file's size is one.
    """
    prefix = 'codec.'
    mine = {k[len(prefix) :]: v for k, v in options.items() if k.startswith(prefix)}
    old = cfg.get('codec')
    if not mine or not isinstance(old, Mapping):
        return dict(options)
    old = dict(old)
    for key, value in mine.items():
        if key not in old:
            known = ', '.join(sorted(old))
            raise ValueError(
                f'--cfg-options codec.{key}={value}: the codec has no {key!r}; '
                f'it has {known}'
            )
        if key in ('input_size', 'heatmap_size'):
            mine[key] = _two_sides(key, value)
    new = {**old, **mine}
    _same_stride(old, new)
    _replace(cfg._cfg_dict, old, new)
    return {k: v for k, v in options.items() if not k.startswith(prefix)}


def codec_problems(cfg: Config) -> list[str]:
    """Find the places whose size differs from that of the head's decoder.

    Codecs without one size (several of them, or none) are left alone.
    """
    model = cfg.get('model') or {}
    head = model.get('head') if isinstance(model, Mapping) else None
    decoder = head.get('decoder') if isinstance(head, Mapping) else None
    if not isinstance(decoder, Mapping) or 'input_size' not in decoder:
        return []
    places: list[tuple[str, Mapping, tuple[str, ...]]] = []
    if isinstance(cfg.get('codec'), Mapping):
        places.append(('codec', cfg.codec, VARIABLE_KEYS))
    preprocessor = model.get('data_preprocessor') or {}
    if isinstance(preprocessor.get('encoder'), Mapping):
        place = 'model.data_preprocessor.encoder'
        places.append((place, preprocessor['encoder'], ENCODER_KEYS))
    for loader in LOADERS:
        found = _encoders(cfg.get(loader), loader)
        places += [(place, codec, ENCODER_KEYS) for place, codec in found]
    problems = []
    for place, codec, keys in places:
        for key in keys:
            if key in codec and not _equal(codec[key], decoder.get(key)):
                problems.append(
                    f'{place}.{key} is {codec[key]!r}, but model.head.decoder.{key} '
                    f'is {decoder.get(key)!r}; change both, or codec.{key} alone, '
                    'which reaches all of them'
                )
    return problems


def shifted_peaks(cfg: Config) -> str | None:
    """Find a sigma for which MMPose's heatmaps peak beside their keypoints.

    MMPose cuts a Gaussian off at three sigmas, and rounds that number of cells in two
    ways: the patch comes to lie a cell beside its place, within the heatmap or at its
    left and upper edge.

    Returns:
        One line with the nearest sigmas that shift nothing, or None.
    """
    places = {
        'codec': cfg.get('codec'),
        **{
            f'model.{part}.{key}': inner[key]
            for part, key in (('head', 'decoder'), ('data_preprocessor', 'encoder'))
            if isinstance(inner := (cfg.get('model') or {}).get(part), Mapping)
            and key in inner
        },
        **dict(_encoders(cfg.get('train_dataloader'), 'train_dataloader')),
    }
    several = [
        (place, codec)
        for place, value in places.items()
        for codec in (value if isinstance(value, list) else [value])
    ]
    for place, codec in several:
        if not isinstance(codec, Mapping):
            continue
        if str(codec.get('type')).rpartition('.')[2] not in _PATCHED:
            continue
        sigma = codec.get('sigma')
        if not isinstance(sigma, int | float) or codec.get('unbiased'):
            continue
        if (cells := 3 * sigma) % 1 > 0:
            low, high = int(cells) / 3, (int(cells) + 1) / 3
            return (
                f'{place}.sigma={sigma}: some heatmaps peak a cell beside their '
                'keypoint, as three sigmas are no whole number of cells; '
                f'nearest that are: {f"{low!r}, " if low else ""}{high!r}'
            )
    return None


def _encoders(part: Any, place: str) -> Iterator[tuple[str, Mapping]]:
    """Transforms of a loader that have a size, as codecs, with their places."""
    if isinstance(part, Mapping):
        if part.get('type') in AFFINES:
            yield place, {'input_size': part.get('input_size')}
        encoder = part.get('encoder')
        if part.get('type') == 'GenerateTarget' and isinstance(encoder, Mapping):
            yield f'{place}.encoder', encoder
        for key, value in part.items():
            yield from _encoders(value, f'{place}.{key}')
    elif isinstance(part, list | tuple):
        for index, value in enumerate(part):
            yield from _encoders(value, f'{place}.{index}')


def _two_sides(key: str, value: Any) -> tuple[int, int]:
    sides = tuple(value) if isinstance(value, list | tuple) else ()
    if len(sides) != 2 or not all(isinstance(s, int) and s > 0 for s in sides):
        raise ValueError(
            f'--cfg-options codec.{key}={value}: give width and height in pixels, as '
            f'in codec.{key}=192,256'
        )
    return sides


def _same_stride(old: Mapping, new: Mapping) -> None:
    # The deepest features of these networks are a 32nd as wide, rounded up: another
    # size would give heatmaps that are larger than the codec says.
    odd = [size % 32 for size in new['input_size']]
    if any(odd) and not any(size % 32 for size in old['input_size']):
        raise ValueError(
            f'codec.input_size={new["input_size"]}: take multiples of 32, as in '
            f'{old["input_size"]}'
        )
    if 'heatmap_size' not in old:
        return
    stride, changed = (
        [c['input_size'][axis] / c['heatmap_size'][axis] for axis in (0, 1)]
        for c in (old, new)
    )
    if stride == changed:
        return
    right = ','.join(str(int(new['input_size'][a] / stride[a])) for a in (0, 1))
    raise ValueError(
        f'codec.input_size={new["input_size"]} with codec.heatmap_size='
        f'{new["heatmap_size"]}: this network gives one cell of a heatmap for '
        f'{stride[0]:g} pixels; set codec.heatmap_size={right} too'
    )


def _replace(part: Any, old: dict, new: dict) -> None:
    """Put the new codec in place of the old one, and its size into the affines."""
    values = part.values() if isinstance(part, Mapping) else part
    for value in list(values):
        if isinstance(value, dict) and value == old:
            value.update(new)
        elif isinstance(value, Mapping | list | tuple):
            _replace(value, old, new)
    affine = isinstance(part, Mapping) and part.get('type') in AFFINES
    if affine and _equal(part.get('input_size'), old['input_size']):
        part['input_size'] = new['input_size']


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return list(one) == list(other)
    return one == other
