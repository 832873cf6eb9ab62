# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Files of MMDetection's own data sets are checked before anything is built."""

import json

import hpml_mm  # noqa: F401  # isort: skip
import pytest
from made_animals import HEIGHT, WIDTH, write_animals
from mmengine.config import Config
from PIL import Image

from hpml_mm.datasets.stock_detection import check_detection

ANIMALS = ('cat', 'cow', 'dog', 'horse', 'sheep')


@pytest.fixture
def root(tmp_path):
    return write_animals(tmp_path, ('dog', 'cow', 'horse'))


def check(root, kind='CocoDataset', classes=None, **changes):
    name = 'panoptic' if 'Panoptic' in kind else 'instances'
    data = dict(
        type=kind,
        data_root=str(root),
        ann_file=f'annotations/{name}_val.json',
        data_prefix=dict(img='images/', seg='panoptic/'),
        **(dict(metainfo=dict(classes=classes)) if classes else {}),
    )
    loader = dict(dataset=dict(type='RepeatDataset', dataset=data | changes))
    cfg = Config(dict(default_scope='mmdet', val_dataloader=loader))
    check_detection(cfg, ['train', 'val'])


def rewrite(root, change, name='instances'):
    file = root / 'annotations' / f'{name}_val.json'
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_files_as_they_should_be_pass(root):
    check(root, classes=ANIMALS)
    check(root, 'CocoPanopticDataset')
    rewrite(root, lambda content: content.pop('annotations'))
    check(root, test_mode=True)  # images to be detected on need none


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('bbox', [1, 2, 3], r'20 of image 2 has the box \[1, 2, 3\], not x, y'),
        ('image_id', 9, 'is of an image that is not listed'),
        ('category_id', 99, 'has the category 99; those of the data set are 8, 10'),
        (
            'segmentation',
            {'size': [WIDTH, HEIGHT], 'counts': 'x'},
            r'a mask of the size \[96, 64\] .*, but its image has \[64, 96\]',
        ),
    ],
)
def test_a_bad_annotation_is_named(root, key, value, message):
    rewrite(root, lambda content: content['annotations'][1].update({key: value}))
    with pytest.raises(ValueError, match=rf'instances_val\.json: .*{message}'):
        check(root)


def test_boxes_that_mmdetection_leaves_out_pass(root):
    change = dict(bbox=[1, 2, 0, 3])
    rewrite(root, lambda content: content['annotations'][1].update(change))
    check(root)


@pytest.mark.parametrize('kind', ['CocoDataset', 'CocoPanopticDataset'])
def test_files_that_cannot_be_used(root, kind):
    with pytest.raises(FileNotFoundError, match='none.json.*set ann_file'):
        check(root, kind, ann_file='annotations/none.json')
    name = 'panoptic' if 'Panoptic' in kind else 'instances'
    file = root / 'annotations' / f'{name}_val.json'
    whole = file.read_text()
    file.write_text(whole[:-9])
    with pytest.raises(ValueError, match=rf'{name}_val\.json'):
        check(root, kind)
    file.write_text(whole)
    Image.new('RGB', (50, 50)).save(root / 'images' / '3.jpg')
    with pytest.raises(ValueError, match='image 3 has the size 96 x 64 .* 50 x 50'):
        check(root, kind)
    (root / 'images' / '3.jpg').unlink()
    with pytest.raises(FileNotFoundError, match=r"image 3 is not on disk.*3\.jpg'"):
        check(root, kind)


def test_maps_that_cannot_be_used(root):
    Image.new('RGB', (WIDTH, 7)).save(root / 'panoptic' / '2.png')
    with pytest.raises(ValueError, match=r'panoptic/2\.png.* is read as 96 x 7'):
        check(root, 'CocoPanopticDataset')
    (root / 'panoptic' / '2.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'no .*panoptic/2\.png'):
        check(root, 'CocoPanopticDataset')


def test_classes_are_those_of_the_file_and_in_its_order(root, messages):
    with pytest.raises(ValueError, match=r"classes has 'hors', .* cat, cow, dog"):
        check(root, classes=('cat', 'hors'))
    check(root, classes=('cow', 'horse'))
    assert messages == []
    check(root, classes=('horse', 'cow'))
    assert [text.partition('set it to ')[2] for text in messages] == [
        "['cow', 'horse']"
    ]


def test_other_data_sets_are_left_alone(root):
    check(root, 'LVISV1Dataset', ann_file='none.json')
    check(root, 'NoSuchDataset', ann_file='none.json')
    check(root, ann_file='none.json', backend_args=dict(backend='petrel'))
    check(root, data_root='s3://bucket')
