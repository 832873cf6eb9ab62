# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json
from math import inf, nan

import pytest
from toy_poses import annotation, content, image, write
from xtcocotools.coco import COCO

from hpml_mm.datasets.pose.coco_annotations import (
    check_annotations,
    check_detections,
    find_absent,
    read_annotations,
    select_category,
    select_images,
)
from hpml_mm.datasets.pose.coco_checks import describe


@pytest.fixture
def check(tmp_path):
    """Check a file whose images are all on disk, for 17 keypoints."""

    def check(what: dict):
        write(tmp_path, what)
        folder = str(tmp_path / 'images')
        return check_annotations(what, 17, folder, {20: 'keypoints=20'})

    return check


def points(**changes) -> list:
    """17 keypoints, of which the values at some indices are others."""
    values = annotation(1, 1)['keypoints']
    for index, value in changes.items():
        values[int(index[1:])] = value
    return values


def without(key: str) -> dict:
    bad = annotation(7, 2)
    del bad[key]
    return bad


@pytest.mark.parametrize(
    ('bad', 'kind', 'sentence'),
    [
        (
            annotation(7, 2, keypoints=20),
            'keypoint count',
            'has 20 keypoints, the data set has 17: set keypoints=20',
        ),
        (
            annotation(7, 2, keypoints=3),
            'keypoint count',
            'has 3 keypoints, the data set has 17',
        ),
        (
            annotation(7, 2) | {'keypoints': [1, 2]},
            'keypoint count',
            'has keypoints that are no list of 17 times x, y, visibility',
        ),
        (annotation(7, 2, bbox=[10, 20, 0, 40]), 'empty box', 'has the empty box'),
        (annotation(7, 2, bbox=[10, 20, 40, -4]), 'empty box', 'has the empty box'),
        (annotation(7, 2, bbox=[10, 20]), 'empty box', 'not four numbers'),
        (
            annotation(7, 2, bbox=[100, 20, 40, 40]),
            'box outside the image',
            'has the box [100, 20, 40, 40] (x, y, w, h) outside its image of 100 x 80',
        ),
        (annotation(7, 2, bbox=[-40, 20, 40, 40]), 'box outside the image', 'outside'),
        (annotation(7, 2, bbox=[10, 80, 40, 40]), 'box outside the image', 'outside'),
        (annotation(7, 2, bbox=[10, -41, 40, 40]), 'box outside the image', 'outside'),
        # Its only column is the image's last: MMPose clips it to no width.
        (annotation(7, 2, bbox=[99, 20, 9, 40]), 'box outside the image', 'outside'),
        (
            annotation(7, 2, bbox=[nan, 0, 9, 9]),
            'not a number',
            'bbox[0]',
        ),
        (
            annotation(7, 2) | {'keypoints': points(_4=nan)},
            'not a number',
            'has nan at keypoints[4]',
        ),
        (
            annotation(7, 2) | {'keypoints': points(_3=inf)},
            'not a number',
            'has inf at keypoints[3]',
        ),
        (
            annotation(7, 2) | {'keypoints': points(_0='12')},
            'not a number',
            "has '12' at keypoints[0]",
        ),
        (annotation(7, 2, area=nan), 'not a number', 'has nan at area[0]'),
        (
            annotation(7, 2) | {'keypoints': points(_5=3)},
            'visibility',
            'has visibility 3 at keypoint 1, not 0 ',
        ),
        (
            annotation(7, 2) | {'keypoints': points(_50=0.5)},
            'visibility',
            'has visibility 0.5 at keypoint 16, not 0 ',
        ),
        (
            annotation(7, 2, category_id='cat'),
            'id',
            "has the category_id 'cat', not an integer",
        ),
        (without('bbox'), 'missing key', "has no 'bbox'"),
        (without('keypoints'), 'missing key', "has no 'keypoints'"),
        (without('category_id'), 'missing key', "has no 'category_id'"),
    ],
)
def test_a_bad_annotation_is_told_and_left_out(check, bad, kind, sentence):
    good = [annotation(1, 1), annotation(9, 2)]
    kept, (problem,) = check(content([good[0], bad, good[1]]))
    assert problem.kind == kind
    assert problem.entry == 'annotation 7 of image 2'
    assert problem.text.startswith(sentence) or sentence in problem.text
    assert kept['annotations'] == good
    assert len(kept['images']) == 3


