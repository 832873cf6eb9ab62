# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""MMPose's metric of PoseTrack18 without the package poseval, on made videos."""

import hpml_mm  # noqa: F401  # isort: skip  # makes mmpose importable
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.metrics import PoseTrack18Metric

from hpml_mm.compat.mends.posetrack import JOINTS, average_precision, head_size, mend

META = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/posetrack18.py'))
NAMES = [META['keypoint_id2name'][index] for index in range(17)]
NOSE = NAMES.index('nose')
# A diagonal of 50, a size of 30: found within 15 pixels.
HEAD = [0, 0, 30, 40]


def person(x: float) -> np.ndarray:
    """Keypoints (17, 2) in a row below each other, each at another place."""
    return np.stack([np.full(17, x), 20.0 + 50 * np.arange(17)], axis=-1)


def evaluate(
    folder: Path, frames: list[dict], regions: list | None = None
) -> dict[str, float]:
    """Metric of frames with ``labels``, ``guesses`` and ``scores`` of the guesses."""
    images, people = [], []
    for number, frame in enumerate(frames, start=1):
        image = dict(id=number, file_name=f'images/val/one/{number}.jpg')
        columns = np.array(regions or np.zeros((0, 3, 2))).transpose(2, 0, 1)
        image |= dict(
            zip(('ignore_regions_x', 'ignore_regions_y'), columns.tolist(), strict=True)
        )
        images.append(image)
        for label in frame['labels']:
            visible = ~np.isnan(label[:, :1])
            triples = np.hstack([np.nan_to_num(label), visible])
            people.append(
                dict(
                    id=len(people), image_id=number, category_id=1, bbox_head=HEAD,
                    bbox=[0, 0, 9, 9], keypoints=triples.ravel().tolist(),
                )
            )  # fmt: skip
    category = dict(id=1, name='person', keypoints=NAMES)
    content = dict(images=images, annotations=people, categories=[category])
    (folder / 'val').mkdir(parents=True)
    for file in ('posetrack18_val.json', 'val/one.json'):
        (folder / file).write_text(json.dumps(content))
    metric = PoseTrack18Metric(
        ann_file=str(folder / 'posetrack18_val.json'),
        outfile_prefix=str(folder / 'found' / 'run'),
        score_mode='bbox',
        nms_mode='none',
    )
    (folder / 'found').mkdir()
    metric.dataset_meta = META
    for number, frame in enumerate(frames, start=1):
        for index, (guess, score) in enumerate(
            zip(frame['guesses'], frame['scores'], strict=True)
        ):
            found = dict(keypoints=guess[None], keypoint_scores=np.full((1, 17), score))
            truth = dict(
                bboxes=np.ones((1, 4)),
                bbox_scores=np.ones(1),
                bbox_scales=np.ones((1, 2)),
            )
            sample = dict(id=100 * number + index, img_id=number, pred_instances=found)
            metric.process([{}], [sample | dict(gt_instances=truth)])
    return metric.evaluate(len(metric.results))


def test_perfect_predictions(tmp_path):
    frame = dict(labels=[person(50), person(500)], scores=[0.9, 0.8])
    found = evaluate(tmp_path, [frame | dict(guesses=frame['labels'])] * 2)
    names = ('Head', 'Shou', 'Elb', 'Wri', 'Hip', 'Knee', 'Ankl')
    expected = {f'posetrack18/{name} AP': 100.0 for name in names}
    assert found == expected | {'posetrack18/AP': 100.0}


@pytest.mark.parametrize(('away', 'found'), [(15, True), (15.5, False)])
def test_a_joint_is_found_within_half_a_head(tmp_path, away, found):
    guess = person(50)
    guess[NOSE, 0] += away
    values = evaluate(
        tmp_path, [dict(labels=[person(50)], guesses=[guess], scores=[0.9])]
    )
    assert values['posetrack18/Head AP'] == pytest.approx(100 * (2 + found) / 3)
    assert values['posetrack18/Shou AP'] == 100
    assert values['posetrack18/AP'] == pytest.approx(100 * (14 + found) / 15)


