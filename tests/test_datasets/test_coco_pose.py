# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json

import numpy as np
import pytest
from mmpose.datasets import CocoDataset
from mmpose.evaluation.metrics import CocoMetric
from toy_poses import annotation, content, image, prediction, write

from hpml_mm.compat.xtcocotools.coco import COCO
from hpml_mm.datasets import CocoPoseDataset


@pytest.fixture
def load(tmp_path):
    """Load a file of persons that is written beside its images."""

    def load(annotations: list, images: list | None = None, **kwargs):
        name = write(tmp_path, content(annotations, images, 'person'))
        folder = {'img': 'images/'}
        return CocoPoseDataset(
            name, data_root=str(tmp_path), data_prefix=folder, **kwargs
        )

    return load


@pytest.fixture
def boxes(tmp_path):
    """Write a file of detected boxes; returns its path."""

    def boxes(*found: tuple) -> str:
        file = tmp_path / 'boxes.json'
        keys = ('image_id', 'bbox', 'score')
        file.write_text(
            json.dumps(
                [dict(zip(keys, each, strict=True), category_id=1) for each in found]
            )
        )
        return str(file)

    return boxes


def items(dataset) -> list[dict]:
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[key], other[key]) for key in one
    )


def test_it_reads_what_mmpose_reads(load, tmp_path):
    usual = [
        annotation(1, 2, bbox=[-3, 5, 200, 20]),
        annotation(2, 1, iscrowd=1),
        annotation(3, 1, num_keypoints=0) | {'keypoints': [0] * 51},
        annotation(4, 3),
    ]
    ours = load(usual)
    theirs = CocoDataset(
        'poses.json', data_root=str(tmp_path), data_prefix={'img': 'images/'}
    )
    assert isinstance(ours, CocoDataset)
    assert len(ours) == len(theirs) == 2
    assert all(map(same, items(ours), items(theirs)))
    assert ours.num_skipped == 0
    assert ours.metainfo['dataset_name'] == 'coco'


def test_the_first_images_come_in_cocos_order(load, tmp_path):
    ids = (36, 2, 785, 7)
    persons = [annotation(n, i) for n, i in enumerate([*ids, 36], 1)]
    part = load(persons, [image(i) for i in (2, 7, 36, 785, 9)], max_images=3)
    first = COCO(str(tmp_path / 'poses.json')).getImgIds(catIds=1)[:3]
    assert list(dict.fromkeys(item['img_id'] for item in items(part))) == first
    # All persons of an image, whatever their number.
    assert len(part) == 3 + (36 in first)
    assert len(load(persons, [image(i) for i in ids], max_images=10_000)) == 5
    with pytest.raises(ValueError, match='max_images=0: it counts from 1'):
        load(persons, max_images=0)


def test_only_the_first_images_need_be_there(load, tmp_path):
    persons = [annotation(n, n) for n in (1, 2, 3)]
    first = {item['img_id'] for item in items(load(persons, max_images=2))}
    (last,) = {1, 2, 3} - first
    (tmp_path / 'images' / f'{last}.jpg').unlink()
    kwargs = {'data_root': str(tmp_path), 'data_prefix': {'img': 'images/'}}
    assert len(CocoPoseDataset('poses.json', max_images=2, **kwargs)) == 2
    with pytest.raises(FileNotFoundError, match=f'image {last} is not on disk'):
        CocoPoseDataset('poses.json', **kwargs)


def evaluate(samples: list[dict], persons, **kwargs) -> dict:
    metric = CocoMetric(**kwargs)
    metric.dataset_meta = persons.metainfo
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def test_detected_boxes_replace_true_ones(load, boxes):
    file = boxes((2, [10, 20, 30, 40.5], 0.75), (1, [0, 0, 8, 8], 0.5))
    found = items(load([annotation(1, 1)], bbox_file=file, test_mode=True))
    assert [item['img_id'] for item in found] == [2, 1]
    assert found[0]['bbox'].tolist() == [[10, 20, 40, 60.5]]
    assert found[0]['bbox_score'].tolist() == [0.75]
    assert found[0]['img_path'].endswith('images/2.jpg')