def test_annotations_that_cannot_be_named_by_id_are_named_by_place(check):
    nameless = annotation(5, 1)
    del nameless['id']
    homeless = annotation(6, 1)
    del homeless['image_id']
    _, problems = check(content([annotation(1, 1), nameless, homeless]))
    assert [problem.entry for problem in problems] == [
        'annotations[1] of image 1',
        'annotation 6',
    ]
    assert [problem.text for problem in problems] == [
        "has no 'id'",
        "has no 'image_id'",
    ]


def test_unknown_images_and_ids_that_are_there_twice(check):
    first, second = annotation(1, 1), annotation(1, 2)
    kept, problems = check(
        content([first, second, annotation(3, 8)], [image(1), image(2), image(1)])
    )
    assert [(each.kind, each.entry, each.text) for each in problems] == [
        ('duplicate image id', 'image 1', "is there twice: '1.jpg' and '1.jpg'"),
        (
            'duplicate annotation id',
            'annotation 1 of image 2',
            'has the id of one of image 1',
        ),
        (
            'unknown image',
            'annotation 3 of image 8',
            'names an image that is not in the file',
        ),
    ]
    assert kept['annotations'] == [first]
    assert kept['images'] == [image(1), image(2)]


def test_a_bad_image_is_one_problem_and_takes_its_annotations_along(check):
    narrow = image(2)
    del narrow['width']
    kept, (problem,) = check(
        content([annotation(n, n) for n in (1, 2, 3)], [image(1), narrow, image(3)])
    )
    assert (problem.kind, problem.entry) == ('missing key', 'image 2')
    assert problem.text == "has no 'width'"
    assert [each['id'] for each in kept['annotations']] == [1, 3]
    assert [each['id'] for each in kept['images']] == [1, 3]


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'height': 0}, 'has the size 100 x 0'),
        ({'width': '100'}, "has the size '100' x 80"),
        ({'file_name': None}, "has no 'file_name'"),
        ({'id': '2'}, "has the id '2', not an integer"),
    ],
)
def test_a_bad_image_is_told(check, changes, sentence):
    _, (problem,) = check(content([], [image(1), image(2) | changes]))
    assert problem.entry == 'image 2'
    assert problem.text == sentence


def test_an_image_that_is_not_on_disk(tmp_path):
    what = content([annotation(n, n) for n in (1, 2)])
    write(tmp_path, what)
    folder = tmp_path / 'images'
    # Image 3 has no annotation, so nothing would read it.
    for name in ('2.jpg', '3.jpg'):
        (folder / name).unlink()
    kept, (problem,) = check_annotations(what, 17, str(folder))
    assert problem.entry == 'image 2'
    assert problem.error is FileNotFoundError
    assert f"there is no '{folder}/2.jpg'" in problem.text
    assert [each['id'] for each in kept['annotations']] == [1]
    assert [each['id'] for each in kept['images']] == [1, 3]


def test_images_may_lie_in_several_folders(tmp_path):
    for name in ('a/1.jpg', 'b/2.jpg'):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    names = ('a/1.jpg', 'b/1.jpg', 'b/2.jpg', 'c/1.jpg')
    absent = find_absent([{'file_name': name} for name in names], str(tmp_path))
    assert [found['file_name'] for found, _ in absent] == ['b/1.jpg', 'c/1.jpg']


@pytest.mark.parametrize(
    'usual',
    [
        # Boxes that reach over the image's edges are clipped.
        annotation(1, 1, bbox=[-5, -5, 200, 200]),
        annotation(1, 1, bbox=[98.5, 78.5, 5, 5]),
        # COCO has crowds, and persons too small to label, with any box.
        annotation(1, 1, iscrowd=1, bbox=[0, 0, 0, 0], keypoints=17),
        annotation(1, 1, bbox=[0, 0, 0, 0]) | {'keypoints': [0] * 51},
        annotation(1, 1) | {'keypoints': [0.0, 0.0, 0.0] * 16 + [5.5, 6.5, 1.0]},
        {key: value for key, value in annotation(1, 1).items() if key != 'area'},
    ],
)
def test_what_is_no_error(check, usual):
    kept, problems = check(content([usual]))
    assert problems == []
    assert kept['annotations'] == [usual]


