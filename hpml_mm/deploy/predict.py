# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Predictions of any trained model on image files: checkpoint, ONNX or OpenVINO."""

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch import nn

from hpml_mm.compat.literal_config import literal_config
from hpml_mm.config.overrides import apply_options, load_config
from hpml_mm.datasets.image_io import BrokenImageError, read_image
from hpml_mm.engine.resume import check_checkpoint
from hpml_mm.engine.weights import load_fitting, read_checkpoint
from hpml_mm.utils.model import build_model

from .engine_model import model_of
from .engines import load_engine
from .network import plain_network
from .steps import SCOPES, ImageReader, metainfo_of, steps_of

Box = tuple[float, float, float, float]

CHECKPOINTS = ('.pth', '.safetensors', '.t7')
ENGINE_FILES = ('.onnx', '.xml')


@dataclasses.dataclass(frozen=True)
class ClassPrediction:
    """Prediction of a classifier for an image.

    Attributes:
        image: Path of the file.
        scores: Probability of each class by its name, in the order of the classes.
        box: x1, y1, x2, y2 of the part of the image that was classified; None for all.
    """

    image: str
    scores: dict[str, float]
    box: Box | None = None

    @property
    def best(self) -> str:
        """Name of the class with the highest score."""
        return max(self.scores, key=lambda name: self.scores[name])

    @property
    def folder_class(self) -> str | None:
        """Name of the image's folder where it is one of the classes, else None."""
        name = Path(self.image).absolute().parent.name
        return name if name in self.scores else None


@dataclasses.dataclass(frozen=True, eq=False)
class PosedObject:
    """The pose of one object.

    Attributes:
        box: x1, y1, x2, y2 in pixels of the image, within which it was looked for.
        keypoints: Places in pixels of the image, shape (K, 2).
        scores: Scores of each keypoint, shape (K,); those of heatmaps are their maxima.
    """

    box: Box
    keypoints: np.ndarray
    scores: np.ndarray


@dataclasses.dataclass(frozen=True)
class PosePrediction:
    """Prediction of a pose model for an image.

    Attributes:
        image: Path of the file.
        objects: One for each box.
    """

    image: str
    objects: tuple[PosedObject, ...]


class Predictor:
    """Model together with the steps from image files to its input.

    Args:
        model: As :func:`~hpml_mm.deploy.engine_model.model_of` gives it, or as it was
            trained; put into evaluation mode.
        reader: Gives the samples that it takes.
        task: ``'classify'`` or ``'pose'``.
        names: Names of the classes or keypoints; empty for classes without names.
        metainfo: Skeleton and colours of a pose, for its drawing.
    """

    def __init__(
        self,
        model: nn.Module,
        reader: ImageReader,
        task: str,
        names: Sequence[str],
        metainfo: Mapping[str, Any],
    ) -> None:
        self.model: Any = model.eval()
        self.reader = reader
        self.task = task
        self.names = tuple(names)
        self.metainfo = dict(metainfo)

    def __call__(
        self, image: str | Path, boxes: Sequence[Box] | None = None
    ) -> ClassPrediction | PosePrediction:
        """Predict one image.

        Args:
            image: Path of the file.
            boxes: Boxes for a pose model; None for one object that fills the image.

        Raises:
            FileNotFoundError: If there is no such file.
            BrokenImageError: If it is damaged.
        """
        # The steps of a config may read a truncated image as grey.
        height, width = read_image(image, 'color').shape[:2]
        if self.task == 'classify':
            (sample,) = self._run([self.reader(image)])
            scores = sample.pred_score.tolist()
            names = self.names or map(str, range(len(scores)))
            return ClassPrediction(str(image), dict(zip(names, scores, strict=True)))
        boxes = [(0.0, 0.0, float(width), float(height))] if boxes is None else boxes
        samples = self._run([self.reader(image, box) for box in boxes])
        return PosePrediction(
            str(image),
            tuple(
                PosedObject(
                    box,
                    np.asarray(sample.pred_instances.keypoints[0]),
                    np.asarray(sample.pred_instances.keypoint_scores[0]),
                )
                for box, sample in zip(boxes, samples, strict=True)
            ),
        )

    def parts(self, image: str | Path, boxes: Sequence[Box]) -> list[ClassPrediction]:
        """Classify parts of one image, each as an image of its own.

        Args:
            image: Path of the file.
            boxes: Their boxes, within the image.

        Raises:
            FileNotFoundError: If there is no such file.
            BrokenImageError: If it is damaged.
            ValueError: If the model is no classifier.
        """
        if self.task != 'classify':
            raise ValueError('a pose model takes boxes as they are: give --boxes')
        found = []
        for box, file in cut_out(read_image(image, 'color'), boxes):
            whole = self(file)
            assert isinstance(whole, ClassPrediction)
            found.append(ClassPrediction(str(image), whole.scores, box))
        return found

    @torch.no_grad()
    def _run(self, items: list[dict]) -> list:
        return self.model.test_step(pseudo_collate(items)) if items else []


