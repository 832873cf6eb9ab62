# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""MMPose's own data sets: refused where MMPose is wrong, and nowhere else."""

import json

import pytest
from exported_files import (
    box_area,
    categories,
    each,
    first,
    images,
    nested,
    point,
    whole_file,
    without,
)
from mmengine.config import Config
from mmpose.datasets import CocoDataset
from mmpose.evaluation.metrics import CocoMetric
from PIL import Image
from toy_poses import HEIGHT, WIDTH, prediction

from hpml_mm.datasets.pose.metainfo import metainfo_file
from hpml_mm.datasets.pose.stock_annotations import check_loaders


@pytest.fixture
def file(tmp_path):
    """Write a changed file beside its images; returns arguments of a data set."""

    def write(change=None, name: str = 'a.json') -> dict:
        content = whole_file()
        for number in (1, 2, 3):
            Image.new('L', (WIDTH, HEIGHT)).save(tmp_path / f'{number}.png')
        if change:
            change(content)
        (tmp_path / name).write_text(json.dumps(content))
        folder = {'img': str(tmp_path)}
        return {'ann_file': str(tmp_path / name), 'data_prefix': folder}

    return write


def check(
    mode: str, dataset: dict, evaluator=None, kind: str = 'CocoDataset', **loader
):
    """Check a config of one loader and its evaluator."""
    dataset = {'type': kind, 'test_mode': mode != 'train', **dataset}
    cfg = {
        'default_scope': 'mmpose',
        f'{mode}_dataloader': {'dataset': dataset},
        f'{mode}_evaluator': evaluator or {'type': 'CocoMetric'},
    }
    check_loaders(Config(cfg), (mode,))


def is_refused(mode: str, dataset: dict) -> bool:
    try:
        check(mode, dataset)
    except ValueError:
        return True
    return False


def score(dataset: dict) -> float | None:
    """AP of perfect poses by MMPose alone; None if it fails."""
    try:
        stock = CocoDataset(test_mode=True, **dataset)
        metric = CocoMetric()
        metric.dataset_meta = stock.metainfo
        items = [stock.get_data_info(i) for i in range(len(stock))]
        metric.process({}, [prediction(item) for item in items])
        return metric.evaluate(len(items))['coco/AP']
    except (KeyError, IndexError, TypeError, ValueError):
        return None


# Whether MMPose trains on a file as it is meant.
FACTS = [
    ('as it should be', lambda content: None, True),
    ('area of the box', each(area=box_area), True),
    ('iscrowd false', each(iscrowd=False), True),
    ('no iscrowd', without('iscrowd'), True),
    ('no num_keypoints', without('num_keypoints'), True),
    ('num_keypoints of those in sight', each(num_keypoints=3), True),
    ('num_keypoints as a text', each(num_keypoints='17'), True),
    ('absent keypoint', point(9, 9, 0), True),
    ('category from 0', categories({'id': 0, 'name': 'a'}, used=0), True),
    ('unknown category', each(category_id=0), True),
    ('no categories', lambda content: content.pop('categories'), True),
    ('iscrowd null', each(iscrowd=None), True),
    ('area 0', each(area=0), True),
    ('no area', without('area'), True),
    ('nested keypoints', each(keypoints=nested), True),
    ('iscrowd as a text', each(iscrowd='0'), False),
    ('num_keypoints 0', first(num_keypoints=0), False),
    ('NaN', point(float('nan'), 1, 0), False),
    ('null', point(None, None, 0), False),
    ('no width', without('width', part='images'), False),
    ('ids as texts', images(id=lambda image: str(image['id'])), False),
    ('nothing labelled', each(keypoints=[0] * 51), False),
    ('ids of each image', each(id=1), False),
    ('ids below 0', first(id=-1), False),
]


@pytest.mark.parametrize(
    ('change', 'trains'), [row[1:] for row in FACTS], ids=[row[0] for row in FACTS]
)
def test_what_mmpose_reads_rightly_is_not_refused(file, change, trains):
    dataset = file(change)
    found = score(dataset)
    right = found is not None and found == pytest.approx(1)
    # A person who is left out by mistake is missing from both sides of the score.
    left_out = len(CocoDataset(**dataset)) < 5 if right else False
    assert is_refused('val', dataset) == (not right or left_out)
    assert is_refused('train', dataset) == (not trains)