def test_duplicates_of_a_person_are_removed_by_oks(load, boxes, tmp_path):
    """Three boxes on the one person of image 1, by hand.

    The area of a box is 1600 and OKS = mean exp(-d^2 / (2 area (2 sigma)^2)) over 17
    keypoints that all moved by d. For d = 1 the smallest term, at the eyes' sigma of
    .025, is exp(-1 / 8) = .88, and 12 of 17 have a sigma of .062 or more and are above
    .97: a mean above .94, so the second box is a duplicate at the threshold of .9. For
    d = 20 the largest, at the hips' .107, is exp(-400 / (3200 * .0458)) = .07.
    """
    file = boxes(
        (1, [10, 20, 40, 40], 0.9),
        (1, [10, 20, 40, 40], 0.8),
        (1, [10, 20, 40, 40], 0.7),
    )
    persons = load([annotation(1, 1)], bbox_file=file, test_mode=True)
    truth = np.array(annotation(1, 1)['keypoints'], np.float32).reshape(1, 17, 3)
    samples = []
    for item, shift in zip(items(persons), (0, 1, 20), strict=True):
        item['keypoints'] = truth[..., :2]
        samples.append(prediction(item, shift, score=0.5))

    scores = {}
    for mode in ('oks_nms', 'none'):
        prefix = tmp_path / mode
        kwargs = {'nms_mode': mode, 'score_mode': 'bbox_keypoint'}
        result = evaluate(samples, persons, outfile_prefix=str(prefix), **kwargs)
        assert result['coco/AR'] == pytest.approx(1)
        kept = json.loads(prefix.with_name(f'{mode}.keypoints.json').read_text())
        scores[mode] = [each['score'] for each in kept]
    # The score of a person is that of its box times the mean of its keypoints'.
    assert scores['oks_nms'] == pytest.approx([0.45, 0.35])
    assert scores['none'] == pytest.approx([0.45, 0.4, 0.35])


def test_boxes_on_other_images_are_not_used_with_the_first_images(load, boxes):
    file = boxes(*((i, [1, 2, 3, 4], 0.5) for i in (1, 2, 3)))
    persons = [annotation(n, n) for n in (1, 2, 3)]
    part = load(persons, bbox_file=file, max_images=1, test_mode=True)
    (item,) = items(part)
    item['keypoints'] = np.array([[(10 + k, 20 + k) for k in range(17)]], np.float32)
    assert evaluate([prediction(item)], part)['coco/AR'] == pytest.approx(1)


def test_images_without_annotations_give_a_file_for_a_server(boxes, tmp_path):
    """As of test-dev2017, whose annotations are not published."""
    whole = content([annotation(1, 1)], None, 'person')
    name = write(tmp_path, {k: v for k, v in whole.items() if k != 'annotations'})
    file = boxes((1, [10, 20, 40, 40], 0.9), (2, [1, 2, 30, 40], 0.4))
    persons = CocoPoseDataset(
        name,
        data_root=str(tmp_path),
        data_prefix={'img': 'images/'},
        bbox_file=file,
        test_mode=True,
    )
    samples = []
    for item in items(persons):
        item['keypoints'] = np.full((1, 17, 2), 9, np.float32)
        samples.append(prediction(item, score=0.5))
    prefix = tmp_path / 'results'
    result = evaluate(samples, persons, format_only=True, outfile_prefix=str(prefix))
    assert result == {}
    found = json.loads(prefix.with_name('results.keypoints.json').read_text())
    assert [one['image_id'] for one in found] == [1, 2]
    assert {len(one['keypoints']) for one in found} == {51}


def test_bad_files_of_boxes(load, boxes, tmp_path):
    persons = [annotation(1, 1)]
    kwargs = {'test_mode': True}
    with pytest.raises(FileNotFoundError, match="no.json': set bbox_file"):
        load(persons, bbox_file=str(tmp_path / 'no.json'), **kwargs)
    with pytest.raises(
        ValueError, match='boxes.json: detection 0 names image 7, not in'
    ):
        load(persons, bbox_file=boxes((7, [1, 2, 3, 4], 0.5)), **kwargs)
    with pytest.raises(ValueError, match='no box of category 1, the only one'):
        load(persons, bbox_file=boxes(), **kwargs)
    with pytest.raises(ValueError, match='test_mode'):
        load(persons, bbox_file=boxes((1, [1, 2, 3, 4], 0.5)))


@pytest.mark.real_data
@pytest.mark.parametrize(
    ('split', 'images', 'annotations'), [('train', 78, 225), ('val', 143, 440)]
)
def test_the_real_persons(real_data, messages, split, images, annotations):
    file = f'annotations/person_keypoints_{split}2017.json'
    kwargs = {
        'data_root': str(real_data / 'coco_person'),
        'data_prefix': {'img': f'{split}2017/'},
    }
    persons = CocoPoseDataset(file, **kwargs)
    assert len(persons) == annotations
    assert persons.num_skipped == 0
    assert not messages
    assert len({item['img_id'] for item in items(persons)}) == images
    theirs = CocoDataset(file, **kwargs)
    assert all(map(same, items(persons), items(theirs)))
    part = CocoPoseDataset(file, max_images=50, **kwargs)
    assert len({item['img_id'] for item in items(part)}) == 50
