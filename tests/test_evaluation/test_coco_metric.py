# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""MMPose's CocoMetric, which gives the AP of the poses here, held to COCO's code."""

import numpy as np
import pytest
from made_poses import (
    NAMES,
    SIGMAS,
    annotation,
    evaluate,
    perturbed,
    random_annotations,
    sample,
    write_json,
)
from mmpose.evaluation.metrics import CocoMetric
from xtcocotools.coco import COCO
from xtcocotools.cocoeval import COCOeval

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


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_noisy_predictions_score_as_by_xtcocotools(tmp_path, seed):
    rng = np.random.default_rng(seed)
    annotations = random_annotations(rng)
    predictions = perturbed(rng, annotations)
    path = write_json(tmp_path / 'cats.json', annotations)
    metrics = evaluate(CocoMetric(str(path)), [sample(*p) for p in predictions])
    expected = by_xtcocotools(path, predictions)
    assert 0.1 < expected['AP'] < expected['AP .5'] < 1
    assert metrics == {
        **metrics,
        **{f'coco/{key}': pytest.approx(expected[key]) for key in KEYS},
    }


def test_the_annotations_of_the_samples_do_as_well_as_the_file(tmp_path):
    rng = np.random.default_rng(3)
    annotations = random_annotations(rng)
    predictions = [sample(*p) for p in perturbed(rng, annotations)]
    path = write_json(tmp_path / 'cats.json', annotations)
    assert evaluate(CocoMetric(), predictions) == evaluate(
        CocoMetric(str(path)), predictions
    )


AREA = 10_000.0


def cat_with_parts(number, corner, similarities):
    """A cat whose first keypoints are visible, each predicted at a chosen similarity.

    The similarity of a keypoint is exp(-d^2 / (2 s k^2)), k = 2 sigma, so the distance
    for the similarity p is d = k sqrt(-2 s ln p).
    """
    truth = np.zeros((len(NAMES), 3))
    predicted = np.zeros((len(NAMES), 2))
    for index, similarity in enumerate(similarities):
        truth[index] = *(np.array(corner) + 5 * index), 2
        distance = 2 * SIGMAS[index] * np.sqrt(-2 * AREA * np.log(similarity))
        predicted[index] = truth[index, :2] + distance * np.array([0.6, -0.8])
    one = annotation(number, 7, (*corner, 100, 100), truth, AREA)
    return one, predicted


@pytest.mark.parametrize(
    ('second_score', 'ap', 'ap_at_75'),
    # The recall is sampled at 0, .01 .. 1; up to .5 these are 51 of 101 points.
    [
        # The better cat first: found at .65 to .8 with no error before it.
        (0.3, (3 + 4 * 51 / 101) / 10, 51 / 101),
        # The worse cat first: where it fails, half of the answers are wrong.
        (0.9, (3 + 4 * 0.5 * 51 / 101) / 10, 0.5 * 51 / 101),
    ],
)
def test_two_cats_worked_by_hand(tmp_path, second_score, ap, ap_at_75):
    # OKS (1 + 1 + .5) / 3 = .833: right at the thresholds .5, .55 .. .8.
    first, first_points = cat_with_parts(1, (10, 60), (1, 1, 0.5))
    # OKS (1 + .25) / 2 = .625: right at .5, .55 and .6.
    second, second_points = cat_with_parts(2, (400, 60), (1, 0.25))
    path = write_json(tmp_path / 'cats.json', [first, second])
    metrics = evaluate(
        CocoMetric(str(path)),
        [
            sample(first, first_points, np.full(17, 0.6)),
            sample(second, second_points, np.full(17, second_score)),
        ],
    )
    assert metrics['coco/AP'] == pytest.approx(ap)
    assert metrics['coco/AP .5'] == pytest.approx(1)
    assert metrics['coco/AP .75'] == pytest.approx(ap_at_75)
    assert metrics['coco/AR'] == pytest.approx((3 * 1 + 4 * 0.5) / 10)


def test_twice_the_area_forgives_more(tmp_path):
    """The same pixels, but the area is the box's instead of the segment's, say."""
    one, points = cat_with_parts(1, (10, 60), (0.52, 0.52))
    found = []
    for name, cat in (('small', one), ('large', {**one, 'area': 2 * AREA})):
        path = write_json(tmp_path / f'{name}.json', [cat])
        predictions = [sample(cat, points, np.full(17, 0.6))]
        found.append(evaluate(CocoMetric(str(path)), predictions)['coco/AP'])
    # OKS .52 is right at .5; its square root .72 at .5, .55 .. .7.
    assert found == pytest.approx([0.1, 0.5])


def test_of_two_like_detections_one_is_kept(tmp_path):
    """OKS-NMS, for detected boxes: the second one of a cat is no false positive."""
    first, first_points = cat_with_parts(1, (10, 60), (1, 1, 1))
    second, second_points = cat_with_parts(2, (400, 60), (1, 1, 1))
    path = write_json(tmp_path / 'cats.json', [first, second])
    samples = [
        sample(first, first_points, np.full(17, 0.9)),
        sample(first, first_points + 0.1, np.full(17, 0.6)),
        sample(second, second_points, np.full(17, 0.3)),
    ]
    for number, one in enumerate(samples):  # as detections are numbered
        one.set_metainfo({'id': number})
    assert evaluate(CocoMetric(str(path)), samples)['coco/AP'] == pytest.approx(1)
    # All three: precision 1 up to the recall .5 (51 points), and 2/3 beyond (50).
    every = evaluate(CocoMetric(str(path), nms_mode='none'), samples)
    assert every['coco/AP'] == pytest.approx((51 + 50 * 2 / 3) / 101)
