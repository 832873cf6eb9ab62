# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import pytest

from hpml_mm.datasets.fer.classes import class_id, did_you_mean, parse_splits, split_of


def test_class_ids_are_those_of_the_csv_file():
    names = ('angry', 'DISGUST', 'Fear', 'happy', 'Sad', 'surprise', 'Neutral')
    assert [class_id(name) for name in names] == [0, 1, 2, 3, 4, 5, 6]
    assert class_id('Happiness') is None


def test_splits_go_by_folder_and_by_csv_name():
    assert [split_of(n) for n in ('Train', 'training', 'PUBLICTEST')] == [
        'train',
        'train',
        'val',
    ]
    assert split_of(' PrivateTest ') == 'test'
    assert split_of('images') is None
    assert parse_splits('val') == ('val',)
    assert parse_splits(['PrivateTest', 'val']) == ('test', 'val')


@pytest.mark.parametrize(
    ('split', 'message'),
    [
        ('trian', "unknown split 'trian' .*did you mean 'train'"),
        (['val', 'PublicTest'], "split 'val' is named twice"),
        ([], 'split is empty'),
    ],
)
def test_impossible_splits(split, message):
    with pytest.raises(ValueError, match=message):
        parse_splits(split)


def test_no_hint_where_nothing_is_close():
    assert did_you_mean('hapy', ('Happy', 'Sad')) == "; did you mean 'Happy'?"
    assert did_you_mean('xyz', ('Happy', 'Sad')) == ''
