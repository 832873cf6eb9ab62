# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData
from torchmetrics.functional.classification import multiclass_jaccard_index

from hpml_mm.evaluation import MeanIoU
from hpml_mm.evaluation import functional as F

CLASSES = ('cat', 'cow', 'rest')


def sample(predicted, target):
    made = DetDataSample(metainfo={'img_path': 'a.jpg'})
    made.pred_sem_seg = PixelData(sem_seg=torch.tensor(predicted)[None])
    made.gt_sem_seg = PixelData(sem_seg=torch.tensor(target)[None])
    return made


def evaluate(*samples, classes=CLASSES, **kwargs):
    evaluator = Evaluator(MeanIoU(**kwargs))
    evaluator.dataset_meta = {'classes': classes}
    evaluator.process(data_samples=list(samples))
    return evaluator.evaluate(len(samples))


def test_percentages_worked_by_hand():
    """Of ten pixels one is void; cat 1 of 3, rest 5 of 7, and no cow anywhere."""
    found = evaluate(
        sample([[0, 0, 2, 2, 2]], [[0, 2, 2, 0, 255]]),
        sample([[2, 2, 2, 2, 2]], [[2, 2, 2, 2, 0]]),
    )
    # Cat: found 1, of 3 true and 1 more. Rest: found 5, of 6 true and 2 more.
    assert found == pytest.approx(
        {
            'mIoU': 100 * (1 / 4 + 5 / 8) / 2,
            'accuracy/pixel': 100 * 6 / 9,
            'IoU/cat': 100 / 4,
            'IoU/rest': 100 * 5 / 8,
            # All rest: 6 of 9 pixels; no cat is found.
            'mIoU/all_rest': 100 * (6 / 9 + 0) / 2,
        }
    )


def test_a_class_that_is_predicted_and_never_there_counts():
    found = evaluate(sample([[1, 2]], [[2, 2]]))
    assert found['mIoU'] == pytest.approx(100 * (0 + 1 / 2) / 2)
    assert found['IoU/cow'] == 0
    assert 'IoU/cat' not in found
    assert found['mIoU/all_rest'] == 100


def test_agrees_with_torchmetrics():
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, 6, (40, 50), generator=generator)
    predicted = torch.where(
        torch.rand(40, 50, generator=generator) < 0.6, target, target.flip(0)
    )
    target[:, :5] = 255
    found = evaluate(
        sample(predicted.tolist(), target.tolist()), classes=tuple('abcdef')
    )
    expected = multiclass_jaccard_index(
        predicted, target, num_classes=6, ignore_index=255
    )
    assert found['mIoU'] == pytest.approx(100 * expected.item(), rel=1e-5)


def test_a_constant_predictor():
    matrix = np.array([[2, 1, 1], [1, 2, 0], [2, 0, 1]])
    assert F.always(matrix, 1).tolist() == [[0, 4, 0], [0, 3, 0], [0, 3, 0]]
    np.testing.assert_allclose(F.iou(F.always(matrix, 1)), [0, 3 / 10, 0])


def test_maps_that_cannot_be_compared():
    with pytest.raises(ValueError, match=r'a\.jpg .* shape \(1, 2\) .* of \(1, 3\)'):
        evaluate(sample([[1, 2]], [[1, 2, 2]]))
    with pytest.raises(ValueError, match='targets hold class id 7'):
        evaluate(sample([[1, 2]], [[1, 7]]))
    with pytest.raises(ValueError, match='names no classes'):
        evaluate(sample([[1, 2]], [[1, 2]]), classes=None)
