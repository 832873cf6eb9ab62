# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Species, keypoints, semantic and panoptic maps, on made-up files and on real ones."""

import json

import hpml_mm  # noqa: F401  # isort: skip
import mmdet.datasets.transforms  # noqa: F401
import numpy as np
import pytest
from made_animals import (
    BOX,
    CATEGORIES,
    HEIGHT,
    STUFF,
    WIDTH,
    animal,
    instances,
    panoptic,
    write_animals,
)
from mmdet.datasets import CocoPanopticDataset
from mmengine.registry import TRANSFORMS, init_default_scope
from mmpose.evaluation.metrics import CocoMetric
from PIL import Image
from toy_poses import prediction

from hpml_mm.datasets import (
    AnimalKeypointDataset,
    AnimalSemanticDataset,
    AnimalSpeciesDataset,
    PanopticDataset,
)
from hpml_mm.datasets.transforms import CropBox

SPECIES = ('horse', 'cat', 'sheep')
KINDS = {
    'instances': (AnimalSpeciesDataset, AnimalSemanticDataset),
    'panoptic': (PanopticDataset,),
}


@pytest.fixture
def root(tmp_path):
    return write_animals(tmp_path, SPECIES)


def load(kind, root, name=None, **kwargs):
    file = 'panoptic' if kind is PanopticDataset else 'instances'
    path = f'annotations/{name or file}_val.json'
    return kind(ann_file=path, data_root=str(root), **kwargs)


def rewrite(root, change, name='instances'):
    """Change the content of an annotation file."""
    file = root / 'annotations' / f'{name}_val.json'
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


# --- species ---------------------------------------------------------------------


def test_a_box_is_an_item_and_its_class_has_the_name_of_its_category(root):
    def change(content):
        content['annotations'][1]['image_id'] = 1  # two species in one image
        content['annotations'] += [{**content['annotations'][0], 'iscrowd': 1}]

    rewrite(root, change)
    data = load(AnimalSpeciesDataset, root)
    assert data.CLASSES == ('cat', 'cow', 'dog', 'horse', 'sheep')
    items = [data.get_data_info(index) for index in range(len(data))]
    assert [item['gt_label'] for item in items] == [3, 0, 4]
    assert [item['ann_id'] for item in items] == [10, 20, 30]
    assert [item['img_path'][-5:] for item in items] == ['1.jpg', '1.jpg', '3.jpg']
    assert items[0]['bbox'] == list(BOX)


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        (
            'category_id',
            3,
            r'annotation 20 of image 2 has the category 3; .* are 8, 10',
        ),
        ('image_id', 9, 'annotation 20 of image 9 is of an image that is not listed'),
        ('bbox', [1, 2, 3], r'20 of image 2 has the box \[1, 2, 3\], not x, y'),
        ('bbox', [1, 2, 0, 4], r'has the box \[1, 2, 0, 4\]'),
        ('bbox', [1, 2, 'x', 4], r"has the box \[1, 2, 'x', 4\]"),
        ('bbox', None, "has no 'bbox'"),
    ],
)
def test_a_bad_box_is_an_error_that_names_it(root, key, value, message):
    rewrite(root, lambda content: content['annotations'][1].update({key: value}))
    with pytest.raises(ValueError, match=message):
        load(AnimalSpeciesDataset, root)


def test_a_file_without_a_box_is_refused(root):
    rewrite(root, lambda content: content.update(annotations=[]))
    with pytest.raises(ValueError, match=r'instances_val\.json holds no box'):
        load(AnimalSpeciesDataset, root)


def test_a_square_around_a_box_is_cut_out():
    image = np.arange(80, dtype=np.uint8).reshape(8, 10)
    cut = CropBox(scale=2)({'img': image, 'bbox': (4, 3, 2, 1)})
    # The centre is (5, 3.5) and the side 4: columns 3 to 6, rows 2 to 5 (of 1.5).
    np.testing.assert_array_equal(cut['img'], image[2:6, 3:7])
    assert cut['img_shape'] == (4, 4)


def test_what_lies_outside_the_image_is_filled():
    image = np.full((8, 10, 3), 200, np.uint8)
    cut = CropBox(scale=1, pad_value=7)({'img': image, 'bbox': (-2, 6, 4, 4)})['img']
    assert cut.shape == (4, 4, 3)
    expected = np.full((4, 4, 3), 7, np.uint8)
    expected[:2, 2:] = 200
    np.testing.assert_array_equal(cut, expected)


