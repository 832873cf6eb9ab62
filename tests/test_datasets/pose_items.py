# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Items of a pose data set without files, and how to compare what became of them."""

import copy

import cv2
import numpy as np

WIDTH, HEIGHT = 160, 120


def cat_item(meta: dict, seed: int = 0) -> dict:
    """A smooth image of 160 x 120 with a box and 17 keypoints, three invisible."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    left, top = rng.uniform(5, 30, 2)
    box = left, top, rng.uniform(90, 150), rng.uniform(70, 115)
    points = rng.uniform(box[:2], box[2:], (1, 17, 2)).astype(np.float32)
    visible = np.ones((1, 17), np.float32)
    visible[0, rng.choice(17, 3, replace=False)] = 0
    keys = ('flip_indices', 'upper_body_ids', 'lower_body_ids', 'dataset_name')
    return {
        'img': cv2.GaussianBlur(noise, (0, 0), 3),
        'img_shape': (HEIGHT, WIDTH),
        'ori_shape': (HEIGHT, WIDTH),
        'img_path': f'{seed}.jpg',
        'id': seed,
        'img_id': seed,
        'category_id': np.array(1),
        'bbox': np.array([box], np.float32),
        'bbox_score': np.ones(1, np.float32),
        'keypoints': points,
        'keypoints_visible': visible,
        'raw_ann_info': {'id': seed, 'bbox': [0, 0, 1, 1]},
        **{key: meta[key] for key in keys},
    }


def both_ways(item: dict, theirs, ours, seed: int) -> tuple[dict, dict]:
    """The item after two transforms that start from the same random state."""
    results = []
    for transform in (theirs, ours):
        np.random.seed(seed)
        after = transform(copy.deepcopy(item))
        after['next number'] = np.random.random_sample()
        results.append(after)
    return results[0], results[1]


def assert_equal_but_image(expected: dict, found: dict) -> None:
    """Same keys, types and values, to the bit."""
    assert found.keys() == expected.keys()
    for key in expected.keys() - {'img'}:
        mine, other = found[key], expected[key]
        if isinstance(other, np.ndarray):
            assert (mine.dtype, mine.shape) == (other.dtype, other.shape), key
            assert np.array_equal(mine, other), key
        else:
            assert mine == other, key
