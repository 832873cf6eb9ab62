# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest

from hpml_mm.engine.trackers.names import TrackerNames, tracker_name


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('train/loss', 'train/loss'),
        ('_own-name_/AP .75', '_own-name_/AP .75'),
        ('throughput(img/s)', 'throughput_img_per_s'),
        ('throughput/all(img/s)', 'throughput/all_img_per_s'),
        ('data_wait(%)', 'data_wait_percent'),
        ('data_wait/first_batch(s)', 'data_wait/first_batch_s'),
        ('within 5%', 'within 5_percent'),
        ('coco/AP (M)', 'coco/AP_M'),
        ('PCK@0.2/L_Eye', 'PCK_0.2/L_Eye'),
        ('recall/Surprise!', 'recall/Surprise'),
        ('recall/dégoût', 'recall/dégoût'),
        ('recall/de\u0301gou\u0302t', 'recall/dégoût'),  # as macOS names folders
        ('recall/悲しい', 'recall/悲しい'),
        ('keypoint [left eye]', 'keypoint_left eye'),
        ('a\tb\nc:d', 'a_b_c_d'),
        (' a / b ', 'a/b'),
        ('/a//b/../c/.', '_/a/_/b/_/c/_'),
        ('😀', '_'),
        ('', '_'),
    ],
)
def test_a_name_for_trackers(name, expected):
    assert tracker_name(name) == expected
    assert tracker_name(expected) == expected


@pytest.mark.parametrize(
    ('name', 'expected'),
    [('x' * 300, 'x' * 240), ('x' + 'é' * 200, 'x' + 'é' * 119)],
    ids=['ascii', 'not-within-a-letter'],
)
def test_a_long_name_is_cut(name, expected):
    assert tracker_name(name) == expected


def test_two_names_stay_two():
    names = TrackerNames()
    classes = ['recall/Sad!', 'recall/Sad?', 'recall/Sad', 'y' * 300 + '1', 'y' * 300]
    expected = {
        'recall/Sad!': 'recall/Sad_2',
        'recall/Sad?': 'recall/Sad_3',
        'recall/Sad': 'recall/Sad',
        'y' * 300 + '1': 'y' * 240,
        'y' * 300: 'y' * 240 + '_2',
    }
    assert names.translate(classes) == expected
    # In another order, alone, and after others: the same.
    assert names.translate(['recall/Sad_2']) == {'recall/Sad_2': 'recall/Sad_2_2'}
    assert names.translate(['recall/Sad?']) == {'recall/Sad?': 'recall/Sad_3'}
    assert names.translate(reversed(classes)) == expected


def test_a_folder_has_another_name_than_a_file():
    names = TrackerNames()
    assert names.translate(['PCK@0.2', 'PCK@0.2/L_Eye', 'PCK@0.2/a/b']) == {
        'PCK@0.2': 'PCK_0.2/all',
        'PCK@0.2/L_Eye': 'PCK_0.2/L_Eye',
        'PCK@0.2/a/b': 'PCK_0.2/a/b',
    }
    assert names.translate(['PCK_0.2']) == {'PCK_0.2': 'PCK_0.2/all_2'}
    # A file is there already when the folder comes.
    assert names.translate(['loss']) == {'loss': 'loss'}
    assert names.translate(['loss/box']) == {'loss/box': 'loss_box'}
    assert names.translate(['loss_box']) == {'loss_box': 'loss_box_2'}