def test_problems_are_counted_by_kind_with_the_first_of_each(check):
    bad = [annotation(n, 1, bbox=[0, 0, 0, 0]) for n in range(10, 17)]
    bad.append(annotation(20, 3, keypoints=4))
    _, problems = check(content(bad))
    assert describe(problems) == (
        '7 x empty box (annotation 10 of image 1; annotation 11 of image 1; '
        'annotation 12 of image 1; annotation 13 of image 1; annotation 14 of image 1; '
        '...), 1 x keypoint count (annotation 20 of image 3)'
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
    with pytest.raises(ValueError, match='poses.json: not JSON: .*utf-8'):
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
    assert read_annotations(str(file), labelled=False)['annotations'] == []


def test_one_category_is_chosen_by_name():
    animals = content(
        [
            annotation(1, 1, category_id=4),
            annotation(2, 1, category_id=21),
            annotation(3, 2, category_id=4),
            annotation(4, 9, category_id=21),
        ]
    )
    animals['categories'] = [{'id': 4, 'name': 'dog'}, {'id': 21, 'name': 'cat'}]
    cats = select_category(animals, 'cat', 'animals.json')
    assert [each['id'] for each in cats['annotations']] == [2, 4]
    # Image 2 shows a dog only, image 3 nothing that is annotated.
    assert [each['id'] for each in cats['images']] == [1, 3]
    assert cats['categories'] == [{'id': 21, 'name': 'cat'}]
    with pytest.raises(
        ValueError, match="animals.json has no.*'cow'; it has: dog, cat"
    ):
        select_category(animals, 'cow', 'animals.json')


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


def test_the_order_of_the_first_images_by_hand():
    """A set of three has eight places: 36 % 8 = 4, 785 % 8 = 1, 2 % 8 = 2."""
    persons = content(
        [annotation(n, i) for n, i in enumerate((36, 2, 785))],
        [image(i) for i in (2, 36, 785)],
    )
    chosen = select_images(persons, 2, category_id=1)
    assert [each['id'] for each in chosen['images']] == [785, 2]
    assert [each['image_id'] for each in chosen['annotations']] == [2, 785]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('[{"image_id": 1,]', 'line 1, column 17: not JSON'),
        ('{"annotations": []}', 'holds a dict, not the list of'),
        ('[1]', 'detection 0 is no object but 1'),
        ('[{"category_id": 2}, {"category_id": 1, "image_id": 1}]', "1 has no 'bbox'"),
        ('[{"image_id": 1}]', "detection 0 has no 'category_id'"),
    ],
)
def test_malformed_detections(tmp_path, text, message):
    file = tmp_path / 'boxes.json'
    file.write_text(text)
    with pytest.raises(ValueError, match=f'boxes.json.*{message}'):
        check_detections(str(file), {1})


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'image_id': 5}, 'detection 1 names image 5, not in the annotation file'),
        ({'bbox': [0, 0, 1]}, r'detection 1 has the box \[0, 0, 1\], not four'),
        ({'bbox': [0, 0, 1, nan]}, 'detection 1 has nan in its box or score'),
        ({'score': 'high'}, "detection 1 has 'high' in its box or score"),
        ({'bbox': [0, 0, 0, 4]}, r'detection 1 has the empty box \[0, 0, 0, 4\]'),
    ],
)
def test_a_bad_detection_is_named(tmp_path, changes, message):
    good = {'image_id': 1, 'category_id': 1, 'bbox': [0, 0, 4, 4], 'score': 0.5}
    file = tmp_path / 'boxes.json'
    file.write_text(json.dumps([good, good]))
    check_detections(str(file), {1})
    file.write_text(json.dumps([good, good | changes]))
    with pytest.raises(ValueError, match=message):
        check_detections(str(file), {1})
    # MMPose reads persons only, so what is not one may be anything.
    file.write_text(json.dumps([good, good | changes | {'category_id': 18}]))
    check_detections(str(file), {1})


def test_missing_detections(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="detected boxes.*no.json': set bbox_fi"
    ):
        check_detections(str(tmp_path / 'no.json'), set())
