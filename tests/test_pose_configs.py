# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Every leaf config for poses builds, and is what its file name says."""

import json
from functools import cache

import numpy as np
import pytest
import torch
from leaves import CONFIGS, POSE_LEAVES, kind, load
from mmengine.dataset import Compose
from mmengine.registry import DATASETS, init_default_scope
from mmpose.registry import KEYPOINT_CODECS, MODELS
from pose_leaves import augmentation, dataset, model, variants

from hpml_mm.config.names import parse_leaf_name
from hpml_mm.config.overrides import load_config

every_leaf = pytest.mark.parametrize('leaf', POSE_LEAVES)
EXPERIMENTS = {
    leaf.split('/')[1].split('_')[0]: leaf
    for leaf in POSE_LEAVES
    if leaf.startswith('cat_pose/e')
}
# The cat project's table, experiment by experiment: model, input side, batch, learning
# rate, optimizer, epochs, augmentation.
RES50, HRNET = 'res50', 'hrnet-w32'
TABLE = {
    'e00': (RES50, 128, 64, 1e-5, 'Adam', 20, None),
    'e01': (RES50, 128, 64, 1e-5, 'Adam', 20, 'halfbody'),
    'e02': (RES50, 128, 64, 1e-5, 'Adam', 20, 'translation'),
    'e03': (RES50, 128, 64, 1e-5, 'Adam', 20, 'halfbody-translation'),
    'e04': (RES50, 128, 64, 1e-5, 'Adam', 20, 'albumentation'),
    'e05': (RES50, 128, 64, 1e-5, 'Adam', 20, 'photometric'),
    'e06': (RES50, 128, 64, 1e-5, 'Adam', 100, None),
    'e07': (RES50, 128, 64, 1e-5, 'Adam', 200, None),
    'e08': (RES50, 128, 64, 1e-5, 'Adam', 150, None),
    'e09': (RES50, 128, 16, 1e-4, 'Adam', 150, None),
    'e10': (RES50, 128, 32, 1e-4, 'Adam', 150, None),
    'e11': (RES50, 128, 24, 1e-4, 'Adam', 150, None),
    'e12': (RES50, 128, 64, 1e-4, 'Adam', 150, None),
    'e13': (RES50, 128, 48, 1e-4, 'Adam', 150, None),
    'e14': (RES50, 128, 32, 1e-3, 'Adam', 150, None),
    'e15': (RES50, 128, 32, 5e-4, 'Adam', 150, None),
    'e16': (RES50, 128, 64, 5e-4, 'Adam', 150, None),
    'e17': (RES50, 128, 48, 5e-4, 'Adam', 150, None),
    'e18': (RES50, 128, 24, 5e-4, 'Adam', 150, None),
    'e19': (RES50, 128, 32, 5e-4, 'Adam', 200, None),
    'e20': (RES50, 128, 32, 5e-4, 'Adam', 175, None),
    'e21': (RES50, 256, 32, 5e-4, 'Adam', 150, None),
    'e22': (RES50, 192, 32, 5e-4, 'Adam', 150, None),
    'e23': (RES50, 256, 64, 5e-4, 'Adam', 150, None),
    'e24': (RES50, 256, 48, 5e-4, 'Adam', 150, None),
    'e25': (RES50, 256, 64, 5e-4, 'Adam', 210, None),
    'e26': (RES50, 256, 64, 5e-4, 'Adam', 210, 'heavy'),
    'e26b': (HRNET, 256, 64, 5e-4, 'Adam', 210, 'heavy'),
    'e27': (HRNET, 256, 32, 5e-4, 'Adam', 210, 'heavy'),
    'e28': (HRNET, 256, 48, 5e-4, 'Adam', 210, 'heavy'),
    'e29': (HRNET, 256, 40, 5e-4, 'Adam', 210, 'heavy'),
    'e30': (HRNET, 256, 36, 5e-4, 'Adam', 210, 'heavy'),
    'e31': (HRNET, 256, 32, 5e-4, 'Adamax', 210, 'heavy'),
}


