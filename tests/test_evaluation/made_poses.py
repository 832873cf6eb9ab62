# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A small made set of cats in COCO's format, and noisy predictions for it."""

import json
from pathlib import Path

import numpy as np
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample

# AP-10K's, in its order of keypoints.
SIGMAS = (
    *(0.025, 0.025, 0.026, 0.035, 0.035, 0.079, 0.072, 0.062, 0.079),
    *(0.072, 0.062, 0.107, 0.087, 0.089, 0.107, 0.087, 0.089),
)
NAMES = (
    *('L_Eye', 'R_Eye', 'Nose', 'Neck', 'Root of tail'),
    *('L_Shoulder', 'L_Elbow', 'L_F_Paw', 'R_Shoulder', 'R_Elbow', 'R_F_Paw'),
    *('L_Hip', 'L_Knee', 'L_B_Paw', 'R_Hip', 'R_Knee', 'R_B_Paw'),
)
METAINFO = {
    'dataset_name': 'made',
    'CLASSES': [{'id': 1, 'name': 'cat'}],
    'num_keypoints': len(NAMES),
    'keypoint_id2name': dict(enumerate(NAMES)),
    'sigmas': np.array(SIGMAS, np.float32),
}


def annotation(number: int, image: int, box, points, area: float) -> dict:
    """One cat; ``points`` has shape (K, 3), as x, y and visibility in 0, 1, 2."""
    points = np.asarray(points, float)
    return {
        'id': number,
        'image_id': image,
        'category_id': 1,
        'bbox': [float(value) for value in box],
        'area': float(area),
        'iscrowd': 0,
        'keypoints': points.ravel().tolist(),
        'num_keypoints': int((points[:, 2] > 0).sum()),
    }


def random_annotations(rng: np.random.Generator, images=6, each=3) -> list[dict]:
    """Cats of many sizes; about a third of their keypoints are not labelled."""
    found = []
    for image in range(images):
        for place in range(each):
            side = rng.uniform(20, 200)
            corner = np.array([220.0 * place, 10])
            points = np.zeros((len(NAMES), 3))
            points[:, 2] = rng.choice([0, 1, 2], len(NAMES))
            points[:, :2] = corner + rng.uniform(0, side, (len(NAMES), 2))
            points[points[:, 2] == 0] = 0
            box = (*corner, side, side)
            area = side**2 * rng.uniform(0.4, 1)
            found.append(annotation(len(found) + 1, image, box, points, area))
    return found


def write_json(path: Path, annotations: list[dict]) -> Path:
    images = sorted({one['image_id'] for one in annotations})
    content = {
        'images': [
            {'id': i, 'width': 660, 'height': 240, 'file_name': f'{i}.png'}
            for i in images
        ],
        'annotations': annotations,
        'categories': [{'id': 1, 'name': 'cat', 'keypoints': list(NAMES)}],
    }
    path.write_text(json.dumps(content))
    return path


def perturbed(rng: np.random.Generator, annotations: list[dict]) -> list[tuple]:
    """(annotation, keypoints, scores), each cat with noise of a size of its own."""
    found = []
    for one in annotations:
        points = np.array(one['keypoints']).reshape(-1, 3)
        noise = rng.normal(0, rng.uniform(0.005, 0.15) * one['bbox'][2], (17, 2))
        # Scores on both sides of .2, below which CocoMetric does not count them.
        found.append((one, points[:, :2] + noise, rng.uniform(0.05, 1, 17)))
    return found


def sample(one: dict, keypoints, scores, box_score: float = 1.0) -> PoseDataSample:
    """What a top-down model returns for one cat."""
    x, y, width, height = one['bbox']
    points = np.array(one['keypoints'], np.float32).reshape(1, -1, 3)
    truth = InstanceData(
        keypoints=points[..., :2],
        keypoints_visible=np.minimum(1, points[..., 2]),
        bboxes=np.array([[x, y, x + width, y + height]], np.float32),
        bbox_scores=np.array([box_score], np.float32),
        bbox_scales=1.25 * np.array([[width, height]], np.float32),
    )
    predicted = InstanceData(
        keypoints=np.asarray(keypoints)[None], keypoint_scores=np.asarray(scores)[None]
    )
    data_sample = PoseDataSample(
        metainfo={
            'id': one['id'],
            'img_id': one['image_id'],
            'category_id': one['category_id'],
            'raw_ann_info': one,
            'ori_shape': (240, 660),
        }
    )
    data_sample.gt_instances = truth
    data_sample.pred_instances = predicted
    return data_sample


def evaluate(metric: BaseMetric, samples: list[PoseDataSample]) -> dict[str, float]:
    """Run a metric as a validation loop does, in two batches."""
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = METAINFO
    for batch in (samples[:2], samples[2:]):
        evaluator.process(data_samples=batch)
    return evaluator.evaluate(len(samples))
