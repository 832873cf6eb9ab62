# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json

import pytest
from toy_poses import annotation, content, image, write

from hpml_mm.compat.xtcocotools.coco import COCO
from hpml_mm.datasets.pose.coco_annotations import (
    read_annotations,
    select_images,
)


def test_malformed_files_are_named_with_line_and_column(tmp_path):
    file = tmp_path / 'poses.json'
    with pytest.raises(FileNotFoundError, match='poses.json.*data_root, or HPML_MM_DA'):
        read_annotations(str(file))
    file.write_text('{"images": [],\n "annotations" []}')
    with pytest.raises(
        ValueError, match='poses.json, line 2, column 16: not JSON: Exp'
    ):
        read_annotations(str(file))
    file.write_bytes(b'\xff\xd8\xff')
    with pytest.raises(ValueError, match='poses.json: byte 0 is not UTF-8'):
        read_annotations(str(file))


@pytest.mark.parametrize(
    ('what', 'message'),
    [
        ([1], 'holds a list, not an object'),
        ({'images': [], 'info': {}}, "no list 'annotations'; it has: images, info"),
        (content([]) | {'categories': None}, "no list 'categories'"),
        (content([annotation(1, 1), None]), r'annotations\[1\] is no object'),
    ],
)
def test_files_of_another_form(tmp_path, what, message):
    file = tmp_path / 'poses.json'
    file.write_text(json.dumps(what))
    with pytest.raises(ValueError, match=message):
        read_annotations(str(file))


def test_images_to_detect_on_need_no_annotations(tmp_path):
    file = tmp_path / 'test-dev.json'
    file.write_text(json.dumps({'images': [image(1)], 'categories': []}))
    assert read_annotations(str(file), ('annotations',))['annotations'] == []


@pytest.mark.parametrize('number', [1, 7, 39])
def test_the_first_images_are_those_of_coco(tmp_path, number):
    """In the order of a set: not that of the file, and not sorted."""
    ids = [(i * 7919) % 100_003 for i in range(1, 61)]
    persons = content(
        [
            annotation(n, i, category_id=1 + n % 2)
            for n, i in enumerate(ids + ids[::-3])
        ],
        [image(i) for i in ids],
    )
    file = tmp_path / write(tmp_path, persons)
    expected = COCO(str(file)).getImgIds(catIds=1)[:number]
    chosen = select_images(persons, number, category_id=1)
    assert [each['id'] for each in chosen['images']] == expected
    assert {each['image_id'] for each in chosen['annotations']} == set(expected)


def test_no_more_images_than_there_are():
    """The file stays whole: detections also count where there is nobody."""
    persons = content([annotation(1, 3), annotation(2, 1)])
    assert select_images(persons, 2, category_id=1) == persons