@pytest.mark.parametrize(
    ('labels', 'guesses', 'scores', 'expected'),
    [
        # One of two is found.
        ([50, 500], [50], [0.9], 50),
        # A better score for what is nobody: half of the two are right.
        ([50], [50, 500], [0.8, 0.9], 50),
        # A worse one takes nothing from the precision at full recall.
        ([50], [50, 500], [0.9, 0.8], 100),
        # Of two that find the same person, the second is wrong.
        ([50, 500], [50, 55], [0.9, 0.8], 50),
        ([50], [500], [0.9], 0),
    ],
)
def test_assignment_and_ranking(tmp_path, labels, guesses, scores, expected):
    frame = dict(
        labels=[*map(person, labels)], guesses=[*map(person, guesses)], scores=scores
    )
    assert evaluate(tmp_path, [frame])['posetrack18/AP'] == pytest.approx(expected)


def test_a_guess_goes_to_whom_it_finds_the_larger_share_of(tmp_path):
    """Four of four joints, though another person has six of fifteen found."""
    few, many, guess = person(50), person(500), person(50)
    few[[NAMES.index(name) for name in NAMES if name not in NAMES[5:9]]] = np.nan
    guess[9:15] = many[9:15]
    frame = dict(labels=[few, many], guesses=[guess], scores=[0.9])
    values = evaluate(tmp_path, [frame])
    # The shoulders and elbows of the first are found, of two persons each.
    assert values['posetrack18/Shou AP'] == pytest.approx(50)
    assert values['posetrack18/Hip AP'] == 0


def test_a_frame_without_predictions(tmp_path):
    found = dict(labels=[person(50)], guesses=[person(50)], scores=[0.5])
    missed = dict(labels=[person(50)], guesses=[], scores=[])
    values = evaluate(tmp_path, [missed, found])
    assert values['posetrack18/AP'] == pytest.approx(50)


def test_what_lies_in_a_region_to_be_ignored_counts_on_no_side(tmp_path):
    frame = dict(
        labels=[person(50), person(700)],
        guesses=[person(50), person(500)],
        scores=[0.8, 0.9],
    )
    region = [[[450, -9], [990, -9], [990, 2000], [450, 2000]]]
    assert evaluate(tmp_path, [frame], region)['posetrack18/AP'] == 100


def test_frames_without_labels_are_left_out(tmp_path):
    labelled = dict(labels=[person(50)], guesses=[person(50)], scores=[0.5])
    empty = dict(labels=[], guesses=[person(50)], scores=[0.9])
    assert evaluate(tmp_path, [empty, labelled])['posetrack18/AP'] == 100


def test_joints_that_are_labelled_nowhere_count_in_no_mean(tmp_path):
    label = person(50)
    label[[NAMES.index('left_wrist'), NAMES.index('right_wrist'), NOSE]] = np.nan
    frame = dict(labels=[label], guesses=[person(50)], scores=[0.9])
    values = evaluate(tmp_path, [frame])
    assert np.isnan(values['posetrack18/Wri AP'])
    assert values['posetrack18/Head AP'] == values['posetrack18/AP'] == 100


def test_a_person_without_a_head_is_refused(tmp_path):
    file = tmp_path / 'one.json'
    with pytest.raises(ValueError, match=r'one\.json: .* of id 7 has no bbox_head'):
        head_size(dict(id=7), file)


def test_the_area_below_the_curve():
    scores = np.array([0.2, 0.9, 0.8, 0.1])
    correct = np.array([True, True, False, True])
    # Right at ranks 1, 3, 4 of 5 that exist: precision 1, .75 and .75.
    assert average_precision(scores, correct, 5) == pytest.approx((1 + 0.75 * 2) / 5)
    assert np.isnan(average_precision(scores, correct, 0))
    assert average_precision(scores[:0], correct[:0], 3) == 0


def test_poseval_that_is_there_is_used():
    module = SimpleNamespace(has_poseval=True, evaluateAP='of poseval')
    mend(module)
    assert module.evaluateAP == 'of poseval'
    assert set(JOINTS) < set(NAMES)
