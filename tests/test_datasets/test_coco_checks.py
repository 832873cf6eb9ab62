# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What is wrong with an annotation, an image or a detected box is told by its id."""

import json
from math import inf, nan

import pytest
from mmengine.config import Config
from toy_poses import annotation, content, image, write

from hpml_mm.datasets import CocoPoseDataset
from hpml_mm.datasets.pose import coco_images
from hpml_mm.datasets.pose.coco_annotations import check_detections
from hpml_mm.datasets.pose.coco_checks import Form, check_annotations
from hpml_mm.datasets.pose.coco_images import ImageFolder, check_files
from hpml_mm.datasets.pose.coco_problem import describe


@pytest.fixture
def check(tmp_path):
    """Check a file whose images are all on disk, for 17 keypoints."""

    def check(what: dict):
        write(tmp_path, what)
        folder = str(tmp_path / 'images')
        form = Form(17, remedies={20: 'keypoints=20'})
        return check_annotations(what, form, ImageFolder(folder))

    return check


def points(index: int, value) -> dict:
    """17 keypoints, of which one value is another."""
    values = annotation(1, 1)['keypoints']
    values[index] = value
    return {'keypoints': values}


COUNT, BOX, OUTSIDE, NUMBER = (
    *('keypoint count', 'empty box', 'box outside the image', 'not a number'),
)
BAD = [
    (annotation(7, 2, keypoints=20), COUNT, 'has 20 keypoints, .* set keypoints=20'),
    (annotation(7, 2, keypoints=3), COUNT, 'has 3 keypoints, the data set has 17$'),
    ({'keypoints': [1, 2]}, COUNT, 'no list of 17'),
    ({'bbox': [10, 20, 0, 40]}, BOX, r'empty box \[10, 20, 0, 40\]'),
    ({'bbox': [10, 20, 40, -4]}, BOX, r'empty box \[10, 20, 40, -4\]'),
    ({'bbox': [10, 20]}, BOX, 'not four numbers'),
    ({'bbox': [100, 20, 40, 40]}, OUTSIDE, r'\[100, 20, 40, 40\] .* of 100 x 80'),
    ({'bbox': [-40, 20, 40, 40]}, OUTSIDE, '-40'),
    ({'bbox': [10, 80, 40, 40]}, OUTSIDE, '80'),
    ({'bbox': [10, -41, 40, 40]}, OUTSIDE, '-41'),
    # Its only column is the image's last: MMPose clips it to no width.
    ({'bbox': [99, 20, 9, 40]}, OUTSIDE, '99'),
    ({'bbox': [nan, 0, 9, 9]}, NUMBER, r'nan at bbox\[0\]'),
    (points(4, nan), NUMBER, r'nan at keypoints\[4\]'),
    (points(3, inf), NUMBER, r'inf at keypoints\[3\]'),
    (points(0, '12'), NUMBER, r"'12' at keypoints\[0\]"),
    ({'area': nan}, NUMBER, r'nan at area\[0\]'),
    ({'area': -1}, 'area', '-1'),
    (points(5, 3), 'visibility', 'visibility 3 at keypoint 1'),
    (points(50, 0.5), 'visibility', 'visibility 0.5 at keypoint 16'),
    ({'category_id': 'cat'}, 'id', "category_id 'cat', not an integer"),
    ({'bbox': None}, 'no box', "'bbox'"),
    ({'keypoints': None}, 'missing key', "'keypoints'"),
    ({'category_id': None}, 'missing key', "'category_id'"),
    ({'image_id': 9}, 'unknown image', 'not in the file'),
    ({'id': 1}, 'duplicate annotation id', 'one of image 1'),
]


@pytest.mark.parametrize(('changes', 'kind', 'text'), BAD)
def test_a_bad_annotation_is_told_and_left_out(check, changes, kind, text):
    good = [annotation(1, 1), annotation(9, 2)]
    bad = annotation(7, 2) | changes
    kept, (problem,) = check(content([good[0], bad, good[1]]))
    assert problem.kind == kind
    assert problem.entry == f'annotation {bad["id"]} of image {bad["image_id"]}'
    with pytest.raises(ValueError, match=text):
        raise problem.error(problem.text)
    assert kept['annotations'] == good
    assert len(kept['images']) == 3


def test_annotations_that_cannot_be_named_by_id_are_named_by_place(check):
    nameless, homeless = annotation(5, 1), annotation(6, 1)
    del nameless['id'], homeless['image_id']
    _, problems = check(content([annotation(1, 1), nameless, homeless]))
    assert [(problem.entry, problem.text) for problem in problems] == [
        ('annotations[1] of image 1', "has no 'id'"),
        ('annotation 6', "has no 'image_id'"),
    ]


