# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json
import re

import numpy as np
import pytest
from mmengine.logging import MessageHub
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.datasets.transforms import GenerateTarget
from mmpose.evaluation.metrics import CocoMetric
from toy_poses import annotation, content, prediction, write

from hpml_mm.datasets import CatPoseDataset
from hpml_mm.datasets.pose.metainfo import metainfo_file
from hpml_mm.registry import DATASETS

LEFT_RIGHT_17 = [(0, 1), (5, 8), (6, 9), (7, 10), (11, 14), (12, 15), (13, 16)]


@pytest.fixture
def load(tmp_path):
    """Load a file that is written beside its images."""

    def load(what: dict, **kwargs) -> CatPoseDataset:
        place = {'data_root': str(tmp_path), 'data_prefix': {'img': 'images/'}}
        return CatPoseDataset(write(tmp_path, what), **place, **kwargs)

    return load


def items(dataset) -> list[dict]:
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def ap10k() -> dict:
    """Two cats and a dog beside one of them, with ids as in AP-10K."""
    animals = content(
        [
            annotation(1, 1, category_id=21),
            annotation(2, 1, category_id=8, bbox=[5, 5, 90, 70]),
            annotation(3, 2, category_id=8),
            annotation(4, 3, category_id=21, bbox=[0, 0, 90, 70]),
        ]
    )
    animals['categories'] = [{'id': 8, 'name': 'dog'}, {'id': 21, 'name': 'cat'}]
    return animals


def test_names_and_pairs_of_17_keypoints():
    info = CatPoseDataset(lazy_init=True).metainfo
    names = [info['keypoint_id2name'][i] for i in range(17)]
    assert names == [
        *('L_Eye', 'R_Eye', 'Nose', 'Neck', 'Root of tail'),
        *('L_Shoulder', 'L_Elbow', 'L_F_Paw', 'R_Shoulder', 'R_Elbow', 'R_F_Paw'),
        *('L_Hip', 'L_Knee', 'L_B_Paw', 'R_Hip', 'R_Knee', 'R_B_Paw'),
    ]
    expected = list(range(17))
    for left, right in LEFT_RIGHT_17:
        expected[left], expected[right] = right, left
    assert info['flip_indices'] == expected
    sigmas = '.025 .025 .026 .035 .035 ' + '.079 .072 .062 ' * 2 + '.107 .087 .089 ' * 2
    assert info['sigmas'].tolist() == pytest.approx([float(s) for s in sigmas.split()])
    links = {tuple(names[i] for i in link) for link in info['skeleton_links']}
    assert len(links) == len(info['skeleton_link_colors']) == 17
    assert {('R_Elbow', 'R_F_Paw'), ('Root of tail', 'L_Hip')} <= links
    assert info['keypoint_colors'].shape == (17, 3)

    # Left and right weigh and belong alike.
    weights = dict(zip(range(17), info['dataset_keypoint_weights'], strict=True))
    joints, paws = (6, 9, 12, 15), (7, 10, 13, 16)
    assert [weights[i] for i in joints] == pytest.approx([1.2] * 4)
    assert [weights[i] for i in paws] == pytest.approx([1.5] * 4)
    assert {weights[i] for i in set(weights) - {*joints, *paws}} == {1}
    # Half a body is the front or the back; MMPose's own counts one front paw as back.
    assert info['upper_body_ids'] == [0, 1, 2, 3, 5, 6, 7, 8, 9, 10]
    assert info['lower_body_ids'] == [4, 11, 12, 13, 14, 15, 16]


def test_the_20_keypoints_of_animalpose():
    kind = 'hpml_mm.CatPoseDataset'
    info = DATASETS.build({'type': kind, 'keypoints': 20, 'lazy_init': True}).metainfo
    names = info['keypoint_id2name']
    assert info['num_keypoints'] == len(info['sigmas']) == 20
    assert [names[i] for i in (0, 3, 6, 7, 9, 19)] == [
        *('L_Eye', 'R_EarBase', 'TailBase', 'Withers', 'R_F_Elbow', 'R_B_Paw')
    ]
    assert info['flip_indices'][:8] == [1, 0, 3, 2, 4, 5, 6, 7]
    assert info['flip_indices'][8:] == [9, 8, 11, 10, 13, 12, 15, 14, 17, 16, 19, 18]
    assert info['dataset_keypoint_weights'][12:].tolist() == pytest.approx(
        [1.2] * 4 + [1.5] * 4
    )
    assert (
        info['dataset_name'] != CatPoseDataset(lazy_init=True).metainfo['dataset_name']
    )


