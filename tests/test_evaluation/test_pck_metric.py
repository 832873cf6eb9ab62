# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import numpy as np
import pytest
from made_poses import NAMES, annotation, evaluate, perturbed, random_annotations
from made_poses import sample as pose_sample
from mmpose.evaluation.metrics import PCKAccuracy

from hpml_mm.evaluation import KeypointPCK
from hpml_mm.registry import METRICS


def cat(number, visible, offsets):
    """A cat in a box of 50 x 100 whose keypoints are predicted so many pixels off."""
    truth = np.zeros((17, 3))
    truth[:, :2] = 30
    truth[list(visible), 2] = 1
    predicted = truth[:, :2].copy()
    predicted[list(visible), 0] += offsets
    one = annotation(number, number, (0, 0, 50, 100), truth, 5000)
    return pose_sample(one, predicted, np.ones(17))


def test_shares_worked_by_hand():
    # The longer side is 100: found within 5 and within 20 pixels. The nose is seen
    # twice and the left eye four times, so the mean over keypoints is not that over
    # points. A distance of exactly the threshold is not within it.
    samples = [
        cat(1, visible=[0, 2], offsets=[4, 0]),
        cat(2, visible=[0, 2], offsets=[4, 30]),
        cat(3, visible=[0], offsets=[5]),
        cat(4, visible=[0], offsets=[19]),
    ]
    assert evaluate(KeypointPCK(), samples) == pytest.approx(
        {
            'PCK@0.05': (0.5 + 0.5) / 2,
            'PCK@0.05/L_Eye': 0.5,
            'PCK@0.05/Nose': 0.5,
            'PCK@0.2': (1 + 0.5) / 2,
            'PCK@0.2/L_Eye': 1.0,
            'PCK@0.2/Nose': 0.5,
        }
    )


def test_the_mean_is_that_of_mmpose():
    rng = np.random.default_rng(0)
    predictions = perturbed(rng, random_annotations(rng))
    samples = [pose_sample(*prediction) for prediction in predictions]
    found = evaluate(KeypointPCK(thresholds=(0.02, 0.1)), samples)
    for threshold in (0.02, 0.1):
        expected = evaluate(PCKAccuracy(thr=threshold), samples)['PCK']
        assert 0 < expected < 1
        assert found[f'PCK@{threshold}'] == pytest.approx(expected)
        shares = [found[f'PCK@{threshold}/{name}'] for name in NAMES]
        assert np.mean(shares) == pytest.approx(expected)


def test_where_nothing_is_visible_nothing_is_claimed():
    assert evaluate(KeypointPCK(), [cat(1, [], []), cat(2, [], [])]) == {}


def test_a_detected_box_has_no_truth():
    metric = METRICS.build({'type': 'hpml_mm.KeypointPCK'})
    detected = cat(1, [0], [0])
    detected.pop('raw_ann_info')
    with pytest.raises(ValueError, match='sample 1 of None has no annotation'):
        metric.process(None, [detected.to_dict()])


@pytest.mark.parametrize('thresholds', [(), (0.2, 0)])
def test_impossible_thresholds_are_named(thresholds):
    with pytest.raises(ValueError, match=r'thresholds must be .* got \('):
        KeypointPCK(thresholds=thresholds)