def cut_out(image: np.ndarray, boxes: Sequence[Box]) -> Iterator[tuple[Box, Path]]:
    """Write parts of an image to files, which are there until the next is asked for.

    Args:
        image: BGR, uint8, shape (H, W, 3).
        boxes: x1, y1, x2, y2 of each.

    Yields:
        Each box with its file, without loss.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, 'part.png')
        for box in boxes:
            left, top, right, bottom = (round(side) for side in box)
            mmcv.imwrite(image[top:bottom, left:right], str(file))
            yield box, file


def load_predictor(
    path: str | Path,
    config: str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Predictor:
    """Load a predictor from a checkpoint, an ONNX or an OpenVINO file.

    Args:
        path: ``.pth`` or ``.safetensors``, whose config is found through the file
            where it is not given; ``.onnx`` or ``.xml``, which describe themselves.
        config: Config file, or ``package::name``, of a checkpoint.
        options: Overrides of the config, by dotted key.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the file is of no known kind, is damaged, or nothing says how
            images are put through it.
    """
    suffix = Path(path).suffix
    if suffix in ENGINE_FILES:
        if config is not None:
            raise ValueError(f'{path} describes itself: leave --config {config} out')
        if options:
            raise ValueError(f'{path} describes itself: leave --cfg-options out')
        return _from_engine_file(path)
    if suffix in CHECKPOINTS:
        return _from_checkpoint(path, config, options or {})
    known = ', '.join([*CHECKPOINTS, *ENGINE_FILES])
    raise ValueError(f'{path}: no model file; known are {known}')


def checkpoint_config(path: str | Path, config: str | None = None) -> Config:
    """Find the config of a checkpoint: the given, the embedded or the named one.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the checkpoint neither holds nor names a config that is there.
    """
    if config is not None:
        return load_config(config)
    meta = read_checkpoint(str(path)).get('meta') or {}
    if meta.get('cfg'):
        found_config = literal_config(meta['cfg'], str(path))
        if found_config.get('model') is None:
            raise ValueError(f'{path}: its config has no model: give --config')
        return found_config
    name = meta.get('config_name')
    # Not by a pattern, which could lead out of the folder.
    found = [p for p in sorted(Path('configs').rglob('*.py')) if p.stem == name]
    if not found:
        named = f'names {name!r}, which is not below configs' if name else 'names none'
        raise ValueError(f'{path} holds no config and {named}: give --config')
    return load_config(str(found[0]))


def _from_engine_file(path: str | Path) -> Predictor:
    engine = load_engine(path)
    spec = engine.spec
    if spec is None:
        raise ValueError(
            f'{path} does not describe itself: it was not written by this package. '
            'Export the model again, or give its checkpoint'
        )
    metainfo = spec.pose.metainfo if spec.pose else {}
    reader = ImageReader(spec.pipeline, SCOPES[spec.task], metainfo)
    model = model_of(spec, engine)
    return Predictor(model, reader, spec.task, spec.names, metainfo)


def _from_checkpoint(
    path: str | Path, config: str | None, options: Mapping[str, Any]
) -> Predictor:
    if config is not None or not Path(path).is_file():
        check_checkpoint(str(path))
    cfg = checkpoint_config(path, config)
    apply_options(cfg, options)
    scope = cfg.get('default_scope')
    model = build_model(cfg)
    plain_network(model)
    load_fitting(model, str(path))
    metainfo = metainfo_of(cfg, str(path))
    ids = metainfo.get('keypoint_id2name')
    if ids is None:
        reader = ImageReader(steps_of(cfg), scope)
        names = metainfo.get('classes') or ()
        return Predictor(model, reader, 'classify', names, {})
    names = [ids[index] for index in range(len(ids))]
    reader = ImageReader(steps_of(cfg), scope, metainfo)
    return Predictor(model, reader, 'pose', names, metainfo)


def describe_failure(image: Path, error: BrokenImageError | OSError) -> str:
    """Describe an image that cannot be read, without the advice for data sets."""
    if isinstance(error, BrokenImageError):
        return str(error).partition(';')[0]
    if isinstance(error, FileNotFoundError):
        return f'no file or folder {str(image)!r}'
    return f'{image} cannot be read: {error.strerror or error}'