def test_an_item_is_what_mmpose_expects(load):
    cats = load(content([annotation(1, 1, bbox=[-10, 20, 60, 100])]))
    (item,) = items(cats)
    # From (-10, 20) to (50, 120), clipped to the last pixel of 100 x 80.
    assert item['bbox'].tolist() == [[0, 20, 50, 79]]
    assert item['keypoints'][0, 3].tolist() == [13, 23]
    # MMPose knows labelled or not: hidden and visible are both 1.
    assert item['keypoints_visible'].tolist() == [[1] * 17]
    assert item['img_path'].endswith('images/1.jpg')
    encoder = dict(
        type='MSRAHeatmap', input_size=(100, 80), heatmap_size=(25, 20), sigma=1
    )
    target = GenerateTarget(encoder=encoder, use_dataset_keypoint_weights=True)
    weights = target(item | {'transformed_keypoints': item['keypoints']})
    assert weights['keypoint_weights'][0, [5, 6, 7]].tolist() == pytest.approx(
        [1, 1.2, 1.5]
    )


def test_an_item_is_mmposes_and_shares_nothing(load):
    cats = load(ap10k())
    info, again = cats.get_data_info(0), cats.get_data_info(0)
    theirs = BaseCocoStyleDataset.get_data_info(cats, 0)
    assert info.keys() == theirs.keys()
    for key, value in theirs.items():
        np.testing.assert_equal(info[key], value)
    info['flip_indices'][0] = 99
    info['flip_pairs'].clear()
    assert again['flip_indices'][0] == cats.metainfo['flip_indices'][0] != 99
    assert again['flip_pairs']


def test_a_metainfo_of_ones_own_comes_first():
    own = {'from_file': metainfo_file('coco_person')}
    info = CatPoseDataset(lazy_init=True, metainfo=own).metainfo
    assert info['keypoint_id2name'][16] == 'right_ankle'


@pytest.mark.parametrize(('has', 'wants'), [(20, 17), (17, 20)])
def test_a_file_with_the_other_number_of_keypoints(load, has, wants):
    what = content([annotation(n, 1, keypoints=has) for n in (1, 2)])
    message = (
        f'poses.json: annotation 1 of image 1 has {has} keypoints, the data set has '
        f'{wants}: set keypoints={has} .and 1 more'
    )
    with pytest.raises(ValueError, match=message):
        load(what, keypoints=wants)
    with pytest.raises(ValueError, match='poses.json holds no.* used; 2 were left out'):
        load(what, keypoints=wants, on_error='skip')


def test_a_bad_annotation_is_an_error_or_counted(load, messages):
    what = content(
        [annotation(1, 1), annotation(2, 2, bbox=[0, 0, 0, 9]), annotation(3, 9)]
    )
    with pytest.raises(
        ValueError, match='annotation 2 of image 2 has the empty box'
    ) as e:
        load(what)
    assert str(e.value).endswith(
        "(and 1 more problems); on_error='skip' leaves bad annotations out"
    )
    assert not messages
    cats = load(what, on_error='skip')
    assert cats.num_skipped == 2
    assert [item['id'] for item in items(cats)] == [1]
    assert len(messages) == 1
    assert messages[0].endswith(
        'poses.json: left out 2 bad annotations: 1 x empty box (annotation 2 of image '
        '2), 1 x unknown image (annotation 3 of image 9)'
    )


def test_a_missing_image_is_an_error_or_counted(tmp_path, messages):
    what = content([annotation(1, 1), annotation(2, 2), annotation(3, 2)])
    name = write(tmp_path, what)
    (tmp_path / 'images' / '2.jpg').unlink()
    kwargs = {'data_root': str(tmp_path), 'data_prefix': {'img': 'images'}}
    with pytest.raises(FileNotFoundError, match='poses.json: image 2 is not on disk'):
        CatPoseDataset(name, **kwargs)
    cats = CatPoseDataset(name, on_error='skip', **kwargs)
    # One file, two cats.
    assert cats.num_skipped == 2
    assert [item['id'] for item in items(cats)] == [1]
    assert '1 x image not on disk (image 2)' in messages[0]
    with pytest.raises(FileNotFoundError, match='and data_prefix .and 1 more'):
        CatPoseDataset(name, **kwargs | {'data_prefix': {'img': 'Images'}})


