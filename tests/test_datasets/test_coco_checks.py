# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Values that are no numbers to compute with are told, not stumbled over."""

import pytest

from hpml_mm.datasets.pose.coco_checks import detection_problem

DETECTION = {'category_id': 1, 'image_id': 7, 'bbox': [1, 2.5, 3, 4], 'score': 0.5}


@pytest.mark.parametrize(
    ('bad', 'shown'),
    [
        ('12', "'12'"),
        (None, 'None'),
        (float('nan'), 'nan'),
        (float('-inf'), '-inf'),
        (10**400, f'1{"0" * 39}'),
    ],
)
def test_what_is_not_finite_is_named(bad, shown):
    found = detection_problem({**DETECTION, 'bbox': [1, bad, 3, 4]}, {7})
    assert found == f'has {shown} in its box or score'


def test_finite_numbers_are_fine():
    assert detection_problem(DETECTION, {7}) is None
    large = {**DETECTION, 'bbox': [10**300, 0, 1e308, 1]}
    assert detection_problem(large, {7}) is None