def test_an_error_has_file_entry_value_and_remedy(file):
    dataset = file(each(iscrowd='0'))
    with pytest.raises(ValueError, match='a.json') as caught:
        check('train', dataset)
    assert str(caught.value) == (
        f"{dataset['ann_file']}: annotation 1 of image 1 has iscrowd '0', read as 0 "
        '(and 4 more problems); MMPose reads it otherwise: mend the file, or read it '
        'with hpml_mm.CocoPoseDataset and your metainfo'
    )
    with pytest.raises(FileNotFoundError, match='image 1 is not on disk'):
        check('train', file(images(file_name=lambda image: 'gone.png')))
    with pytest.raises(FileNotFoundError, match=r"annotation file '.*gone.json'"):
        check('train', file() | {'ann_file': 'gone.json'})


def test_areas_matter_to_a_metric_that_uses_them(file):
    dataset = file(without('area'))
    with pytest.raises(ValueError, match='has no area .*, or set use_area=False'):
        check('val', dataset)
    check('val', dataset, [{'type': 'CocoMetric', 'use_area': False}])
    check('val', dataset, {'type': 'PCKAccuracy'})
    check('test', file(each(area=1)), {'type': 'CocoMetric', 'use_area': False})
    with pytest.raises(ValueError, match='its areas are 0.000571 of their boxes'):
        check('test', file(each(area=1)))


def test_data_sets_within_others_and_metrics_beside_each_other(file):
    good, bad = file(), file(without('area'), 'b.json')
    parts = [{'type': 'CocoDataset', 'test_mode': True, **one} for one in (good, bad)]
    dataset = {'metainfo': {}, 'datasets': parts}
    metrics = [{'type': 'CocoMetric'}, {'type': 'CocoMetric', 'use_area': False}]
    evaluator = {'type': 'MultiDatasetEvaluator', 'metrics': metrics}
    check('val', dataset, evaluator, kind='CombinedDataset')
    evaluator['metrics'] = metrics[::-1]
    check(
        'val', dataset, {**evaluator, 'metrics': [metrics[1]]}, kind='CombinedDataset'
    )
    with pytest.raises(ValueError, match='b.json: annotation 1 of image 1 has no area'):
        check('val', dataset, evaluator, kind='CombinedDataset')


def test_a_file_that_a_metric_reads_by_itself(file):
    """Our data set puts it right for itself alone."""
    dataset = file(each(iscrowd='0'))
    check('val', dataset, kind='hpml_mm.CocoPoseDataset')
    evaluator = {'type': 'CocoMetric', 'ann_file': dataset['ann_file']}
    for kind in ('hpml_mm.CocoPoseDataset', 'CocoDataset'):
        with pytest.raises(ValueError, match="has iscrowd '0'"):
            check('val', dataset, evaluator, kind=kind)
    with pytest.raises(ValueError, match="a.json: .* has iscrowd '0'"):
        check('val', file(name='b.json'), evaluator)


def test_images_of_another_place_are_not_looked_for(file):
    dataset = file(images(file_name=lambda image: 'gone.png'))
    steps = [{'type': 'LoadImage', 'backend_args': {'backend': 'petrel'}}]
    check('train', {**dataset, 'pipeline': steps})
    with pytest.raises(FileNotFoundError, match='gone.png'):
        check('train', {**dataset, 'pipeline': [{'type': 'LoadImage'}]})


def test_objects_that_mmpose_leaves_out_are_counted(file, messages):
    check('val', file(first(bbox=[0, 0, 0, 0])))
    assert [text for text in messages if 'a.json' in text] == [
        f'{file()["ann_file"]}: MMPose leaves out 1 x empty box (annotation 1 of image '
        '1), and counts them as missed'
    ]


def test_objects_without_a_box_are_left_out_of_training_alone(file, messages):
    def boxless(content: dict) -> None:
        del content['annotations'][2]['bbox']

    check('train', file(boxless))
    assert 'leaves out 1 x no box (annotation 3 of image 3)' in ''.join(messages)
    with pytest.raises(ValueError, match="annotation 3 of image 3 has no 'bbox'"):
        check('val', file(boxless))
    with pytest.raises(ValueError, match="annotation 1 of image 1 has no 'bbox'"):
        check('train', file(without('bbox')))


def test_categories_and_annotations_count_alike(file):
    def texts(content: dict) -> None:
        content['categories'][0]['id'] = '1'

    with pytest.raises(ValueError, match="category 'person' has the id '1', read as 1"):
        check('val', file(texts))


