# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import numpy as np

from hpml_mm.datasets.survey import BINS, Survey, entries_of, intensity, labels_of


def grey(level, height=4, width=6):
    return np.full((height, width), level, np.uint8)


def test_intensity_is_the_share_of_pixels_in_each_bin():
    image = np.array([[0, 7, 8, 255]], np.uint8)
    share = intensity(image)
    assert (share[0], share[1], share[BINS - 1], share.sum()) == (0.5, 0.25, 0.25, 1)
    colour = np.zeros((1, 1, 3), np.uint8)
    colour[..., 2] = 255  # red: .299 * 255 = 76
    assert intensity(colour)[76 // 8] == 1


def test_numbers_of_two_splits():
    survey = Survey(['a', 'b'])
    for split, label, level in [('train', 0, 0), ('train', 0, 255), ('val', 1, 0)]:
        survey.count(split, [label])
        survey.look(split, [label], f'{split}{level}', grey(level))
    record = survey.to_dict()
    assert record['classes'] == {
        'a': {'train': 2, 'val': 0},
        'b': {'train': 0, 'val': 1},
    }
    assert record['intensity']['class']['a'][0] == 0.5
    assert record['intensity']['split']['val'][0] == 1
    assert record['sizes']['median'] == [6, 4]
    found = record['duplicates']
    assert (found['groups'], found['crossing'], found['conflicting']) == (1, 1, 1)
    assert [one['class'] for one in found['examples'][0]['faces']] == ['a', 'b']


def test_visible_keypoints_are_shares_of_the_objects():
    survey = Survey(keypoints=['nose', 'tail'])
    survey.count('train', [], np.array([[True, False], [True, True]]))
    assert survey.to_dict()['keypoints'] == {
        'nose': {'train': 1.0},
        'tail': {'train': 0.5},
    }


def test_labels_of_each_library():
    assert labels_of({'gt_label': np.int64(3)}) == [3]
    assert labels_of({'gt_label': [2, 0]}) == [0, 2]
    boxes = [{'bbox_label': 1}, {'bbox_label': 1}]
    assert labels_of({'instances': boxes}) == [1]
    assert labels_of({'img_path': 'a'}) == []


class Numbers:
    def __init__(self, *numbers):
        self.numbers = numbers

    def __len__(self):
        return len(self.numbers)

    def get_data_info(self, index):
        return {'number': self.numbers[index]}


class Around:
    def __init__(self, **parts):
        vars(self).update(parts)


def test_wrappers_count_an_entry_once():
    fold = Around(dataset=Numbers(5, 6, 7), indices=[2, 0])
    joined = Around(datasets=[Around(dataset=Numbers(1), times=3), fold])
    assert [one['number'] for one in entries_of(joined)] == [1, 5, 7]
