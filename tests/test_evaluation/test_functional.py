# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from hpml_mm.evaluation import functional as F

# Three classes, ten samples; worked by hand below.
TARGETS = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2])
PREDICTIONS = np.array([0, 0, 1, 2, 1, 1, 0, 2, 0, 0])
MATRIX = np.array([[2, 1, 1], [1, 2, 0], [2, 0, 1]])


def test_rows_are_true_classes_and_columns_predictions():
    assert F.confusion_matrix(PREDICTIONS, TARGETS, 3).tolist() == MATRIX.tolist()


def test_values_worked_by_hand():
    assert F.accuracy(MATRIX) == pytest.approx(5 / 10)
    np.testing.assert_allclose(F.recall(MATRIX), [2 / 4, 2 / 3, 1 / 3])
    np.testing.assert_allclose(F.f1_score(MATRIX), [4 / 9, 2 / 3, 2 / 5])
    macro = F.macro_average(F.f1_score(MATRIX), MATRIX)
    assert macro == pytest.approx((4 / 9 + 2 / 3 + 2 / 5) / 3)


def test_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 7, 200)
    predictions = np.where(rng.random(200) < 0.5, targets, rng.integers(0, 7, 200))
    matrix = F.confusion_matrix(predictions, targets, 7)

    expected = sklearn_metrics.confusion_matrix(targets, predictions)
    np.testing.assert_array_equal(matrix, expected)
    _, recall, f1, _ = sklearn_metrics.precision_recall_fscore_support(
        targets, predictions
    )
    np.testing.assert_allclose(F.recall(matrix), recall)
    np.testing.assert_allclose(F.f1_score(matrix), f1)
    assert F.accuracy(matrix) == pytest.approx(
        sklearn_metrics.accuracy_score(targets, predictions)
    )


def test_a_class_without_samples_is_nan_and_stays_out_of_the_average():
    # Class 2 has no sample but takes one of class 0's.
    targets, predictions = [0, 0, 1, 1], [0, 2, 1, 1]
    matrix = F.confusion_matrix(predictions, targets, 3)
    recall = F.recall(matrix)
    assert recall[:2].tolist() == [0.5, 1.0]
    assert np.isnan(recall[2])
    assert F.macro_average(recall, matrix) == pytest.approx(0.75)
    assert F.macro_average(F.f1_score(matrix), matrix) == pytest.approx(
        sklearn_metrics.f1_score(targets, predictions, labels=[0, 1], average='macro')
    )


def test_a_class_never_predicted_has_f1_zero():
    matrix = F.confusion_matrix([0, 0], [0, 1], 2)
    assert F.f1_score(matrix)[1] == 0
    # No sample at all is NaN.
    empty = np.zeros((3, 3), dtype=np.int64)
    assert np.isnan(F.accuracy(empty))
    assert np.isnan(F.macro_average(F.recall(empty), empty))


def test_bad_ids_and_lengths_are_named():
    with pytest.raises(ValueError, match='targets hold class id 3, but 3 classes'):
        F.confusion_matrix([0, 1], [0, 3], 3)
    with pytest.raises(ValueError, match='predictions hold class id -1'):
        F.confusion_matrix([-1, 1], [0, 1], 3)
    with pytest.raises(ValueError, match='2 predictions for 1 targets'):
        F.confusion_matrix([0, 1], [0], 3)
