# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Values of a confusion matrix: accuracy, recall, F1 and intersection over union.

Every function takes a matrix of counts of shape (K, K) whose rows are the true
classes and whose columns are the predicted ones. A value that the data cannot
give is NaN, never a guess, such as the recall of a class without a sample. Averages
run over the classes that have one, so that an absent class neither raises nor lowers
them.
"""

import numpy as np


def confusion_matrix(
    predictions: np.ndarray, targets: np.ndarray, num_classes: int
) -> np.ndarray:
    """Count the samples of each true class that were predicted as each class.

    Args:
        predictions: Predicted class ids, shape (N,).
        targets: True class ids, shape (N,).
        num_classes: Number of classes K.

    Returns:
        Counts of shape (K, K): rows are true classes, columns predictions.

    Raises:
        ValueError: If the two differ in length or an id is not within 0..K-1.
    """
    predictions = np.asarray(predictions, dtype=np.int64).reshape(-1)
    targets = np.asarray(targets, dtype=np.int64).reshape(-1)
    if len(predictions) != len(targets):
        raise ValueError(
            f'confusion_matrix: {len(predictions)} predictions for {len(targets)} '
            'targets; each sample needs both'
        )
    for name, ids in (('predictions', predictions), ('targets', targets)):
        outside = ids[(ids < 0) | (ids >= num_classes)]
        if outside.size:
            raise ValueError(
                f'confusion_matrix: {name} hold class id {outside[0]}, but '
                f'{num_classes} classes have ids 0 to {num_classes - 1}'
            )
    cells = num_classes * targets + predictions
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, -1)


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide element by element; NaN where the denominator is 0."""
    result = np.full(len(numerator), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


def accuracy(matrix: np.ndarray) -> float:
    """Share of samples whose class was found, 0 to 1; NaN without a sample."""
    total = matrix.sum()
    return float(np.trace(matrix) / total) if total else float('nan')


def recall(matrix: np.ndarray) -> np.ndarray:
    """Share of each class's samples that were found, shape (K,)."""
    return _divide(np.diag(matrix), matrix.sum(axis=1))


def f1_score(matrix: np.ndarray) -> np.ndarray:
    """Harmonic mean of recall and precision of each class, shape (K,).

    Computed as ``2 TP / (2 TP + FP + FN)``, which is 0 for a class that has
    samples and was never predicted, where precision alone is undefined.
    """
    return _divide(2 * np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1))


def iou(matrix: np.ndarray) -> np.ndarray:
    """Intersection over union of each class, ``TP / (TP + FP + FN)``, shape (K,).

    NaN for a class that occurs neither among targets nor among predictions.
    """
    found = np.diag(matrix)
    return _divide(found, matrix.sum(axis=0) + matrix.sum(axis=1) - found)


def always(matrix: np.ndarray, label: int) -> np.ndarray:
    """Confusion matrix of a predictor that says one class whatever it sees.

    Args:
        matrix: A confusion matrix of the same targets, shape (K, K).
        label: The class.
    """
    constant = np.zeros_like(matrix)
    constant[:, label] = matrix.sum(axis=1)
    return constant


def macro_average(per_class: np.ndarray, matrix: np.ndarray) -> float:
    """Plain mean of a per-class value over the classes that have a sample.

    Args:
        per_class: One value a class, shape (K,).
        matrix: The confusion matrix that it was computed from, shape (K, K).

    Returns:
        The mean; NaN without a sample. The macro F1 of this equals scikit-learn's
        with ``labels`` set to the classes that occur among the targets.
    """
    present = matrix.sum(axis=1) > 0
    return float(per_class[present].mean()) if present.any() else float('nan')
