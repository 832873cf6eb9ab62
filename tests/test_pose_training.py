# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Leaf configs of poses take real steps on real animals and persons."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hpml_mm.engine.weights import read_checkpoint

ROOT = Path(__file__).parents[1]
# Three batches of two, validated on one: HRNet's step takes a second or more.
SHORT = (
    'train_dataloader.batch_size=2',
    'train_dataloader.batch_sampler.type=hpml_mm.LimitedBatchSampler',
    'train_dataloader.batch_sampler.num_batches=3',
    'val_dataloader.batch_size=2',
    'val_dataloader.batch_sampler.type=hpml_mm.LimitedBatchSampler',
    'val_dataloader.batch_sampler.num_batches=1',
    'train_cfg.max_epochs=1',
    'train_cfg.val_interval=1',
    'model.backbone.init_cfg=None',
    'load_from=None',
    'custom_hooks.1.warmup_iters=1',
)
LEAVES = {
    'hrnet-cats': 'cat_pose/e31_td-hm_hrnet-w32_1xb32-adamax-lr5e-4-heavy-210e_'
    'cats-256x256.py',
    'res50-cats': 'cat_pose/e04_td-hm_res50_1xb64-albumentation-20e_cats-128x128.py',
    'hrnet-coco': 'coco_pose/td-hm_hrnet-w32_1xb32-210e_coco-256x192.py',
    'first10k-coco': 'coco_pose/td-hm_hrnet-w32_1xb32-first10k-210e_coco-256x192.py',
}


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.parametrize('leaf', LEAVES)
def test_real_steps(leaf, tmp_path, real_data):
    work = tmp_path / 'work'
    done = subprocess.run(
        [sys.executable, ROOT / 'tools' / 'train.py', ROOT / 'configs' / LEAVES[leaf]]
        + ['--work-dir', work, '--cfg-options', *SHORT],
        env=os.environ | {'HPML_MM_DATA': str(real_data), 'OMP_NUM_THREADS': '2'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    summary = json.loads((work / 'summary.json').read_text())
    assert summary['train']['iters'] == 3
    assert 0 <= summary['metrics']['coco/AP'] <= 1
    measured = summary['measurements']
    assert measured['throughput(img/s)'] > 0
    # The head's last layer has learnt: it starts with a bias of zero.
    weights = read_checkpoint(work / 'epoch_1.pth')
    bias = weights['head.final_layer.bias']
    assert torch.isfinite(bias).all()
    assert (bias != 0).all()