@pytest.mark.parametrize(
    ('changes', 'text'),
    [
        ({'width': None}, "no 'width'"),
        ({'height': 0}, '100 x 0'),
        ({'width': '100'}, "'100' x 80"),
        ({'file_name': None}, "'file_name'"),
        ({'file_name': 3}, 'file_name 3, not a text'),
        ({'id': '2'}, "id '2', not an integer"),
    ],
)
def test_a_bad_image_is_one_problem_and_takes_its_annotations_along(
    check, changes, text
):
    bad = image(2) | changes
    poses = [annotation(1, 1), annotation(3, 3)]
    if bad['id'] == 2:
        poses.insert(1, annotation(2, 2))
    kept, (problem,) = check(content(poses, [image(1), bad, image(3)]))
    assert problem.entry == 'image 2'
    assert text in problem.text
    assert [each['id'] for each in kept['annotations']] == [1, 3]
    assert [each['id'] for each in kept['images']] == [1, 3]


def test_an_image_that_is_there_twice(check):
    twice = [image(1), image(2), image(1)]
    kept, (problem,) = check(content([annotation(1, 1)], twice))
    assert problem.entry == 'image 1'
    assert "twice: '1.jpg' and '1.jpg'" in problem.text
    assert kept['images'] == [image(1), image(2)]


def test_images_that_are_not_on_disk(tmp_path):
    names = ('a/1.jpg', 'b/1.jpg', 'b/2.jpg', 'c/1.jpg', 'c/2.jpg')
    images = [image(n) | {'file_name': name} for n, name in enumerate(names)]
    for name in ('a/1.jpg', 'b/2.jpg'):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    # Image 4 has no annotation, so nothing would read it.
    what = content([annotation(n, n) for n in range(4)], images)
    kept, problems = check_annotations(what, Form(17), ImageFolder(str(tmp_path)))
    assert [problem.entry for problem in problems] == ['image 1', 'image 3']
    assert {problem.error for problem in problems} == {FileNotFoundError}
    assert f"'{tmp_path}/b/1.jpg'" in problems[0].text
    assert [each['id'] for each in kept['annotations']] == [0, 2]
    assert [each['id'] for each in kept['images']] == [0, 2, 4]


def test_sizes_of_so_many_images_are_read_evenly_spread(monkeypatch):
    class Folder(ImageFolder):
        read: list = []

        def has(self, name: str) -> bool:
            return True

        def size(self, name: str) -> tuple[int, int]:
            self.read.append(name)
            return (100, 80) if name != '7.jpg' else (80, 100)

    images = {number: image(number) for number in range(1, 10)}
    monkeypatch.setattr(coco_images, 'SIZES_READ', 4)
    problems = check_files(images, Folder(''))
    assert Folder.read == ['1.jpg', '4.jpg', '7.jpg']
    assert [problem.entry for problem in problems.values()] == ['image 7']
    monkeypatch.setattr(coco_images, 'SIZES_READ', 9)
    Folder.read.clear()
    check_files(images, Folder(''))
    assert len(Folder.read) == 9


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
    first = '; '.join(f'annotation {n} of image 1' for n in range(10, 15))
    assert describe(problems) == (
        f'7 x empty box ({first}; ...), 1 x keypoint count (annotation 20 of image 3)'
    )


GOOD = {'image_id': 1, 'category_id': 1, 'bbox': [0, 0, 4, 4], 'score': 0.5}


@pytest.fixture
def detect(tmp_path):
    """Check a file of detected boxes in image 1."""

    def detect(text: str) -> None:
        file = tmp_path / 'boxes.json'
        file.write_text(text)
        check_detections(str(file), {1})

    return detect


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
def test_malformed_detections(detect, text, message):
    with pytest.raises(ValueError, match=f'boxes.json.*{message}'):
        detect(text)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'image_id': 5}, 'image 5, not in the annotation file'),
        ({'bbox': [0, 0, 1]}, r'\[0, 0, 1\], not four'),
        ({'bbox': [0, 0, 1, nan]}, 'nan in its box or score'),
        ({'bbox': [0, -inf, 1, 1]}, '-inf in'),
        ({'bbox': [0, None, 1, 1]}, 'None in'),
        ({'bbox': [0, 10**400, 1, 1]}, f'1{"0" * 39} in'),
        ({'score': 'high'}, "'high' in its box or score"),
        ({'bbox': [0, 0, 0, 4]}, r'empty box \[0, 0, 0, 4\]'),
    ],
)
def test_a_bad_detection_is_named(detect, changes, message):
    large = GOOD | {'bbox': [10**300, 0, 1e308, 1]}
    detect(json.dumps([GOOD, large]))
    with pytest.raises(ValueError, match=f'detection 1 .*{message}'):
        detect(json.dumps([GOOD, GOOD | changes]))
    # MMPose reads persons only, so what is not one may be anything.
    detect(json.dumps([GOOD, GOOD | changes | {'category_id': 18}]))


def test_sigmas_of_another_number_are_told_before_a_file_is_read():
    own = CocoPoseDataset.METAINFO
    info = Config.fromfile(own['from_file']).dataset_info.to_dict()
    info['sigmas'] = info['sigmas'][:16]
    with pytest.raises(ValueError, match="'coco' has 16 sigmas for 17 keypoints"):
        CocoPoseDataset('absent.json', metainfo=info)