def test_crops_that_cannot_be():
    image = np.zeros((8, 10, 3), np.uint8)
    with pytest.raises(ValueError, match=r'a\.jpg: the box .* outside .* 10 x 8'):
        CropBox()({'img': image, 'bbox': (40, 0, 4, 4), 'img_path': 'a.jpg'})
    with pytest.raises(ValueError, match='scale=0 is not above 0'):
        CropBox(scale=0)


# --- poses -----------------------------------------------------------------------


def test_keypoints_are_animalposes_of_every_species(root):
    data = load(AnimalKeypointDataset, root, data_prefix={'img': 'images/'})
    assert len(data) == 3
    assert data.metainfo['dataset_name'] == 'animalpose'
    assert data.metainfo['num_keypoints'] == 20
    assert data.metainfo['flip_indices'][:6] == [1, 0, 3, 2, 4, 5]
    assert [c['name'] for c in data.metainfo['CLASSES']] == [
        each['name'] for each in CATEGORIES
    ]
    assert data[2]['keypoints'][0, 3].tolist() == [25, 15]


@pytest.mark.parametrize(('shift', 'expected'), [(0, 1), (99, 2 / 3)])
def test_average_precision_is_the_mean_over_species(root, shift, expected):
    """Of three species with one animal each, the keypoints of the last are moved."""
    prefix = {'img': 'images/'}
    data = load(AnimalKeypointDataset, root, data_prefix=prefix, test_mode=True)
    metric = CocoMetric()
    metric.dataset_meta = data.metainfo
    items = [data.get_data_info(index) for index in range(3)]
    metric.process({}, [prediction(item, shift * (item is items[2])) for item in items])
    assert metric.evaluate(3)['coco/AP'] == pytest.approx(expected)


# --- semantic maps ---------------------------------------------------------------


def read_map(item, **kwargs):
    init_default_scope('mmdet')
    steps = [{'type': 'LoadImageFromFile'}, kwargs]
    for step in steps:
        item = TRANSFORMS.build(step)(item)
    return item


def test_six_classes_of_21_and_void(root):
    path = root / 'semantic' / '1.png'
    image = Image.open(path)
    for column, label in enumerate((15, 8, 17, 20)):  # person, cat, sheep, monitor
        image.putpixel((column, 0), label)
    image.save(path)
    data = load(AnimalSemanticDataset, root)
    assert data.metainfo['classes'][-1] == 'background'
    truth = dict(
        type='LoadAnnotations', with_bbox=False, with_label=False, with_seg=True,
        imdecode_backend='pillow',
    )  # fmt: skip
    found = read_map(data.get_data_info(0), **truth)['gt_seg_map']
    assert found.shape == (HEIGHT, WIDTH)
    assert found[0, :5].tolist() == [5, 0, 4, 5, 5]
    assert set(found[animal()]) == {3}
    assert set(found[:, -1]) == {255}


# --- panoptic maps ---------------------------------------------------------------


def test_things_come_first_whatever_the_order_of_the_file(root):
    data = load(PanopticDataset, root)
    info = data.metainfo
    assert info['thing_classes'] == ('cat', 'cow', 'dog', 'horse', 'sheep')
    assert info['classes'][:6] == (*info['thing_classes'], 'background')
    assert len(info['classes']) == 21
    item = data.get_data_info(0)
    assert item['segments_info'] == [
        {'id': 1, 'category': 3, 'is_thing': True},
        {'id': STUFF, 'category': 5, 'is_thing': False},
    ]
    assert item['instances'] == [
        {'bbox': [20, 10, 60, 40], 'bbox_label': 3, 'ignore_flag': 0}
    ]
    loaded = read_map(item, type='LoadPanopticAnnotations')
    assert set(loaded['gt_seg_map'][animal()]) == {3}
    assert set(loaded['gt_seg_map'][:, -1]) == {255}
    np.testing.assert_array_equal(loaded['gt_masks'].masks, animal()[None])


