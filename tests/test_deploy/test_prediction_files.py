# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json
import re
from pathlib import Path

import pytest

from hpml_mm.deploy.predict import ClassPrediction
from hpml_mm.deploy.prediction_files import (
    agreement_line,
    find_images,
    line_of,
    read_boxes,
    record_of,
)


def test_files_and_folders_with_the_names_of_their_drawings(tmp_path):
    for name in ('in/b.png', 'in/sub/a.JPG', 'in/notes.txt', 'c.bmp'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = find_images([tmp_path / 'c.bmp', tmp_path / 'in', 'none.jpg'], 'out')
    assert found == [
        (tmp_path / 'c.bmp', Path('out/c.bmp.png')),
        (tmp_path / 'in/b.png', Path('out/b.png.png')),
        (tmp_path / 'in/sub/a.JPG', Path('out/sub/a.JPG.png')),
        (Path('none.jpg'), Path('out/none.jpg.png')),
    ]


def test_earlier_drawings_and_litter_are_no_images(tmp_path):
    for name in ('a.png', 'out/a.png.png', '._a.png', '__MACOSX/._b.png', '.x/c.png'):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    out = tmp_path / 'out'
    assert find_images([tmp_path], out) == [(tmp_path / 'a.png', out / 'a.png.png')]
    assert find_images([tmp_path]) == [
        (tmp_path / 'a.png', None),
        (out / 'a.png.png', None),
    ]
    # Without drawings no two of them can have one name.
    assert len(find_images(['one/a.png', 'two/a.png'])) == 2


def test_drawings_without_an_image_or_over_another_are_refused(tmp_path):
    with pytest.raises(ValueError, match=re.escape(f'{tmp_path} holds no image')):
        find_images([tmp_path], 'out')
    with pytest.raises(ValueError, match='both be drawn as out/a.png.png'):
        find_images(['one/a.png', 'two/a.png'], 'out')
    # The same image twice is drawn twice.
    assert len(find_images(['one/a.png', 'one/a.png'], 'out')) == 2
    (tmp_path / 'a.png').touch()
    (tmp_path / 'a.png.png').touch()
    with pytest.raises(ValueError, match='would be drawn over: set --out'):
        find_images([tmp_path], tmp_path)


def test_boxes_by_image(tmp_path):
    path = tmp_path / 'boxes.json'
    path.write_text('{"a.png": [[0, 1, 2.5, 3]], "b.png": []}')
    assert read_boxes(path) == {'a.png': [(0.0, 1.0, 2.5, 3.0)], 'b.png': []}


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{', 'line 1, column 2: not JSON'),
        ('[]', 'does not hold an object'),
        ('{"a.png": 3}', "'a.png' has 3, not a list of boxes"),
        ('{"a.png": [[0, 0, 1]]}', "'a.png' has the box [0, 0, 1]"),
        ('{"a.png": [[0, 0, 1, "2"]]}', "'a.png' has the box"),
        ('{"a.png": [[5, 0, 1, 2]]}', 'with x1 < x2'),
        (json.dumps({'a.png': [[0, 0, float('nan'), 1]]}), "'a.png' has the box"),
    ],
)
def test_wrong_boxes_are_named(tmp_path, content, message):
    path = tmp_path / 'boxes.json'
    path.write_text(content)
    with pytest.raises(ValueError, match=f'boxes.json.*{re.escape(message)}'):
        read_boxes(path)


def test_a_folder_that_is_called_like_a_class_is_compared(tmp_path, monkeypatch):
    scores = {'Happy': 0.7, 'Sad': 0.3}
    right, wrong, other = (
        ClassPrediction(f'{folder}/a.png', scores) for folder in ('Happy', 'Sad', 'in')
    )
    assert line_of(right, 0.3) == 'Happy/a.png: Happy 0.700'
    assert line_of(wrong, 0.3) == 'Sad/a.png: Happy 0.700, but its folder is Sad'
    assert line_of(other, 0.3) == 'in/a.png: Happy 0.700'
    records = [record_of(one, ()) for one in (right, wrong, other, right)]
    folders = [record.get('folder_class') for record in records]
    assert folders == ['Happy', 'Sad', None, 'Happy']
    line = '2 of 3 images (66.67 %) as their folders say'
    assert agreement_line(records) == line
    assert agreement_line(records[2:3]) is None
    # A bare name lies in the working directory.
    (tmp_path / 'Sad').mkdir()
    monkeypatch.chdir(tmp_path / 'Sad')
    assert ClassPrediction('a.png', scores).folder_class == 'Sad'
