# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Any sample with one class is counted, and any other one is told."""

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

from hpml_mm.evaluation import ConfusionCounter

CLASSES = ('cat', 'dog')


def counted(*batches, classes=CLASSES):
    counter = ConfusionCounter(classes)
    for batch in batches:
        counter.process(None, batch)
    assert counter.evaluate(10) == {}
    return counter


def labelled(truth, **prediction):
    return {'gt_label': torch.tensor([truth]), **prediction}


@pytest.mark.parametrize(
    'prediction',
    [
        {'pred_label': torch.tensor([1])},
        {'pred_label': torch.tensor(1)},
        {'pred_label': 1},
        {'pred_score': torch.tensor([0.2, 0.8])},
        {'pred_score': [0.2, 0.8]},
        # The score of all views, and the label of the last.
        {'pred_score': torch.tensor([0.2, 0.8]), 'pred_label': torch.tensor([0])},
    ],
)
def test_predictions_by_label_or_score(prediction):
    counter = counted([labelled(0, **prediction), labelled(1, **prediction)])
    np.testing.assert_array_equal(counter.matrices['all'], [[0, 1], [0, 1]])
    assert counter.names == CLASSES


def test_data_samples_and_their_splits():
    first = DataSample().set_gt_label(1).set_pred_label(0)
    first.set_metainfo({'split': 'val'})
    second = DataSample().set_gt_label(1).set_pred_score(torch.tensor([0.0, 1.0]))
    counter = counted([first], [second])
    assert set(counter.matrices) == {'val', 'all'}
    np.testing.assert_array_equal(counter.matrices['val'], [[0, 0], [1, 0]])


def test_classes_without_a_name_are_called_by_their_ids():
    counter = counted([labelled(3, pred_label=0)])
    assert counter.names == ('cat', 'dog', '2', '3')
    assert counter.matrices['all'][3, 0] == 1
    assert counted([labelled(0, pred_label=1)], classes=()).names == ('0', '1')


@pytest.mark.parametrize(
    ('sample', 'problem'),
    [
        ({'gt_label': [0, 1], 'pred_label': 0}, '2 classes as gt_label; a confusion'),
        (labelled(0, pred_label=torch.tensor([0, 1])), '2 classes as pred_label'),
        (labelled(0), 'a sample holds gt_label, but no pred_label'),
        ({'pred_label': 0}, 'a sample holds pred_label, but no gt_label'),
        (labelled(-1, pred_label=0), 'a class id below 0'),
        (labelled(0, pred_score=torch.tensor(0.3)), 'no pred_score of one value a'),
        (torch.ones(2), 'a Tensor is no sample with a gt_label'),
        ({'gt_label': 'cat', 'pred_label': 0}, 'str'),
    ],
)
def test_samples_that_do_not_fit_leave_no_matrix(sample, problem):
    counter = counted([labelled(0, pred_label=1)], [sample, sample])
    assert problem in counter.problem
    assert counter.matrices == {}
    counter.process(None, [labelled(0, pred_label=1)])
    counter.evaluate(1)
    assert counter.problem == ''
    assert set(counter.matrices) == {'all'}