def test_items_are_mmdetections_where_the_file_lists_things_first(root):
    def change(content):
        content['categories'].sort(key=lambda each: -each['isthing'])
        content['annotations'][1]['segments_info'][0]['iscrowd'] = 1

    rewrite(root, change, 'panoptic')
    data = load(PanopticDataset, root)
    stock = CocoPanopticDataset(
        ann_file='annotations/panoptic_val.json',
        data_root=str(root),
        data_prefix={'img': 'images/', 'seg': 'panoptic/'},
        metainfo=data.metainfo,
        test_mode=True,
    )
    for index in range(3):
        one, other = data.get_data_info(index), stock.get_data_info(index)
        assert {key: one[key] for key in other} == other


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda each: each.update(category_id=99), 'a known category_id'),
        (lambda each: each.pop('id'), 'needs an id'),
        (lambda each: each.pop('bbox'), 'a bbox'),
    ],
)
def test_a_bad_segment_is_an_error_that_names_its_image(root, change, message):
    rewrite(
        root,
        lambda content: change(content['annotations'][1]['segments_info'][0]),
        'panoptic',
    )
    with pytest.raises(ValueError, match=f'segment of image 2.*{message}'):
        load(PanopticDataset, root)


def test_an_image_without_segments_is_refused(root):
    rewrite(root, lambda content: content['annotations'].pop(1), 'panoptic')
    with pytest.raises(ValueError, match='image 2 has no segments'):
        load(PanopticDataset, root)


# --- files that are not there, or not what they should be ------------------------

ALL = [kind for kinds in KINDS.values() for kind in kinds]


@pytest.mark.parametrize('kind', ALL)
def test_files_that_cannot_be_used(root, kind):
    name = 'panoptic' if kind is PanopticDataset else 'instances'
    with pytest.raises(FileNotFoundError, match=r'none_val\.json.*set ann_file'):
        load(kind, root, name='none')
    file = root / 'annotations' / f'{name}_val.json'
    whole = file.read_text()
    file.write_text(whole[:-20])
    with pytest.raises(ValueError, match=rf'{name}_val\.json'):
        load(kind, root)
    file.write_text('[]')
    with pytest.raises(ValueError, match=rf'{name}_val\.json holds a list'):
        load(kind, root)
    file.write_text(whole)
    Image.new('RGB', (50, 50)).save(root / 'images' / '2.jpg')
    with pytest.raises(ValueError, match=r'image 2 has the size 96 x 64 .* 50 x 50'):
        load(kind, root)
    (root / 'images' / '2.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r"image 2 is not on disk.*2\.jpg'"):
        load(kind, root)


@pytest.mark.parametrize('kind', [AnimalSemanticDataset, PanopticDataset])
def test_maps_that_cannot_be_used(root, kind):
    folder = 'panoptic' if kind is PanopticDataset else 'semantic'
    path = root / folder / '3.png'
    Image.new('L', (WIDTH, HEIGHT - 1)).save(path)
    with pytest.raises(ValueError, match=rf'{folder}/3\.png.* is read as 96 x 63'):
        load(kind, root)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf'no .*{folder}/3\.png'):
        load(kind, root)


def test_made_files_are_what_they_say():
    assert [a['category_id'] for a in instances(SPECIES)['annotations']] == [13, 8, 17]
    assert panoptic(SPECIES)['categories'][0]['name'] == 'background'


# --- the real files --------------------------------------------------------------


@pytest.mark.real_data
def test_real_files_hold_what_their_readme_says(real_data):
    root = real_data / 'voc_animals'
    species = load(AnimalSpeciesDataset, root)
    labels = [species.get_data_info(index)['gt_label'] for index in range(199)]
    # Of 199 boxes 66 are horses: to say so always is right in 33.2 %.
    assert np.bincount(labels).tolist() == [39, 30, 33, 66, 31]
    poses = load(AnimalKeypointDataset, root, data_prefix={'img': 'images/'})
    assert len(poses) == 199
    semantic, maps = load(AnimalSemanticDataset, root), load(PanopticDataset, root)
    assert len(semantic) == len(maps) == 180
    assert semantic.get_data_info(7)['img_path'] == maps.get_data_info(7)['img_path']


@pytest.mark.real_data
def test_cocos_own_panoptic_format_loads(real_data):
    root = real_data / 'coco_mini'
    data = load(PanopticDataset, root)
    stock = CocoPanopticDataset(
        ann_file='annotations/panoptic_val.json', data_root=str(root),
        data_prefix=data.data_prefix, test_mode=True,
    )  # fmt: skip
    assert data.metainfo['classes'] == stock.metainfo['classes']
    assert len(data) == len(stock) == 30
    item, other = data.get_data_info(5), stock.get_data_info(5)
    assert {key: item[key] for key in other} == other
    loaded = read_map(item, type='LoadPanopticAnnotations')
    assert len(loaded['gt_masks']) == len(item['instances']) > 0
    labels = {segment['category'] for segment in item['segments_info']}
    assert set(np.unique(loaded['gt_seg_map'])) - {255} == labels