@every_leaf
def test_name_tells_the_truth(leaf):
    cfg, name = load(leaf), parse_leaf_name(leaf)
    assert cfg.model.type == 'TopdownPoseEstimator'
    assert name.algorithm == {'HeatmapHead': 'td-hm'}[cfg.model.head.type]
    assert model(cfg) == name.model
    assert dataset(cfg) == name.dataset
    assert cfg.train_dataloader.batch_size == name.batch_size
    assert cfg.train_cfg.max_epochs == name.epochs
    if not cfg.auto_scale_lr.get('enable'):
        assert cfg.auto_scale_lr.base_batch_size == name.gpus * name.batch_size
    assert variants(cfg) == name.variants


def test_every_experiment_of_the_source_is_there():
    assert set(EXPERIMENTS) == set(TABLE)
    assert len(TABLE) == 33


@pytest.mark.parametrize('number', TABLE)
def test_an_experiment_is_what_the_source_says(number):
    cfg = load(EXPERIMENTS[number])
    optimizer = cfg.optim_wrapper.optimizer
    assert TABLE[number] == (
        model(cfg),
        cfg.codec.input_size[0],
        cfg.train_dataloader.batch_size,
        optimizer.lr,
        optimizer.type,
        cfg.train_cfg.max_epochs,
        augmentation(cfg),
    )


@every_leaf
def test_every_part_has_the_size_in_the_name(leaf):
    cfg, name = load(leaf), parse_leaf_name(leaf)
    height, width = name.size
    assert cfg.codec.input_size == (width, height)
    assert cfg.codec.heatmap_size == name.heatmap[::-1]
    assert cfg.model.head.decoder == cfg.codec
    pipelines = [cfg[f'{m}_dataloader'].dataset.pipeline for m in ('train', 'val')]
    steps = [step for pipeline in pipelines for step in pipeline]
    assert [s.encoder for s in steps if kind(s) == 'GenerateTarget'] == [cfg.codec]
    sizes = [s.input_size for s in steps if kind(s) == 'TopdownAffine']
    assert sizes == [(width, height)] * 2


@every_leaf
def test_loaders_belong_together(leaf):
    cfg = load(leaf)
    train, val, test = (cfg[f'{mode}_dataloader'] for mode in ('train', 'val', 'test'))
    assert val == test
    assert kind(train.dataset) == kind(val.dataset)
    assert train.dataset.data_root == val.dataset.data_root
    assert 'train' in train.dataset.ann_file
    assert val.dataset.ann_file == train.dataset.ann_file.replace('train', 'val')
    assert not val.sampler.shuffle
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        # No file of its own: CocoMetric takes the truth from the data set.
        metrics = ['CocoMetric', 'KeypointPCK']
        if 'bbox_file' in val.dataset:  # such a box has no true keypoints
            metrics.remove('KeypointPCK')
        assert [kind(metric) for metric in evaluator] == metrics
        assert 'ann_file' not in evaluator[0]


@cache
def metainfo(settings):
    return DATASETS.build(dict(json.loads(settings), lazy_init=True)).metainfo


def metainfo_of(cfg):
    settings = {
        key: value
        for key, value in cfg.train_dataloader.dataset.items()
        if key in ('type', 'keypoints')
    }
    return metainfo(json.dumps(settings))


def sample(info):
    """An animal in a picture, as a data set hands it to the pipeline."""
    rng = np.random.default_rng(0)
    number = info['num_keypoints']
    return {
        'img_shape': (200, 300),
        'img': rng.integers(0, 256, (200, 300, 3), dtype=np.uint8),
        'bbox': np.array([[40, 30, 240, 190]], np.float32),
        'bbox_score': np.ones(1, np.float32),
        'keypoints': rng.uniform((60, 50), (220, 170), (1, number, 2)),
        'keypoints_visible': np.ones((1, number), np.float32),
        **{key: info[key] for key in ('flip_indices', 'flip_pairs')},
        **{key: info[key] for key in ('upper_body_ids', 'lower_body_ids')},
        'dataset_keypoint_weights': info['dataset_keypoint_weights'],
    }


