# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Small made-up annotation files in COCO's format, and perfect or moved predictions."""

import json
from pathlib import Path

import numpy as np

WIDTH, HEIGHT = 100, 80


def image(image_id: int) -> dict:
    """An image of 100 x 80 pixels."""
    return {
        'id': image_id,
        'file_name': f'{image_id}.jpg',
        'width': WIDTH,
        'height': HEIGHT,
    }


def annotation(number: int, image_id: int, keypoints: int = 17, **changes) -> dict:
    """An animal in the box from (10, 20) to (50, 60), all keypoints on a diagonal."""
    points = [(10 + k, 20 + k, 2) for k in range(keypoints)]
    return {
        'id': number,
        'image_id': image_id,
        'category_id': 1,
        'bbox': [10, 20, 40, 40],
        'area': 1600,
        'iscrowd': 0,
        'num_keypoints': keypoints,
        'keypoints': [value for point in points for value in point],
    } | changes


def content(annotations: list, images: list | None = None, name: str = 'cat') -> dict:
    """An annotation file; images 1 to 3 unless said otherwise."""
    return {
        'images': [image(i) for i in (1, 2, 3)] if images is None else images,
        'annotations': annotations,
        'categories': [{'id': 1, 'name': name}],
    }


def write(root: Path, what: dict, name: str = 'poses.json') -> str:
    """Write the file and the empty files of its images; returns its name."""
    (root / 'images').mkdir(exist_ok=True)
    for each in what['images']:
        (root / 'images' / f'{each["id"]}.jpg').touch()
    (root / name).write_text(json.dumps(what))
    return name


def prediction(info: dict, shift: float = 0.0, score: float = 1.0) -> dict:
    """What a model and PackPoseInputs hand to CocoMetric for one item of a data set.

    Args:
        info: The item.
        shift: How far each keypoint is moved to the right, in pixels.
        score: Score of each keypoint.
    """
    keypoints = info['keypoints'] + np.array([shift, 0], np.float32)
    sizes = info['bbox'][:, 2:] - info['bbox'][:, :2]
    sample = {
        'id': info['id'],
        'img_id': info['img_id'],
        'pred_instances': {
            'keypoints': keypoints,
            'keypoint_scores': np.full(keypoints.shape[:2], score, np.float32),
            'bboxes': info['bbox'],
            'bbox_scores': info['bbox_score'],
        },
        'gt_instances': {'bbox_scores': info['bbox_score'], 'bbox_scales': sizes},
    }
    if 'category_id' in info:
        sample['category_id'] = info['category_id']
    return sample
