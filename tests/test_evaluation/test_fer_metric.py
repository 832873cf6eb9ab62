# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import numpy as np
import pytest
from mmengine.evaluator import Evaluator
from mmpretrain.structures import DataSample
from sklearn.metrics import f1_score
from two_ranks import on_two_ranks

from hpml_mm.evaluation import FERMetric

CLASSES = ('Angry', 'Happy', 'Neutral')


def sample(prediction, target, split=None):
    data_sample = DataSample().set_gt_label(target).set_pred_label(prediction)
    if split:
        data_sample.set_metainfo({'split': split})
    return data_sample


def evaluate(*batches, **kwargs):
    """Run the metric as a validation loop does; return its values and itself."""
    evaluator = Evaluator(FERMetric(**kwargs))
    evaluator.dataset_meta = {'classes': CLASSES}
    for batch in batches:
        evaluator.process(data_samples=batch)
    metrics = evaluator.evaluate(sum(len(batch) for batch in batches))
    return metrics, evaluator.metrics[0]


def test_percentages_worked_by_hand():
    metrics, metric = evaluate(
        [sample(0, 0, 'val'), sample(1, 0, 'val'), sample(1, 1, 'val')],
        [sample(1, 1, 'val'), sample(0, 2, 'val')],
    )
    # F1: Angry 2/(2+1+1), Happy 4/(4+1+0), Neutral 0.
    assert metrics == pytest.approx(
        {
            'accuracy/top1': 60.0,
            'f1-score/macro': 100 * (0.5 + 0.8 + 0.0) / 3,
            'recall/Angry': 50.0,
            'recall/Happy': 100.0,
            'recall/Neutral': 0.0,
        }
    )
    assert list(metric.confusion_matrices) == ['PublicTest']
    np.testing.assert_array_equal(
        metric.confusion_matrices['PublicTest'], [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
    )


def test_two_splits_are_evaluated_apart_in_their_own_order():
    metrics, metric = evaluate(
        [sample(0, 0, 'test'), sample(1, 0, 'val'), sample(2, 2, 'val')]
    )
    assert metrics['PublicTest/accuracy/top1'] == 50.0
    assert metrics['PrivateTest/accuracy/top1'] == 100.0
    assert 'accuracy/top1' not in metrics
    assert list(metric.confusion_matrices) == ['PublicTest', 'PrivateTest']


def test_a_class_without_a_sample_has_no_recall():
    metrics, _ = evaluate([sample(0, 0), sample(2, 1)])
    assert 'recall/Neutral' not in metrics
    assert metrics['f1-score/macro'] == pytest.approx(
        100 * f1_score([0, 1], [0, 2], labels=[0, 1], average='macro')
    )


def test_splits_can_be_called_by_other_names():
    _, metric = evaluate([sample(0, 0, 'val')], split_names={'val': 'Held out'})
    assert list(metric.confusion_matrices) == ['Held out']
    _, metric = evaluate([sample(0, 0)])
    assert list(metric.confusion_matrices) == ['all']


def test_a_second_evaluation_forgets_the_first():
    evaluator = Evaluator(FERMetric())
    evaluator.dataset_meta = {'classes': CLASSES}
    for batch in ([sample(0, 0, 'val')] * 3, [sample(1, 0, 'test')]):
        evaluator.process(data_samples=batch)
        metrics = evaluator.evaluate(len(batch))
    assert metrics['accuracy/top1'] == 0.0
    assert list(evaluator.metrics[0].confusion_matrices) == ['PrivateTest']


def test_a_data_set_without_class_names_is_an_error():
    metric = FERMetric()
    metric.process(None, [sample(0, 0).to_dict()])
    with pytest.raises(ValueError, match=r"metainfo\['classes'\]"):
        metric.evaluate(1)


def _evaluate_on_one_of_two(rank, folder):
    # Five samples over two processes: the sampler repeats the first as a sixth.
    own = [[(0, 0), (1, 1), (0, 2)], [(1, 0), (2, 2), (0, 0)]][rank]
    evaluator = Evaluator(FERMetric(collect_dir=f'{folder}/results'))
    evaluator.dataset_meta = {'classes': CLASSES}
    evaluator.process(data_samples=[sample(*pair, 'val') for pair in own])
    metrics = evaluator.evaluate(5)
    assert metrics['accuracy/top1'] == 60.0
    if rank == 0:
        matrix = evaluator.metrics[0].confusion_matrices['PublicTest']
        assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]


@pytest.mark.slow
def test_two_processes_see_the_whole_set_once(tmp_path):
    on_two_ranks(_evaluate_on_one_of_two, tmp_path)
