# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Leaf configs of poses take real steps on real animals and persons."""

import json
from pathlib import Path

import pytest
import torch
from toy_tools import run_tool

from hpml_mm.engine.weights import read_checkpoint, state_dict_of

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
    'mobilenet-cats': 'cat_pose/td-hm_mobilenet-v2_1xb32-bf16-lr1e-3-channels-last-'
    'sigma2-photometric-10e_cats-128x128.py',
}


def train(leaf, work, real_data, *arguments):
    config = ROOT / 'configs' / LEAVES[leaf]
    arguments = [config, '--work-dir', work, '--cut-short', *arguments]
    data = {'HPML_MM_DATA': str(real_data)}
    done = run_tool('train.py', *arguments, cwd=ROOT, **data)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.real_data
@pytest.mark.slow
@pytest.mark.parametrize('leaf', LEAVES)
def test_real_steps(leaf, tmp_path, real_data, much_memory):
    work = tmp_path / 'work'
    train(leaf, work, real_data, '--cfg-options', *SHORT)
    summary = json.loads((work / 'summary.json').read_text())
    assert summary['train']['iters'] == 3
    assert 0 <= summary['metrics']['coco/AP'] <= 1
    measured = summary['measurements']
    assert measured['throughput(img/s)'] > 0
    # The head's last layer has learnt: it starts with biases of zero.
    weights = state_dict_of(read_checkpoint(str(work / 'epoch_1.pth')))
    bias = weights['head.final_layer.bias']
    assert torch.isfinite(bias).all()
    assert (bias != 0).any()  # a joint that no sample shows stays


@pytest.mark.real_data
@pytest.mark.slow
def test_a_run_that_was_resumed_ends_with_the_same_weights(
    tmp_path, real_data, much_memory
):
    """Flips, boxes and colours are drawn in two workers, anew in each epoch."""
    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    options = ['--cfg-options', *SHORT, 'train_dataloader.batch_size=4']
    one, two = 'train_cfg.max_epochs=1', 'train_cfg.max_epochs=2'
    train('mobilenet-cats', whole, real_data, *options, two)
    train('mobilenet-cats', parts, real_data, *options, one)
    train('mobilenet-cats', parts, real_data, '--resume', *options, two)
    ends = [
        state_dict_of(read_checkpoint(str(d / 'epoch_2.pth'))) for d in (whole, parts)
    ]
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    summary = json.loads((parts / 'summary.json').read_text())
    assert summary['train']['epochs'] == 2
