# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Samples as pictures: images of any form, classes, boxes and keypoints."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .image_io import read_image


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture of a sample, with what is known about its places.

    Attributes:
        step: Name of the step that made it.
        image: RGB, uint8, shape (H, W, 3).
        points: Keypoints in its pixels, shape (N, K, 2); None if there are none.
        visible: Which of them are annotated, shape (N, K).
        boxes: x1, y1, x2, y2 of each object, shape (N, 4); None if there are none.
    """

    step: str
    image: np.ndarray
    points: np.ndarray | None = None
    visible: np.ndarray | None = None
    boxes: np.ndarray | None = None


@dataclass(eq=False)
class BrowsedSample:
    """A sample on its way.

    Attributes:
        index: Place in the data set.
        name: Path of its image, or its place where it has none.
        label: Names of its classes.
        original: Picture as it was loaded, with the annotation.
        steps: Pictures after each step of the pipeline.
        item: Sample as the pipeline packs it.
    """

    index: int
    name: str
    label: str
    original: Picture
    steps: list[Picture] = field(default_factory=list)
    item: dict[str, Any] = field(default_factory=dict)


def without_normalization(preprocessor: Any, inputs: Any) -> list[np.ndarray]:
    """Undo a data preprocessor's normalisation of a batch.

    Args:
        preprocessor: MMEngine's, MMPretrain's, MMPose's or MMDetection's.
        inputs: What it made, shape (N, C, H, W).

    Returns:
        RGB pictures of type uint8.
    """
    mean, std = getattr(preprocessor, 'mean', None), getattr(preprocessor, 'std', None)
    normal = getattr(preprocessor, '_enable_normalize', mean is not None)
    inputs = inputs.detach().cpu().float()
    if normal and mean is not None and std is not None:
        inputs = inputs * std.cpu().view(1, -1, 1, 1) + mean.cpu().view(1, -1, 1, 1)
    # MMPretrain's word, and that of MMEngine's own.
    turned = getattr(preprocessor, 'to_rgb', False) or getattr(
        preprocessor, '_channel_conversion', False
    )
    levels = inputs.round().clamp(0, 255).to(torch.uint8)
    return [to_rgb(image.permute(1, 2, 0).numpy(), bool(turned)) for image in levels]


def label_text(info: Mapping[str, Any], classes: Sequence[str]) -> str:
    """Names of the classes of a sample, with their number where it has several.

    Args:
        info: ``gt_label``, a number or several; scores of a mixture as ``gt_score``; or
            ``instances`` or ``gt_bboxes_labels`` of a detector.
        classes: Names; empty for numbers.
    """

    def name(label: int) -> str:
        return str(classes[label]) if 0 <= label < len(classes) else str(label)

    score = info.get('gt_score')
    if score is not None:
        share = np.ravel(np.asarray(score, float))
        top = [i for i in np.argsort(-share, kind='stable')[:3] if share[i] > 0]
        return ' + '.join(f'{share[i]:.2f} {name(int(i))}' for i in top)
    labels = info.get('gt_label')
    if labels is None:
        labels = info.get('gt_bboxes_labels')
    if labels is None:
        labels = [
            one['bbox_label']
            for one in info.get('instances') or ()
            if isinstance(one, Mapping) and 'bbox_label' in one
        ]
    counts = Counter(int(label) for label in np.ravel(np.asarray(labels)))
    return ', '.join(
        name(label) if count == 1 else f'{count} {name(label)}'
        for label, count in sorted(counts.items())
    )


def to_rgb(image: Any, rgb: bool = False) -> np.ndarray:
    """Make an RGB picture of type uint8 of an image in any form.

    Args:
        image: An array of shape (H, W) or (H, W, C), a tensor of shape (C, H, W), or a
            picture of Pillow. One of floats is stretched to its own range where it
            leaves that of 0 to 255, or lies within 0 to 1.
        rgb: True if an array or tensor is RGB, else BGR.
    """
    pillow = not isinstance(image, np.ndarray | torch.Tensor)
    if isinstance(image, torch.Tensor):
        image = image.detach().cpu().float().numpy()
        if image.ndim == 3 and image.shape[-1] != 3:
            image = image.transpose(1, 2, 0)
    image = np.asarray(image.convert('RGB') if hasattr(image, 'convert') else image)
    if image.dtype != np.uint8:
        image = image.astype(np.float32)
        low, high = float(image.min()), float(image.max())
        if low < 0 or high > 255 or high <= 1:
            image = (image - low) / max(high - low, 1e-12) * 255
        image = image.round().astype(np.uint8)
    if image.ndim == 2 or image.shape[2] == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    image = image[..., :3]
    return np.ascontiguousarray(image if rgb or pillow else image[..., ::-1])


def places_of(
    data: Mapping[str, Any],
) -> tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]:
    """Keypoints, which are annotated, and boxes, in the pixels of ``img``."""
    moved = data.get('transformed_keypoints')
    points = data.get('keypoints') if moved is None else moved
    visible = None
    if points is not None:
        points = np.array(points, float)[..., :2]
        points = points.reshape(-1, *points.shape[-2:])
        visible = np.asarray(data.get('keypoints_visible', np.ones(points.shape[:2])))
        visible = (visible[..., 0] if visible.ndim == 3 else visible) > 0
    # MMPose leaves the box in the pixels of the file when it cuts the object out.
    boxes = None if moved is not None else data.get('gt_bboxes', data.get('bbox'))
    return points, visible, _box_array(boxes)


def _box_array(boxes: Any) -> np.ndarray | None:
    if boxes is None:
        return None
    boxes = getattr(boxes, 'tensor', boxes)
    array = np.array(boxes, float)
    return array.reshape(-1, array.shape[-1])[:, :4] if array.size else None


def packed_fields(packed: Any) -> dict[str, Any]:
    """Labels of a packed sample."""
    get = getattr(packed, 'get', None)
    if get is None or isinstance(packed, Mapping):
        return {}
    found = {key: get(key) for key in ('gt_score', 'gt_label')}
    objects = get('gt_instances')
    if objects is not None and 'labels' in objects:
        found['gt_bboxes_labels'] = objects.labels
    return found


def packed_boxes(packed: Any) -> np.ndarray | None:
    """Boxes of a sample of MMDetection whose steps nobody saw."""
    get = getattr(packed, 'get', None)
    objects = get('gt_instances') if get and not isinstance(packed, Mapping) else None
    if objects is None or not ('bboxes' in objects and 'labels' in objects):
        return None
    return _box_array(objects.bboxes)


def inputs_of(item: Mapping[str, Any], rgb: bool) -> list[np.ndarray]:
    """Make pictures of the inputs of a packed sample, several for several views."""
    inputs = item.get('inputs')
    if isinstance(inputs, Mapping):  # of several modalities
        inputs = inputs.get('img', inputs.get('imgs'))
    many = inputs if isinstance(inputs, list | tuple) else [inputs]
    return [to_rgb(one, rgb) for one in many if one is not None]


def original_of(info: Mapping[str, Any], rgb: bool) -> Picture | None:
    """Picture of the file, or of the pixels that an entry of the data set holds."""
    image = info.get('img')
    if image is None:
        path = info.get('img_path')
        if not path or not Path(path).is_file():
            return None
        image, rgb = read_image(path, 'color'), False
    boxes = info.get('instances') or ()
    found = [one['bbox'] for one in boxes if isinstance(one, Mapping) and 'bbox' in one]
    places = places_of({**info, **({'bbox': found} if found else {})})
    return Picture('original', to_rgb(image, rgb), *places)