@every_leaf
def test_pipelines_give_the_size_in_the_name(leaf):
    cfg, name = load(leaf), parse_leaf_name(leaf)
    init_default_scope(cfg.default_scope)
    info = metainfo_of(cfg)
    for mode in ('train', 'val'):
        pipeline = cfg[f'{mode}_dataloader'].dataset.pipeline
        assert kind(pipeline[0]) == 'LoadImage'
        steps = Compose(pipeline[1:])
        for _ in range(4):  # A transform may be left out at random.
            packed = steps(sample(info))
            assert packed['inputs'].shape == (3, *name.size)
            assert packed['inputs'].dtype == torch.uint8
            if mode == 'train':
                heatmaps = packed['data_samples'].gt_fields.heatmaps
                assert heatmaps.shape == (info['num_keypoints'], *name.heatmap)
                assert heatmaps.max() > 0.8


@cache
def build(settings):
    init_default_scope('mmpose')
    return MODELS.build(json.loads(settings)).eval()


@every_leaf
def test_model_gives_the_heatmaps_in_the_name(leaf):
    cfg, name = load(leaf), parse_leaf_name(leaf)
    network = build(json.dumps(cfg.model.to_dict()))
    with torch.inference_mode():
        heatmaps = network(torch.zeros(1, 3, *name.size), None)
    keypoints = metainfo_of(cfg)['num_keypoints']
    assert heatmaps.shape == (1, keypoints, *name.heatmap)


@every_leaf
def test_training_ends_after_the_last_step(leaf):
    cfg = load(leaf)
    milestones = cfg.param_scheduler[1].milestones
    assert milestones == sorted(milestones)
    assert milestones[-1] < cfg.train_cfg.max_epochs


def test_the_size_from_the_command_line_reaches_every_part():
    options = {'codec.input_size': [96, 96], 'codec.heatmap_size': [24, 24]}
    cfg = load_config(str(CONFIGS / EXPERIMENTS['e00']), options)
    train, val, test = (
        cfg[f'{mode}_dataloader'].dataset.pipeline for mode in ('train', 'val', 'test')
    )
    for codec in (cfg.codec, cfg.model.head.decoder, train[5].encoder):
        assert codec == dict(
            type='MSRAHeatmap', input_size=(96, 96), heatmap_size=(24, 24), sigma=1.0
        )
    assert [step.input_size for step in (train[4], val[2], test[2])] == [(96, 96)] * 3


@pytest.mark.real_data
def test_the_whole_of_mobilenets_checkpoint_is_taken(real_data):
    leaf = next(leaf for leaf in POSE_LEAVES if 'mobilenet' in leaf)
    settings = load(leaf).model.to_dict()
    weights = real_data / 'weights' / 'mobilenet_v2_imagenet.pth'
    settings['backbone']['init_cfg']['checkpoint'] = str(weights)
    init_default_scope('mmpose')
    network = MODELS.build(settings)
    network.init_weights()
    saved = torch.load(weights, map_location='cpu')
    saved = saved.get('state_dict', saved)
    taken = network.backbone.state_dict()
    assert len(taken) == len(saved)
    assert all(torch.equal(taken[k], saved[f'backbone.{k}']) for k in taken)


@every_leaf
def test_targets_have_their_peak_at_the_keypoint(leaf):
    """MSRAHeatmap's do not where three sigmas are no whole number of cells."""
    codec = KEYPOINT_CODECS.build(load(leaf).codec.to_dict())
    width, height = codec.input_size
    stride = width / codec.heatmap_size[0]
    for x, y in np.mgrid[0:width:stride, 0:height:stride].reshape(2, -1).T[::7]:
        heatmap = codec.encode(np.array([[[x, y]]]), np.ones((1, 1)))['heatmaps'][0]
        row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
        assert (column * stride, row * stride) == (x, y)
