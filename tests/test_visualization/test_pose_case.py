# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import contextlib
import dataclasses

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, DefaultScope
from pose_spots import SPOT, spot_loader, spot_model, write_spots
from torch import nn

from hpml_mm.evaluation.oks import oks
from hpml_mm.visualization.pose_case import (
    PoseCase,
    WorstCases,
    heatmaps_given,
    read_cases,
)

OFFSETS = [0, 4]


@pytest.fixture(scope='module')
def spots(tmp_path_factory):
    """(model, data set) of two pictures."""
    root = write_spots(tmp_path_factory.mktemp('spots'), OFFSETS)
    with DefaultScope.overwrite_default_scope('mmpose'):
        model = MODELS.build(spot_model())
        dataset = DATASETS.build(spot_loader(root)['dataset'])
    model.init_weights()
    return model.eval(), dataset


def predict(spots):
    model, dataset = spots
    with torch.no_grad():
        return model.test_step(pseudo_collate([dataset[0], dataset[1]]))


def test_a_case_holds_what_the_model_said(spots):
    model, dataset = spots
    with heatmaps_given(model):
        cases = read_cases(predict(spots), dataset.metainfo['sigmas'])
    assert [case.id for case in cases] == [100, 101]
    assert cases[1].image.endswith('1.png')
    for case, offset in zip(cases, OFFSETS, strict=True):
        np.testing.assert_array_equal(case.truth[0], (SPOT[0] + offset, SPOT[1]))
        np.testing.assert_array_equal(case.visible, [True] * 16 + [False])
        # A cell of the heatmap is 55 / 16 pixels of the image wide.
        assert np.abs(case.predicted - SPOT).max() < 55 / 16
        assert case.heatmaps.shape == (17, 16, 16)
        np.testing.assert_allclose(case.center, (28, 32))
        np.testing.assert_allclose(case.scale, (55, 55))
        expected = oks(
            case.predicted[None],
            case.truth[None],
            case.visible[None],
            [1600.0],
            dataset.metainfo['sigmas'],
        )
        assert case.oks == expected
    assert cases[1].oks < 0.5 < cases[0].oks


def test_a_kept_case_holds_no_batch(spots):
    model, dataset = spots
    with heatmaps_given(model):
        samples = predict(spots)
    case = read_cases(samples, dataset.metainfo['sigmas'])[0]
    kept = case.to_keep()
    np.testing.assert_array_equal(kept.heatmaps, case.heatmaps.numpy())
    case.heatmaps.zero_()
    assert kept.heatmaps.max() > 0
    assert kept.to_keep() is kept
    half = dataclasses.replace(case, heatmaps=torch.ones(1, 2, 2).bfloat16())
    assert half.to_keep().heatmaps.dtype == np.float32


def test_the_configured_test_cfg_comes_back(spots):
    model, dataset = spots
    before = model.test_cfg
    with contextlib.suppress(RuntimeError), heatmaps_given(model):
        assert 'pred_fields' in predict(spots)[0]
        raise RuntimeError
    assert model.test_cfg is before
    assert before == {}
    cases = read_cases(predict(spots), dataset.metainfo['sigmas'])
    assert [case.heatmaps for case in cases] == [None, None]


def test_another_kind_of_model_is_refused():
    with (
        pytest.raises(ValueError, match='Linear has no test_cfg'),
        heatmaps_given(nn.Linear(1, 1)),
    ):
        pass


def test_samples_of_several_objects_are_refused(spots):
    samples = predict(spots)
    instances = samples[1].pred_instances
    samples[1].pred_instances = type(instances).cat([instances, instances])
    with pytest.raises(ValueError, match=r'1\.png has 1 and 2 predictions'):
        read_cases(samples, np.ones(17))


def case(number, similar):
    empty = np.zeros((1, 2))
    return PoseCase(
        id=number,
        image='',
        box=np.zeros(4),
        truth=empty,
        visible=np.ones(1, bool),
        predicted=empty,
        oks=similar,
        center=np.zeros(2),
        scale=np.ones(2),
        heatmaps=None,
    )


def test_the_worst_are_kept_in_order():
    worst = WorstCases(3)
    for number, similar in enumerate([0.9, 0.5, float('nan'), 0.5, 0.1, 0.5, 0.7]):
        worst.offer(case(number, similar))
    # Of three equal ones the first two.
    assert [kept.id for kept in worst.kept] == [4, 1, 3]
