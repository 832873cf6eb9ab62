# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import math
from types import SimpleNamespace

import numpy as np
import pytest
from mmengine.hooks import CheckpointHook

from hpml_mm.engine.trackers.scores import (
    MOST_NAMES,
    draw_by_part,
    main_metric,
    names_of_parts,
    split_by_part,
)

NAMES = ['cat', 'dog', 'owl']


def test_the_metric_of_the_best_checkpoint_counts():
    hook = CheckpointHook(save_best=['gone', 'AP'], rule='greater')
    runner = SimpleNamespace(hooks=[hook])
    assert main_metric(runner, ['loss', 'AP', 'time']) == 'AP'
    assert main_metric(runner, ['data_time', 'AR']) == 'AR'
    assert main_metric(SimpleNamespace(hooks=[]), ['time', 'data_time']) is None


def test_classes_and_keypoints_by_their_names():
    meta = {'classes': ('a', 'b'), 'keypoint_id2name': {1: 'ear', 0: 'eye'}}
    assert names_of_parts(meta) == {'class': ['a', 'b'], 'keypoint': ['eye', 'ear']}
    assert names_of_parts({'classes': ('person',)}) == {}


def test_families_are_taken_out_and_their_mean_stays():
    scalars = {
        'PCK@0.2': 0.5,
        'PCK@0.2/cat': 0.25,
        'PCK@0.2/owl': 0.75,
        'top1/dog': 1.0,
        'precision_classwise': [1, 2, 3],
        'other': [1, 2],
    }
    rest, families = split_by_part(scalars, NAMES)
    # One class alone has nothing to be compared with.
    assert rest == {'PCK@0.2': 0.5, 'top1/dog': 1.0, 'other': [1, 2]}
    assert families.keys() == {'PCK@0.2', 'precision_classwise'}
    assert families['precision_classwise'] == [1, 2, 3]
    low, none, high = families['PCK@0.2']
    assert (low, high) == (0.25, 0.75)
    assert math.isnan(none)


def test_of_many_the_lowest_are_drawn():
    names = [f'class {number}' for number in range(2 * MOST_NAMES)]
    values = [math.nan, *range(1, 2 * MOST_NAMES)]
    few = draw_by_part(names[1 : MOST_NAMES + 1], {'recall': values[1:][:MOST_NAMES]})
    many = draw_by_part(names, {'recall': values})
    assert many.dtype == np.uint8
    assert many.shape == few.shape  # as many rows, and a heading
    assert (many != few).any()


@pytest.mark.parametrize(
    'values', [[0.0, 1.0, math.nan], [-1.0, 5.0, 1e9], [100, 50, 0]]
)
def test_any_numbers_are_drawn(values):
    picture = draw_by_part(NAMES, {'one': values, 'two': [1.0, 2.0, 3.0]})
    assert picture.shape[2] == 3
    assert picture.std() > 0
