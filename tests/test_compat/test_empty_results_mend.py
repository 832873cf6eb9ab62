# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import json

import hpml_mm  # noqa: F401  # isort: skip
import pytest
import torch
from made_animals import BOX, instances, rle
from mmdet.datasets.api_wrappers import COCO
from mmdet.evaluation import CocoMetric

from hpml_mm.compat import MENDS, install_mends


def evaluate(tmp_path, boxes):
    """AP of boxes (x1, y1, x2, y2) in the first of two images with a dog each."""
    file = tmp_path / 'dogs.json'
    file.write_text(json.dumps(instances(('dog', 'dog'))))
    metric = CocoMetric(ann_file=str(file), metric=['bbox', 'segm'])
    metric.dataset_meta = {'classes': ('dog',)}
    for number, found in enumerate((boxes, []), 1):
        prediction = {
            'bboxes': torch.tensor(found, dtype=torch.float32).reshape(-1, 4),
            'scores': torch.ones(len(found)),
            'labels': torch.zeros(len(found), dtype=torch.long),
            'masks': [rle()] * len(found),
        }
        sample = {'img_id': number, 'pred_instances': prediction, 'ori_shape': (64, 96)}
        metric.process({}, [sample])
    return metric.evaluate(2)


def test_what_finds_nothing_has_a_precision_of_0(tmp_path):
    found = evaluate(tmp_path, [])
    for kind in ('bbox', 'segm'):
        assert found[f'coco/{kind}_mAP'] == found[f'coco/{kind}_mAP_50'] == 0
        # Of large objects there is none, which COCO's tools call -1.
        assert found[f'coco/{kind}_mAP_l'] == -1


def test_what_finds_one_of_two_is_evaluated_as_before(tmp_path):
    x, y, w, h = BOX
    found = evaluate(tmp_path, [[x, y, x + w, y + h]])
    # The precision is 1 up to a recall of a half: at 51 of 101 places.
    assert found['coco/bbox_mAP'] == pytest.approx(51 / 101, abs=5e-4)
    assert found['coco/segm_mAP'] == pytest.approx(51 / 101, abs=5e-4)


def test_it_is_mended_once():
    before = COCO.loadRes
    install_mends(MENDS)
    assert COCO.loadRes is before
