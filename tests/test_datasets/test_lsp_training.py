# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The leaf configs of LSPET train, on persons as they are published, and real ones."""

import uuid

import cv2
import numpy as np
import pytest
from leaves import POSE_LEAVES, load
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from scipy.io import savemat

from hpml_mm.datasets.pose.lsp.published import convert_poses

LEAVES = [leaf for leaf in POSE_LEAVES if leaf.startswith('lspet_pose/')]


@pytest.fixture
def published(tmp_path):
    """A folder with ten persons as LSPET has them, and the file made of them."""
    rng = np.random.default_rng(0)
    joints = np.ones((14, 3, 10))
    joints[:, :2] = rng.uniform(10, 50, (14, 2, 10))
    joints[3, 2] = 0
    savemat(tmp_path / 'joints.mat', {'joints': joints})
    (tmp_path / 'images').mkdir()
    for number in range(1, 11):
        noise = rng.integers(0, 256, (60, 60, 3), np.uint8)
        cv2.imwrite(str(tmp_path / 'images' / f'im{number:05d}.jpg'), noise)
    convert_poses(tmp_path / 'joints.mat', tmp_path / 'lspet_train.json')
    return tmp_path


def scores(leaf, root, work_dir, hooks=()):
    """Metrics after two iterations of four images, of up to eight others."""
    cfg = load(leaf).copy()
    for mode in ('train', 'val', 'test'):
        loader = cfg[f'{mode}_dataloader']
        loader.dataset.data_root = str(root)
        loader.update(num_workers=0, persistent_workers=False, batch_size=4)
        limit = {'type': 'hpml_mm.LimitedBatchSampler', 'num_batches': 2}
        loader.batch_sampler = limit
    cfg.model.backbone.init_cfg = None
    cfg.train_cfg.update(max_epochs=1, val_interval=2)
    cfg.custom_hooks = list(hooks)
    cfg.visualizer = {'type': 'Visualizer', 'vis_backends': []}
    cfg.work_dir, cfg.experiment_name = str(work_dir), uuid.uuid4().hex
    with DefaultScope.overwrite_default_scope('mmpose'):
        runner = Runner.from_cfg(cfg)
        runner.train()
        found = runner.val()
        assert runner.iter == 2
        bias = runner.model.head.final_layer.bias
        assert (bias != 0).any()
    return found


def test_leaves_train_on_made_persons(published, tmp_path):
    assert len(LEAVES) == 2
    for number, leaf in enumerate(LEAVES):
        found = scores(leaf, published, tmp_path / f'{number}')
        names = {name.rpartition('/')[2] for name in found if name.startswith('heat')}
        assert 'left_knee' in names
        assert 'left_hip' not in names  # which nobody shows
        assert 0 <= found['heatmap/PCK'] <= 1
    # An input that is read faster says the same to the metric.
    fast = [{'type': 'hpml_mm.FastPoseInputHook'}]
    again = scores(leaf, published, tmp_path / 'fast', fast)
    assert again == pytest.approx(found, abs=0.04)


@pytest.mark.real_data
def test_a_leaf_trains_on_real_persons(real_data, tmp_path):
    found = scores(LEAVES[1], real_data / 'lspet', tmp_path)
    assert 0 <= found['heatmap/PCK'] < 0.2
    assert 0 <= found['PCK@0.2'] < 0.5
