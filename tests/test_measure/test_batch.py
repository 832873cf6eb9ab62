# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Sample counts of the batch forms of the OpenMMLab family."""

import numpy as np
import pytest
import torch

from hpml_mm.measure.batch import count_samples

IMAGES = torch.zeros(5, 3, 4, 4)
VIEWS = [torch.zeros(5, 3, 4, 4), torch.zeros(5, 3, 4, 4)]


@pytest.mark.parametrize(
    ('batch', 'expected'),
    [
        ({'inputs': IMAGES, 'data_samples': [0] * 5}, 5),
        ({'inputs': IMAGES}, 5),
        ({'inputs': list(IMAGES), 'data_samples': [0] * 5}, 5),  # mmpose
        ({'inputs': list(IMAGES)}, 5),
        ({'inputs': VIEWS, 'data_samples': [0] * 5}, 5),  # contrastive learning
        ({'inputs': {'img': IMAGES, 'points': [0]}}, 5),
        ({'inputs': (IMAGES, IMAGES)}, 5),
        ({'inputs': np.zeros((5, 2))}, 5),
        ((IMAGES, torch.zeros(5)), 5),
        ([IMAGES, torch.zeros(5)], 5),
        ([{'inputs': 0}] * 5, 5),
        (IMAGES, 5),
        ({'inputs': torch.zeros(())}, None),
        ({'pictures': IMAGES}, None),
        ({'inputs': 'text'}, None),
        ([], 0),
        (None, None),
    ],
)
def test_count(batch, expected):
    assert count_samples(batch) == expected
