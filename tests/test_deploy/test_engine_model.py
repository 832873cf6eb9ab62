# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import copy

import numpy as np
import pose_spots  # noqa: F401  # registers Brightness
import pytest
import torch
from deploy_models import CATS, FACES, build, build_leaf, leaf
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample
from mmpretrain.models import AverageClsScoreTTA
from mmpretrain.structures import DataSample

from hpml_mm.deploy.describe import spec_of
from hpml_mm.deploy.engine_model import model_of, with_engine
from hpml_mm.deploy.engines import EagerEngine, OnnxEngine
from hpml_mm.deploy.export import export_onnx
from hpml_mm.deploy.network import plain_network


class Counted:
    """An engine that counts its calls."""

    def __init__(self, model):
        self.engine = EagerEngine(plain_network(model))
        self.calls = 0

    def __call__(self, images):
        self.calls += 1
        return self.engine(images)


def faces(count=4):
    images = torch.randint(256, (count, 1, 44, 44), dtype=torch.uint8)
    samples = [DataSample().set_gt_label(index) for index in range(count)]
    return {'inputs': list(images), 'data_samples': samples}


def cats(count=2):
    meta = dict(
        flip_indices=[1, 0, *range(2, 17)],
        input_size=(96, 96),
        input_center=np.array([50.0, 40.0]),
        input_scale=np.array([80.0, 80.0]),
    )
    boxes = InstanceData(bboxes=np.zeros((1, 4)), bbox_scores=np.ones(1))
    samples = [PoseDataSample(metainfo=meta, gt_instances=boxes) for _ in range(count)]
    images = torch.randint(256, (count, 3, 96, 96), dtype=torch.uint8)
    return {'inputs': list(images), 'data_samples': samples}


def scores(samples):
    return torch.stack([sample.pred_score for sample in samples])


def keypoints(samples):
    return np.concatenate([sample.pred_instances.keypoints for sample in samples])


def test_a_classifier_gives_the_scores_of_its_engine():
    model, batch = build_leaf(FACES), faces()
    engine = Counted(model)
    expected = scores(model.test_step(copy.deepcopy(batch)))
    other = with_engine(model, engine)
    assert torch.equal(scores(other.test_step(copy.deepcopy(batch))), expected)
    assert engine.calls == 1
    assert type(other) is type(model)
    described = model_of(spec_of(leaf(FACES), model), engine)
    assert torch.allclose(scores(described.test_step(batch)), expected, atol=1e-7)


@pytest.mark.parametrize('flip', [True, False])
def test_a_pose_model_keeps_its_flip_test_and_decoder(flip):
    model, batch = build_leaf(CATS), cats()
    model.test_cfg = {**model.test_cfg, 'flip_test': flip}
    engine = Counted(model)
    expected = keypoints(model.test_step(copy.deepcopy(batch)))
    described = model_of(spec_of(leaf(CATS), model), engine)
    for other in (with_engine(model, engine), described):
        found = keypoints(other.test_step(copy.deepcopy(batch)))
        assert np.array_equal(found, expected)
    assert engine.calls == (4 if flip else 2)


def test_an_average_over_views_takes_it_too():
    model = build_leaf(FACES)
    batch = faces()
    views = {
        'inputs': [[one, one.flip(-1)] for one in batch['inputs']],
        'data_samples': [[one, one.clone()] for one in batch['data_samples']],
    }
    found = [
        scores(AverageClsScoreTTA(module=one).test_step(copy.deepcopy(views)))
        for one in (model, with_engine(model, EagerEngine(plain_network(model))))
    ]
    assert torch.equal(*found)


def test_the_model_stays_and_the_weights_are_not_copied():
    model = build_leaf(CATS).train()
    state = model.state_dict().keys()
    forward = model.head.forward
    other = with_engine(model, Counted(build_leaf(CATS)))
    assert model.training
    assert model.state_dict().keys() == state
    assert model.head.forward == forward
    assert not list(other.parameters())
    assert not other.training
    assert other.data_preprocessor is not model.data_preprocessor
    again = copy.deepcopy(other)
    batch = cats()
    expected = keypoints(other.test_step(copy.deepcopy(batch)))
    assert np.array_equal(keypoints(again.test_step(batch)), expected)