def test_what_mmpose_leaves_out_is_told(load, messages):
    hidden = annotation(2, 1, num_keypoints=0) | {'keypoints': [0] * 51}
    cats = load(content([annotation(1, 1), hidden, annotation(3, 2, iscrowd=1)]))
    assert len(cats) == 1
    assert cats.num_skipped == 0
    assert len(messages) == 1
    assert re.search(r'2 of 3 annotations are crowds or have no labelled', messages[0])


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'keypoints': 18}, 'keypoints is 18, not 17 .AP-10K'),
        ({'on_error': 'ignore'}, "'raise' or 'skip', not 'ignore'"),
        ({'on_eror': 'skip'}, 'on_eror'),
    ],
)
def test_impossible_arguments(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        CatPoseDataset(lazy_init=True, **arguments)


def test_all_items_of_an_image_in_bottomup_mode(load):
    what = content([annotation(1, 1), annotation(2, 3), annotation(3, 1)])
    cats = load(what, data_mode='bottomup', test_mode=True)
    assert [item['id'] for item in items(cats)] == [[1, 3], [2], []]


def test_ap10k_gives_its_cats_alone(load, messages):
    cats = load(ap10k())
    assert len(messages) == 1
    assert messages[0].endswith('chose 2 of 3 images and 2 of 4 annotations')
    assert [item['id'] for item in items(cats)] == [1, 4]
    assert [int(item['category_id']) for item in items(cats)] == [21, 21]
    with pytest.raises(ValueError, match="no category 'cat'; it has: cow"):
        load(content([annotation(1, 1)], name='cow'))


def evaluate(cats, metric: CocoMetric, shifts=(0.0, 0.0)) -> dict:
    metric.dataset_meta = cats.metainfo
    samples = [
        prediction(item, shift) for item, shift in zip(items(cats), shifts, strict=True)
    ]
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def test_ap10k_is_evaluated_on_its_cats_alone(load, tmp_path):
    cats = load(ap10k(), test_mode=True)
    # The whole file also holds dogs, which nothing was predicted for.
    whole = evaluate(cats, CocoMetric(ann_file=str(tmp_path / 'poses.json')))
    assert whole['coco/AP'] == pytest.approx(0.5)
    assert evaluate(cats, CocoMetric())['coco/AP'] == pytest.approx(1)
    assert evaluate(cats, CocoMetric(), (0, 99))['coco/AR'] == pytest.approx(0.5)


def test_skipped_cats_are_not_evaluated_on(load, tmp_path):
    bad = annotation(2, 2, keypoints=20)
    what = content([annotation(1, 1), bad, annotation(3, 3)])
    cats = load(what, test_mode=True, on_error='skip')
    assert evaluate(cats, CocoMetric())['coco/AR'] == pytest.approx(1)


def test_which_file_the_metric_is_told(load, tmp_path):
    hub = MessageHub.get_current_instance()
    cats = load(content([annotation(1, 1)]), test_mode=True)
    key = f'{cats.metainfo["dataset_name"]}_ann_file'
    assert hub.get_info(key) == str(tmp_path / 'poses.json')
    load(ap10k(), test_mode=True)
    told = hub.get_info(key)
    with open(told) as file:
        assert [each['id'] for each in json.load(file)['annotations']] == [1, 4]
    load(ap10k())  # for training
    assert hub.get_info(key) == told


@pytest.mark.real_data
@pytest.mark.parametrize('keypoints', [17, 20])
@pytest.mark.parametrize(
    ('split', 'images', 'annotations'), [('train', 1000, 1099), ('val', 124, 140)]
)
def test_the_real_cats(real_data, messages, keypoints, split, images, annotations):
    cats = CatPoseDataset(
        f'annotations/cats{keypoints}_{split}.json',
        data_root=str(real_data / 'cats'),
        data_prefix={'img': 'images/'},
        keypoints=keypoints,
    )
    assert cats.num_skipped == 0
    unlabelled = {(17, 'train'): 8, (20, 'train'): 1}.get((keypoints, split), 0)
    assert len(cats) == annotations - unlabelled
    assert len(messages) == bool(unlabelled)
    assert len({item['img_id'] for item in items(cats)}) <= images
    boxes = np.concatenate([item['bbox'] for item in items(cats)])
    assert (boxes[:, 2:] > boxes[:, :2]).all()
