# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The experiments, pipelines and networks of the leaf configs for poses."""

import json
from functools import cache

import hpml_mm  # noqa: F401  # isort: skip
import numpy as np
import pytest
import torch
from leaf_content import kind
from leaf_names import parse_leaf_name
from leaves import CONFIGS, POSE_LEAVES, load, network_word
from mmengine.dataset import Compose
from mmengine.registry import DATASETS, init_default_scope
from mmpose.registry import KEYPOINT_CODECS, MODELS
from pose_leaves import augmentation

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


def test_every_experiment_of_the_source_is_there_and_what_it_says():
    assert set(EXPERIMENTS) == set(TABLE)
    assert len(TABLE) == 33
    for number, row in TABLE.items():
        cfg = load(EXPERIMENTS[number])
        optimizer = cfg.optim_wrapper.optimizer
        assert row == (
            network_word(CONFIGS / EXPERIMENTS[number]),
            cfg.codec.input_size[0],
            cfg.train_dataloader.batch_size,
            optimizer.lr,
            optimizer.type,
            cfg.train_cfg.max_epochs,
            augmentation(cfg),
        ), number


def test_loaders_belong_together():
    for leaf in POSE_LEAVES:
        cfg = load(leaf)
        train, val, test = (cfg[f'{m}_dataloader'] for m in ('train', 'val', 'test'))
        if 'test-dev' in leaf:  # whose annotations are not published
            assert test.dataset.ann_file.endswith('image_info_test-dev2017.json')
            assert test.dataset.data_prefix.img == 'test2017/'
            (evaluator,) = cfg.test_evaluator
            assert evaluator.format_only
            cfg.test_evaluator, differs = cfg.val_evaluator, {'dataset'}
        else:
            differs = set()
        assert {k for k in val if val[k] != test[k]} == differs, leaf
        assert kind(train.dataset) == kind(val.dataset), leaf
        assert train.dataset.data_root == val.dataset.data_root, leaf
        assert 'train' in train.dataset.ann_file, leaf
        splits = [loader.dataset.get('split') for loader in (train, val)]
        if splits == ['train', 'val']:  # of one file
            of_val = train.dataset.ann_file
        else:
            of_val = train.dataset.ann_file.replace('train', 'val')
        assert val.dataset.ann_file == of_val, leaf
        assert not val.sampler.shuffle, leaf
        for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
            # No file of its own: CocoMetric takes the truth from the data set.
            metrics = ['CocoMetric', 'KeypointPCK']
            if 'bbox_file' in val.dataset:  # such a box has no true keypoints
                metrics.remove('KeypointPCK')
            if 'lspet' in leaf:  # no sigmas are published for an AP
                metrics[0] = 'HeatmapPCK'
            assert [kind(metric) for metric in evaluator] == metrics, leaf
            assert 'ann_file' not in evaluator[0], leaf


@cache
def metainfo(settings):
    return DATASETS.build(dict(json.loads(settings), lazy_init=True)).metainfo


def metainfo_of(cfg):
    init_default_scope('mmpose')
    data = cfg.train_dataloader.dataset
    given = {key: data[key] for key in ('type', 'keypoints') if key in data}
    return metainfo(json.dumps(given))


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


def test_pipelines_give_the_size_in_the_name():
    seen = set()
    for leaf in POSE_LEAVES:
        cfg, name = load(leaf), parse_leaf_name(leaf)
        info = metainfo_of(cfg)
        for mode in ('train', 'val'):
            pipeline = cfg[f'{mode}_dataloader'].dataset.pipeline
            assert kind(pipeline[0]) == 'LoadImage', leaf
            if (case := f'{pipeline} {name.size}') in seen:
                continue
            seen.add(case)
            steps = Compose(pipeline[1:])
            for _ in range(4):  # A transform may be left out at random.
                packed = steps(sample(info))
                assert packed['inputs'].shape == (3, *name.size), leaf
                assert packed['inputs'].dtype == torch.uint8, leaf
                if mode == 'train':
                    heatmaps = packed['data_samples'].gt_fields.heatmaps
                    shape = (info['num_keypoints'], *name.heatmap)
                    assert heatmaps.shape == shape, leaf
                    assert heatmaps.max() > 0.8, leaf
    assert len(seen) > 10


@pytest.mark.slow
def test_models_give_the_heatmaps_in_the_name():
    init_default_scope('mmpose')
    networks, seen = {}, set()
    for leaf in POSE_LEAVES:
        cfg, name = load(leaf), parse_leaf_name(leaf)
        settings = cfg.model.to_dict()
        settings['backbone']['init_cfg'] = None
        settings['head']['decoder'] = dict(load(POSE_LEAVES[0]).codec)  # decodes later
        case = str(settings)
        if (case, name.size) in seen:
            continue
        seen.add((case, name.size))
        with torch.device('meta'):  # shapes without numbers
            network = networks.get(case) or MODELS.build(settings).eval()
            networks[case] = network
            heatmaps = network(torch.zeros(1, 3, *name.size), None)
        keypoints = metainfo_of(cfg)['num_keypoints']
        assert heatmaps.shape == (1, keypoints, *name.heatmap), leaf
    assert len(seen) > 6


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


def test_targets_have_their_peak_at_the_keypoint():
    """MSRAHeatmap's do not where three sigmas are no whole number of cells."""
    for settings in {
        str(load(leaf).codec): load(leaf).codec for leaf in POSE_LEAVES
    }.values():
        codec = KEYPOINT_CODECS.build(settings.to_dict())
        width, height = codec.input_size
        stride = width / codec.heatmap_size[0]
        for x, y in np.mgrid[0:width:stride, 0:height:stride].reshape(2, -1).T[::7]:
            maps = codec.encode(np.array([[[x, y]]]), np.ones((1, 1)))['heatmaps']
            row, column = np.unravel_index(maps[0].argmax(), maps[0].shape)
            assert (column * stride, row * stride) == (x, y), settings