def pose_config(head: dict, codec: dict) -> dict:
    return dict(
        type='TopdownPoseEstimator',
        data_preprocessor=leaf(CATS).model.data_preprocessor,
        backbone=dict(type='mmengine.Brightness', stride=32),
        neck=dict(type='GlobalAveragePooling') if 'Regr' in head['type'] else None,
        head=dict(head, in_channels=1, out_channels=17, decoder=codec),
        test_cfg=dict(flip_test=True),
    )


SIMCC = dict(type='SimCCLabel', input_size=(96, 96), sigma=4.9, simcc_split_ratio=2.0)
OTHERS = {
    'simcc': pose_config(
        dict(
            type='SimCCHead',
            input_size=(96, 96),
            in_featuremap_size=(3, 3),
            simcc_split_ratio=2.0,
            deconv_out_channels=None,
        ),
        SIMCC,
    ),
    'coordinates': pose_config(
        dict(type='RegressionHead', num_joints=17),
        dict(type='RegressionLabel', input_size=(96, 96)),
    ),
}
del OTHERS['coordinates']['head']['out_channels']


@pytest.mark.slow
@pytest.mark.parametrize('kind', OTHERS)
def test_other_heads_are_decoded_alike(kind, tmp_path):
    cfg = leaf(CATS)
    cfg.model = OTHERS[kind]
    model, batch = build(cfg.model, 'mmpose'), cats()
    spec = spec_of(cfg, model)
    assert spec.pose.output == kind
    export_onnx(plain_network(model), spec, tmp_path / 'a.onnx')
    engine = OnnxEngine(tmp_path / 'a.onnx')
    expected = keypoints(model.test_step(copy.deepcopy(batch)))
    for other in (with_engine(model, engine), model_of(engine.spec, engine)):
        found = keypoints(other.test_step(copy.deepcopy(batch)))
        assert np.allclose(found, expected, atol=1e-2)


def validated(cfg, model, tmp_path, name):
    """Metrics and every sample's results of a validation by the Runner."""
    cfg.work_dir, cfg.experiment_name = str(tmp_path), f'{tmp_path.name}-{name}'
    cfg.val_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.val_dataloader.dataset.indices = 60
    cfg.train_dataloader = cfg.train_cfg = cfg.optim_wrapper = None
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    cfg.param_scheduler = cfg.custom_hooks = None
    # Its choice of the best needs a training before.
    cfg.default_hooks.checkpoint = None
    cfg.visualizer = dict(type='Visualizer', vis_backends=[])
    cfg.log_level = 'WARNING'
    runner = Runner.from_cfg(cfg)
    runner.model = model
    kept = []
    process = runner.val_evaluator.process

    def keep(data_samples, data_batch=None):
        kept.extend(data_samples)
        process(data_samples, data_batch)

    runner.val_evaluator.process = keep
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return runner.val(), kept


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.parametrize('name', [FACES, CATS], ids=['faces', 'cats'])
def test_the_runners_validation_finds_the_same(name, real_data, tmp_path):
    model = build_leaf(name)
    path = tmp_path / 'a.onnx'
    export_onnx(plain_network(model), spec_of(leaf(name), model), path)
    other = with_engine(model, OnnxEngine(path))
    expected, samples = validated(leaf(name), model, tmp_path / 'eager', 'eager')
    metrics, found = validated(leaf(name), other, tmp_path / 'onnx', 'onnx')
    assert metrics == pytest.approx(expected, abs=1e-4)
    assert len(samples) == len(found) >= 60
    if name == FACES:
        assert torch.allclose(scores(found), scores(samples), atol=1e-4)
    else:
        assert np.allclose(keypoints(found), keypoints(samples), atol=1e-2)
