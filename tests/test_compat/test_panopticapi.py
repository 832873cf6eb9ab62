# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The stand-in for panopticapi in MMDetection's metric, against numbers by hand."""

import importlib
import sys

import hpml_mm  # noqa: F401  # isort: skip
import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoPanopticMetric
from PIL import Image
from torchmetrics.functional.detection import panoptic_quality

from hpml_mm.compat import install_panopticapi
from hpml_mm.compat.panopticapi import SERVED
from hpml_mm.compat.panopticapi.evaluation import PQStat
from hpml_mm.compat.panopticapi.utils import id2rgb, rgb2id
from hpml_mm.compat.stand_in import StandIn

CLASSES = ('cat', 'cow', 'grass', 'sky')
THINGS, STUFF = CLASSES[:2], CLASSES[2:]
CAT, COW, GRASS, SKY = range(4)
VOID = 255  # of a label here; in files it is the id 0


def evaluate(tmp_path, images):
    """Percentages of images, each a map of truth and one of predictions.

    Both hold ``label + 1000 * number`` in each pixel, or ``VOID``.
    """
    metric = CocoPanopticMetric(seg_prefix=str(tmp_path))
    metric.dataset_meta = {
        'classes': CLASSES, 'thing_classes': THINGS, 'stuff_classes': STUFF,
    }  # fmt: skip
    for number, (truth, predicted, *crowds) in enumerate(images):
        ids = np.where(np.asarray(truth) == VOID, 0, np.asarray(truth) + 1)
        Image.fromarray(id2rgb(ids)).save(tmp_path / f'{number}.png')
        segments = [
            {
                'id': int(one),
                'category': int(one - 1) % 1000,
                'is_thing': (one - 1) % 1000 < 2 and one - 1 not in crowds,
            }
            for one in np.unique(ids)
            if one
        ]
        # MMDetection's label of void is the number of classes.
        labels = np.where(np.asarray(predicted) == VOID, len(CLASSES), predicted)
        sample = {
            'img_id': number,
            'img_path': f'{number}.jpg',
            'ori_shape': ids.shape,
            'segments_info': segments,
            'pred_panoptic_seg': {'sem_seg': torch.tensor(labels)[None]},
        }
        metric.process({}, [sample])
    found = metric.evaluate(len(images))
    return {name.removeprefix('coco_panoptic/'): v for name, v in found.items()}


def rows(*parts):
    """Two rows alike, each of a label and how many pixels have it, in turn."""
    pairs = zip(parts[::2], parts[1::2], strict=True)
    # MMDetection would squeeze a picture of one row.
    return [[label for label, number in pairs for _ in range(number)]] * 2


