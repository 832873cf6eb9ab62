# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Per-image results of a validation, against the metrics of the same validation."""

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.model import BaseModel
from mmpose.evaluation.metrics import CocoMetric
from mmpretrain.evaluation import Accuracy
from mmpretrain.structures import DataSample
from test_evaluation.made_poses import (
    METAINFO,
    perturbed,
    random_annotations,
    sample,
    write_json,
)
from torch.utils.data import DataLoader

from hpml_mm.evaluation import FERMetric
from hpml_mm.quantization.evaluate import AP, MetainfoOnly, Validation, compare
from hpml_mm.quantization.paired import average_precision

# (prediction, target, split) of each image.
ANSWERS = [(0, 0, 'val'), (1, 0, 'val'), (1, 1, 'val'), (0, 1, 'test'), (1, 1, 'test')]


class Told(BaseModel):
    """Answers what it is told."""

    def val_step(self, data):
        return data

    def forward(self, inputs, data_samples=None, mode='tensor'):
        raise NotImplementedError


def told_loader(items, batch_size=2) -> DataLoader:
    return DataLoader(items, batch_size, collate_fn=list)


def evaluate(model, loader, evaluator):
    return Validation(loader, evaluator).run(model)


def faces(answers=ANSWERS, split=True):
    found = []
    for prediction, target, name in answers:
        scores = torch.nn.functional.one_hot(torch.tensor(prediction), 2).float()
        made = DataSample().set_gt_label(target).set_pred_score(scores)
        found.append(made.set_pred_label(prediction))
        if split:
            made.set_metainfo({'split': name})
    return found


def test_the_answers_of_each_split_are_those_that_its_accuracy_counts():
    evaluator = Evaluator(FERMetric())
    evaluator.dataset_meta = {'classes': ('a', 'b')}
    model = Told().train()
    found = evaluate(model, told_loader(faces()), evaluator)
    assert not model.training
    assert {k: v.tolist() for k, v in found.correct.items()} == {
        'PublicTest': [True, False, True],
        'PrivateTest': [False, True],
    }
    for split, right in found.correct.items():
        assert found.metrics[f'{split}/accuracy/top1'] == pytest.approx(
            100 * right.mean()
        )
    assert len(evaluator.metrics) == 1  # as it was


def test_a_stock_metric_has_one_nameless_split():
    evaluator = Evaluator(Accuracy())
    found = evaluate(Told(), told_loader(faces(split=False)), evaluator)
    again = evaluate(Told(), told_loader(faces(ANSWERS[::-1], False)), evaluator)
    pairs = compare(found, again)
    assert list(pairs) == ['accuracy/top1']
    assert pairs['accuracy/top1'].before == pytest.approx(60)
    assert found.metrics['accuracy/top1'] == pytest.approx(60)
    assert found.correct[''].tolist() == again.correct[''].tolist()[::-1]


def test_images_with_several_labels_have_no_right_answer_and_some_no_judgement():
    made = DataSample().set_gt_label([0, 1]).set_pred_score(torch.tensor([0.2, 0.8]))
    assert evaluate(Told(), told_loader([made]), Evaluator([])).correct == {}
    assert MetainfoOnly(loader=None, evaluator=None).run(model=None).metrics == {}


def cats(tmp_path, seed, images=7):
    rng = np.random.default_rng(0)
    annotations = random_annotations(rng, images=images, each=3)
    path = write_json(tmp_path / f'cats{seed}.json', annotations)
    noisy = perturbed(np.random.default_rng(seed), annotations)
    evaluator = Evaluator(CocoMetric(ann_file=str(path)))
    evaluator.dataset_meta = METAINFO
    return evaluator, told_loader([sample(*one) for one in noisy])


def test_the_matches_of_all_images_give_the_metric(tmp_path):
    evaluator, loader = cats(tmp_path, seed=1)
    found = evaluate(Told(), loader, evaluator)
    assert len(found.matches) == 7
    assert 0.05 < found.metrics[AP] < 0.95
    assert average_precision(found.matches) == pytest.approx(found.metrics[AP])
    assert found.correct == {}
    # Again, as the evaluator is used more than once.
    assert evaluate(Told(), loader, evaluator).metrics == found.metrics
    assert evaluator.metrics[0].outfile_prefix is None


def test_drawn_images_are_scored_as_xtcocotools_scores_them(tmp_path):
    """A draw that holds each image once or not at all is a smaller data set."""
    evaluator, loader = cats(tmp_path, seed=2)
    matches = evaluate(Told(), loader, evaluator).matches
    kept = [one for one in loader.dataset if one.img_id in (0, 2, 5)]
    annotations = [one.raw_ann_info for one in kept]
    path = write_json(tmp_path / 'fewer.json', annotations)
    fewer = Evaluator(CocoMetric(ann_file=str(path)))
    fewer.dataset_meta = METAINFO
    expected = evaluate(Told(), told_loader(kept), fewer).metrics[AP]
    assert average_precision([matches[i] for i in (0, 2, 5)]) == pytest.approx(expected)
    one, two = (evaluate(Told(), *cats(tmp_path, seed)[::-1]) for seed in (1, 3))
    pair = compare(one, two)[AP]
    found = [pytest.approx(each.metrics[AP]) for each in (one, two)]
    assert ([pair.before, pair.after], pair.n) == (found, 7)
    assert pair.low <= pair.difference <= pair.high
