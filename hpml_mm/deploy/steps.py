# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Steps from an image file to a network's input, from the test pipeline of a config."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DATASETS, DefaultScope

from hpml_mm.datasets.fer.base import BaseFERDataset
from hpml_mm.datasets.fer.csv_dataset import SIDE
from hpml_mm.engine.weights import read_checkpoint
from hpml_mm.utils.model import innermost_dataset

#: The scope of MMEngine in which the steps of a task have their short names.
SCOPES = {'classify': 'mmpretrain', 'pose': 'mmpose'}
#: The steps that a file may ask for. A registry would build any class of any package
#: whose dotted name it reads.
KNOWN_STEPS = {
    'classify': (
        *('LoadImageFromFile', 'hpml_mm.LoadFace', 'ToPIL', 'NumpyToPIL', 'ToNumpy'),
        *('PILToNumpy', 'Resize', 'ResizeEdge', 'CenterCrop', 'torchvision/Resize'),
        *('torchvision/CenterCrop', 'PackInputs'),
    ),
    'pose': ('LoadImage', 'GetBBoxCenterScale', 'TopdownAffine', 'PackPoseInputs'),
}
#: Steps that make only targets, which an image without annotations has not got.
TARGETS = ('GenerateTarget',)


class ImageReader:
    """Turns image files into samples, as the steps say.

    Args:
        steps: Configs of transforms; the first reads ``img_path``.
        scope: MMEngine's scope in which the types of the steps are known.
        metainfo: Goes into every sample, as MMPose's data sets do it.
    """

    def __init__(
        self,
        steps: Sequence[Mapping[str, Any]],
        scope: str | None,
        metainfo: Mapping[str, Any] | None = None,
    ) -> None:
        with DefaultScope.overwrite_default_scope(scope):
            self._pipeline = Compose([_as_tuples(step) for step in steps])
        self._metainfo = dict(metainfo or {})

    def __call__(
        self, path: str | Path, box: Sequence[float] | None = None
    ) -> dict[str, Any]:
        """Read one image.

        Args:
            path: The file.
            box: x1, y1, x2, y2 of the object, for a pose model.

        Returns:
            ``inputs`` and ``data_samples`` of one sample.
        """
        item = {**self._metainfo, 'img_path': str(path)}
        if box is not None:
            item['bbox'] = np.asarray(box, np.float32).reshape(1, 4)
            item['bbox_score'] = np.ones(1, np.float32)
        return self._pipeline(item)


def plain_type(part: Mapping[str, Any]) -> str:
    """Type name without a redundant package prefix."""
    kind = part['type']
    name = kind if isinstance(kind, str) else kind.__name__
    for scope in ('mmpretrain.', 'mmpose.', 'mmcv.', 'mmengine.'):
        name = name.removeprefix(scope)
    return name


def steps_of(cfg: Config) -> tuple[dict[str, Any], ...]:
    """Steps of a config's test pipeline, for images without annotations.

    Those which make only targets are left out. Where nothing resizes the faces of FER
    data, because all of them are of one size, other images are resized to that size:
    this leaves an image of that size as it is.

    Args:
        cfg: With a test or a validation loader, over a data set with a pipeline or
            over :class:`hpml_mm.datasets.FaceArrayDataset`.

    Raises:
        ValueError: If it has no such loader, or the data set has neither.
    """
    data = _test_data(cfg)
    if 'pipeline' in data:
        steps = [as_json(step) for step in data['pipeline']]
        steps = [step for step in steps if plain_type(step) not in TARGETS]
    elif plain_type(data) == 'hpml_mm.FaceArrayDataset':
        steps = _array_steps(data)
    else:
        raise ValueError(
            f'{cfg.filename}: the test data set {data["type"]} has no pipeline: '
            'nothing says how an image becomes an input'
        )
    resized = any('Resize' in plain_type(step) for step in steps)
    if not resized and _is_of_faces(_source(data), cfg):
        steps.insert(1, {'type': 'Resize', 'scale': [SIDE, SIDE]})
    return tuple(steps)


def metainfo_of(cfg: Config, checkpoint: str | None = None) -> dict[str, Any]:
    """Classes or keypoints of a config's test data set.

    A data set of plain folders knows its classes when it has looked at them; then a
    checkpoint tells those it was trained on. The data need not be there. In test mode
    MMPose's data sets announce their file to ``CocoMetric`` when they are built, so
    this one is not in test mode.
    """
    data = {
        key: value
        for key, value in _source(_test_data(cfg)).items()
        if key != 'bbox_file'
    }
    lazy = {**data, 'pipeline': [], 'test_mode': False, 'lazy_init': True}
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        metainfo = dict(DATASETS.build(lazy).metainfo)
    named = metainfo.get('classes') or 'keypoint_id2name' in metainfo
    if named or checkpoint is None:
        return metainfo
    meta = read_checkpoint(checkpoint).get('meta') or {}
    return metainfo | dict(meta.get('dataset_meta') or {})


def _test_data(cfg: Config) -> Mapping[str, Any]:
    """The config of the data set with the images that a model is tested on."""
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader')
    if not loader:
        raise ValueError(
            f'{cfg.filename} has neither test_dataloader nor val_dataloader: nothing '
            'says how an image becomes an input'
        )
    return innermost_dataset(loader['dataset'])


def _source(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The config of the data set that reads the files, behind an array or several."""
    while True:
        if isinstance(data.get('source'), Mapping):
            data = data['source']
        elif data.get('datasets'):
            data = data['datasets'][0]
        else:
            return data


def _is_of_faces(data: Mapping[str, Any], cfg: Config) -> bool:
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        kind = data['type']
        kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    return isinstance(kind, type) and issubclass(kind, BaseFERDataset)


def _array_steps(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Steps that give one face the same input as an array's batched transforms."""
    steps: list[dict[str, Any]] = [{'type': 'hpml_mm.LoadFace'}]
    for step in data.get('augment', ()):
        kind, size = plain_type(step), step.get('size')
        sides = [size, size] if isinstance(size, int) else list(size or ())
        if kind == 'hpml_mm.BatchCenterCrop':
            steps.append({'type': 'CenterCrop', 'crop_size': sides[::-1]})
        elif kind == 'hpml_mm.BatchResize':
            steps += [{'type': 'ToPIL'}, {'type': 'torchvision/Resize', 'size': sides}]
        else:
            raise ValueError(
                f'the test data are changed by {kind}, which has no counterpart for a '
                'single image'
            )
    return [*steps, {'type': 'PackInputs'}]


def _as_tuples(value: Any) -> Any:
    """Sizes as transforms want them: JSON knows no tuples."""
    if isinstance(value, Mapping):
        return {key: _as_tuples(item) for key, item in value.items()}
    if isinstance(value, list) and all(isinstance(item, int) for item in value):
        return tuple(value)
    return value


def as_json(value: Any) -> Any:
    """Convert a config's dicts and lists to plain ones."""
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return value