def test_a_match_is_as_good_as_its_overlap(tmp_path):
    # Cat: 8 of 10 pixels, and 2 of grass; grass: 10 of 12.
    truth = rows(CAT + 1000, 10, GRASS, 10)
    guess = rows(CAT + 1000, 8, GRASS, 12)
    found = evaluate(tmp_path, [(truth, guess)])
    expected = {
        'PQ_th': 80, 'SQ_th': 80, 'RQ_th': 100,
        'PQ_st': 100 * 10 / 12, 'SQ_st': 100 * 10 / 12, 'RQ_st': 100,
        'PQ': (80 + 100 * 10 / 12) / 2,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_a_missed_one_halves_nothing_but_its_class(tmp_path):
    # Two cats, one found whole; the other is taken for void: TP 1, FN 1.
    truth = rows(CAT + 1000, 6, CAT + 2000, 4, GRASS, 10)
    guess = rows(CAT + 1000, 6, VOID, 4, GRASS, 10)
    found = evaluate(tmp_path, [(truth, guess)])
    assert found['SQ_th'] == pytest.approx(100)
    assert found['RQ_th'] == found['PQ_th'] == pytest.approx(100 * 1 / 1.5)
    assert found['PQ_st'] == pytest.approx(100)


def test_one_too_many_is_a_class_of_its_own_with_zero(tmp_path):
    # A cow within grass: FP 1 of cow; grass keeps 8 of 10.
    truth = rows(CAT + 1000, 10, GRASS, 10)
    guess = rows(CAT + 1000, 10, COW + 1000, 2, GRASS, 8)
    found = evaluate(tmp_path, [(truth, guess)])
    assert found['PQ_th'] == pytest.approx((100 + 0) / 2)
    assert found['PQ_st'] == pytest.approx(80)
    assert found['PQ'] == pytest.approx((100 + 0 + 80) / 3)


def test_a_class_that_is_absent_is_in_no_mean(tmp_path):
    """Of things there is none at all: their mean is not known."""
    found = evaluate(tmp_path, [(rows(GRASS, 20), rows(GRASS, 20))])
    assert found['PQ'] == found['PQ_st'] == pytest.approx(100)
    assert np.isnan(found['PQ_th'])


def test_half_an_overlap_is_none(tmp_path):
    truth = rows(CAT + 1000, 10, GRASS, 10)
    guess = rows(CAT + 1000, 5, GRASS, 15)
    found = evaluate(tmp_path, [(truth, guess)])
    assert found['PQ_th'] == 0


def test_segments_on_void_or_on_a_crowd_are_not_counted(tmp_path):
    truth = rows(VOID, 6, COW + 1000, 6, GRASS, 8)
    guess = rows(CAT + 1000, 6, COW + 1000, 3, COW + 2000, 3, GRASS, 8)
    found = evaluate(tmp_path, [(truth, guess, COW + 1000)])
    assert found['PQ'] == found['PQ_st'] == pytest.approx(100)
    assert np.isnan(found['PQ_th'])


def test_counts_of_images_are_added_up(tmp_path):
    whole = rows(CAT + 1000, 10, GRASS, 10)
    missed = rows(GRASS, 20)
    found = evaluate(tmp_path, [(whole, whole), (whole, missed)])
    assert found['PQ_th'] == pytest.approx(100 * 1 / 1.5)
    # Grass: 10 / 10 and 10 / 20, which is no match, so FP and FN.
    assert found['PQ_st'] == pytest.approx(100 * 1 / 2)


def test_agrees_with_torchmetrics(tmp_path):
    """On maps of blocks; torchmetrics averages over classes that occur, too."""
    rng = np.random.default_rng(0)
    images, pairs = [], []
    for _ in range(3):
        truth, guess = (
            np.kron(rng.integers(0, 4, (4, 5)), np.ones((3, 3), int)) for _ in range(2)
        )
        guess = np.where(np.indices(guess.shape)[0] < 7, truth, guess)
        images.append([part + 1000 * (part < 2) for part in (truth, guess)])
        pairs.append(images[-1])
    found = evaluate(tmp_path, images)
    predicted, target = (
        torch.tensor(np.stack([pair[side] for pair in pairs])) for side in (1, 0)
    )
    stacked = [torch.stack([m % 1000, m // 1000], -1) for m in (predicted, target)]
    expected = panoptic_quality(
        *stacked, things={CAT, COW}, stuffs={GRASS, SKY}, return_sq_and_rq=True
    )
    assert 0 < found['PQ'] < 100
    assert [found[key] / 100 for key in ('PQ', 'SQ', 'RQ')] == pytest.approx(
        expected.tolist()
    )


def test_ids_are_colours():
    ids = np.array([[0, 255, 256], [65_536, 8_345_037, 256**3 - 1]])
    colours = id2rgb(ids)
    assert colours.dtype == np.uint8
    assert colours[1, 1].tolist() == id2rgb(8_345_037) == [205, 85, 127]
    np.testing.assert_array_equal(rgb2id(colours), ids)
    assert rgb2id([205, 85, 127]) == 8_345_037


def test_values_of_each_class_are_given():
    stat = PQStat()
    stat[CAT].tp, stat[CAT].iou, stat[CAT].fp = 2, 1.5, 1
    categories = {CAT: {'isthing': 1}, COW: {'isthing': 1}, GRASS: {'isthing': 0}}
    means, of_class = stat.pq_average(categories, isthing=True)
    assert of_class[COW] == {'pq': 0, 'sq': 0, 'rq': 0}
    assert means == pytest.approx({'pq': 0.6, 'sq': 0.75, 'rq': 0.8, 'n': 1})
    assert of_class[CAT] == pytest.approx({'pq': 0.6, 'sq': 0.75, 'rq': 0.8})


def test_an_installed_one_goes_first(tmp_path, monkeypatch):
    for name in SERVED:
        monkeypatch.delitem(sys.modules, name, raising=False)
    install_panopticapi()
    install_panopticapi()
    mine = [f for f in sys.meta_path if isinstance(f, StandIn) and f.served is SERVED]
    assert len(mine) == 1
    assert importlib.import_module('panopticapi.evaluation').PQStat is PQStat
    for name in SERVED:
        monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / 'panopticapi').mkdir()
    (tmp_path / 'panopticapi' / '__init__.py').write_text('')
    (tmp_path / 'panopticapi' / 'utils.py').write_text('rgb2id = 1')
    monkeypatch.syspath_prepend(tmp_path)
    assert importlib.import_module('panopticapi.utils').rgb2id == 1
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module('panopticapi.evaluation')