def test_sigmas_that_the_metric_cannot_use(file):
    path = metainfo_file('coco_person')
    info = Config.fromfile(path).dataset_info.to_dict()
    info['sigmas'] = info['sigmas'][:16]
    with pytest.raises(ValueError, match='CocoDataset: .* 16 sigmas for 17 keypoints'):
        check('val', file() | {'metainfo': info})
    info['sigmas'] = []  # as MMPose has it of hands and faces
    check('val', file() | {'metainfo': info}, {'type': 'PCKAccuracy'})
    with pytest.raises(ValueError, match='has 0 sigmas for 17 keypoints'):
        check('val', file() | {'metainfo': info})


def test_crowdpose_counts_only_keypoints_in_sight(file):
    def poses(content: dict) -> None:
        for annotation in content['annotations']:
            annotation.update(keypoints=[20, 30, 1] * 14, num_keypoints=0)

    check('train', file(poses), kind='CrowdPoseDataset')


def test_the_whole_body_has_five_lists(file):
    sizes = {'foot': 6, 'face': 68, 'lefthand': 21, 'righthand': 21}
    lists = {f'{part}_kpts': [20, 30, 0.7] * size for part, size in sizes.items()}
    check('train', file(each(**lists)), kind='CocoWholeBodyDataset')
    lists['face_kpts'] = lists['face_kpts'][3:]
    message = 'annotation 1 of image 1 has 132 keypoints, the data set has 133'
    with pytest.raises(ValueError, match=message):
        check('train', file(each(**lists)), kind='CocoWholeBodyDataset')
    with pytest.raises(ValueError, match='has foot_kpts that are no list of 133'):
        check('train', file(), kind='CocoWholeBodyDataset')


def test_data_sets_with_keys_of_their_own(file):
    """WFLW reads center and scale instead of a box, and 98 keypoints."""

    def faces(content: dict) -> None:
        for annotation in content['annotations']:
            del annotation['bbox']
            annotation.update(keypoints=[20, 30, 2] * 98, center=[20, 30], scale=0.2)

    check('train', file(faces), {'type': 'NME', 'norm_mode': 'x'}, kind='WFLWDataset')
    with pytest.raises(ValueError, match="has iscrowd '0'"):
        check('train', file(each(iscrowd='0')), kind='WFLWDataset')


def test_detected_boxes(file, tmp_path):
    boxes = tmp_path / 'boxes.json'
    found = {'image_id': 1, 'category_id': 1, 'bbox': [1, 2, 3, 4], 'score': 0.5}
    boxes.write_text(json.dumps([found]))
    check('val', file() | {'bbox_file': str(boxes)})
    boxes.write_text(json.dumps([found, found | {'image_id': 7}]))
    with pytest.raises(ValueError, match='detection 1 names image 7'):
        check('val', file() | {'bbox_file': str(boxes)})


MPII = {
    'image': '1.png',
    'center': [50.0, 40.0],
    'scale': 0.3,
    'joints': [[10, 20]] * 16,
    'joints_vis': [1] * 16,
}


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'scale': 0}, 'entry 1 has the scale 0'),
        ({'center': [1]}, r'entry 1 has the center \[1\], not x, y'),
        ({'joints': [[1, 2]] * 15}, 'joints that are no list of 16 points'),
        ({'joints': [[1, None]] * 16}, r'the joint \[1, None\], not x, y'),
        ({'joints_vis': [2] * 16}, 'joints_vis .*, not 0 or 1 each'),
        ({'joints_vis': [1]}, 'joints_vis that are no list of 16'),
        ({'image': 'face.png'}, "the image 'face.png', not a number"),
        ({'image': '9.png'}, "9.png', which is not on disk"),
    ],
)
def test_mpii_has_a_form_of_its_own(file, changes, message):
    dataset = file()

    def write(content) -> None:
        with open(dataset['ann_file'], 'w') as target:
            json.dump(content, target)

    write([MPII, MPII])
    check('train', dataset, kind='MpiiDataset')
    write([MPII, MPII | changes])
    with pytest.raises((ValueError, FileNotFoundError), match=f'a.json: .*{message}'):
        check('train', dataset, kind='MpiiDataset')
    write({'annotations': []})
    with pytest.raises(ValueError, match='no list of persons as MPII has it'):
        check('train', dataset, kind='MpiiDataset')
