# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import numpy as np
import pytest
from made_poses import (
    SIGMAS,
    evaluate,
    perturbed,
    random_annotations,
    sample,
    write_json,
)
from mmpose.evaluation.metrics import CocoMetric

from hpml_mm.compat.xtcocotools.coco import COCO
from hpml_mm.compat.xtcocotools.cocoeval import COCOeval
from hpml_mm.evaluation.oks import object_area, oks


def test_worked_by_hand():
    truth = np.array([[[10.0, 10], [20, 20], [0, 0]]])
    # 3-4-5: five pixels off; the keypoint that is not visible does not count.
    predicted = np.array([[[13.0, 14], [20, 20], [99, 99]]])
    # e = 25 / (2 * 50 * (2 * .25)^2) = 1.
    similarity = oks(predicted, truth, [[1, 2, 0]], [50.0], [0.25, 0.1, 0.1])
    assert similarity == pytest.approx((np.exp(-1) + 1) / 2)


def test_every_pair_is_as_by_xtcocotools(tmp_path):
    rng = np.random.default_rng(0)
    annotations = random_annotations(rng, images=2, each=3)
    predictions = perturbed(rng, annotations)
    truth = COCO(str(write_json(tmp_path / 'cats.json', annotations)))
    results = [
        {
            'image_id': one['image_id'],
            'category_id': 1,
            'keypoints': np.column_stack([keypoints, scores]).ravel().tolist(),
            # In the order of the list, which xtcocotools sorts by.
            'score': 1 - 0.01 * one['id'],
        }
        for one, keypoints, scores in predictions
    ]
    coco_eval = COCOeval(truth, truth.loadRes(results), 'keypoints', np.array(SIGMAS))
    coco_eval.evaluate()
    for image in (0, 1):
        chosen = [p for p in predictions if p[0]['image_id'] == image]
        pairs = [(p[1], q[0]) for p in chosen for q in chosen]
        points = np.array([one['keypoints'] for _, one in pairs]).reshape(-1, 17, 3)
        found = oks(
            np.array([keypoints for keypoints, _ in pairs]),
            points[..., :2],
            points[..., 2] > 0,
            np.array([object_area(one) for _, one in pairs]),
            SIGMAS,
        )
        expected = np.array(coco_eval.ious[image, 1])
        assert np.diag(expected).min() > 0.1
        np.testing.assert_allclose(found.reshape(3, 3), expected, rtol=1e-12)


def test_an_object_without_a_visible_keypoint_has_none():
    poses = np.zeros((2, 3, 2))
    found = oks(poses, poses, [[0, 0, 0], [0, 1, 0]], [10, 10], [0.1, 0.1, 0.1])
    np.testing.assert_array_equal(found, [np.nan, 1])


def test_shapes_that_only_broadcast_are_refused():
    poses = np.zeros((2, 3, 2))
    with pytest.raises(ValueError, match=r'oks: 2 areas and 1 sigmas .*\(2, 1, 2\)'):
        oks(poses, poses, np.ones((2, 3)), [1, 1], [0.1])


def test_without_an_area_the_box_stands_in():
    assert object_area({'area': 7, 'bbox': [0, 0, 10, 20]}) == 7
    assert object_area({'bbox': [5, 5, 10, 20]}) == pytest.approx(0.53 * 200)


KEYS = ('AP', 'AP .5', 'AP .75', 'AP (M)', 'AP (L)', 'AR', 'AR .5', 'AR .75')


def by_xtcocotools(path, predictions) -> dict[str, float]:
    """COCO's own evaluation; a cat's score is the mean of its scores above .2."""
    results = [
        {
            'image_id': one['image_id'],
            'category_id': 1,
            'keypoints': np.column_stack([keypoints, scores]).ravel().tolist(),
            'score': float(scores[scores > 0.2].mean()),
        }
        for one, keypoints, scores in predictions
    ]
    truth = COCO(str(path))
    coco_eval = COCOeval(truth, truth.loadRes(results), 'keypoints', np.array(SIGMAS))
    coco_eval.evaluate()
    coco_eval.accumulate()
    coco_eval.summarize()
    return dict(zip(KEYS, coco_eval.stats, strict=False))


def test_mmposes_metric_gives_the_ap_of_xtcocotools(tmp_path):
    rng = np.random.default_rng(0)
    annotations = random_annotations(rng)
    predictions = perturbed(rng, annotations)
    path = write_json(tmp_path / 'cats.json', annotations)
    samples = [sample(*p) for p in predictions]
    metrics = evaluate(CocoMetric(str(path)), samples)
    expected = by_xtcocotools(path, predictions)
    assert 0.1 < expected['AP'] < expected['AP .5'] < 1
    assert metrics == {
        **metrics,
        **{f'coco/{key}': pytest.approx(expected[key]) for key in KEYS},
    }
    # The annotations of the samples do as well as the file.
    assert evaluate(CocoMetric(), samples) == metrics
