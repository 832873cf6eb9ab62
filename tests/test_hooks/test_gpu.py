# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""What only a GPU can show of the hooks: run ``pytest -m gpu``."""

import gzip
import json

import pytest
import torch
from toy_runs import loader, toy_runner

from hpml_mm.utils.device import device_name, peak_flops

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not torch.cuda.is_available(), reason='no GPU, or hidden: use pytest -m gpu'
    ),
]


def trained(tmp_path, hook, **changes):
    """The hook after two epochs of four batches on the GPU."""
    settings = {'train_cfg': {'by_epoch': True, 'max_epochs': 2}, **changes}
    runner = toy_runner(tmp_path, [hook], **settings)
    runner.train()
    assert next(runner.model.parameters()).is_cuda
    name = hook['type'].removeprefix('hpml_mm.')
    return next(h for h in runner.hooks if type(h).__name__ == name)


def test_throughput_with_memory_and_utilization(tmp_path):
    hook = {'type': 'hpml_mm.ThroughputHook', 'warmup_iters': 1, 'interval': 2}
    summary = trained(tmp_path, hook).summary()
    assert summary['step_time/n'] == 7
    assert summary['throughput(img/s)'] > 0
    assert 0 < summary['memory/peak(GiB)'] <= summary['memory/reserved(GiB)']
    peak = peak_flops(device_name('cuda'), summary['step/precision'])
    if peak is None:
        assert summary['mfu(%)'] is None
        pytest.skip(f'{device_name("cuda")} has no known peak')
    assert 0 < summary['mfu(%)'] < 100


def test_idle_time_of_the_device(tmp_path):
    hook = trained(tmp_path, {'type': 'hpml_mm.DataLoadRatioHook', 'interval': 2})
    assert 0 < hook.summary()['device_idle(%)'] < 100


def test_fp16_scales_the_loss_and_skips_steps(tmp_path):
    broken = loader()
    broken['dataset'].images[:8] = float('inf')  # the first two batches of four
    hook = {
        'type': 'hpml_mm.AmpHook',
        'dtype': 'float16',
        'loss_scale': {'init_scale': 1024.0},
    }
    once = {'by_epoch': True, 'max_epochs': 1}
    summary = trained(tmp_path, hook, train_dataloader=broken, train_cfg=once).summary()
    assert summary['precision'] == 'fp16'
    assert summary['amp/skipped_steps'] == 2
    assert summary['amp/scale'] == 256.0


def test_a_profile_holds_kernels(tmp_path):
    trained(tmp_path, {'type': 'hpml_mm.TorchProfilerHook', 'active': 2})
    (path,) = (tmp_path / 'profile').glob('*.trace.json.gz')
    with gzip.open(path, 'rt') as file:
        events = json.load(file)['traceEvents']
    kernels = [event for event in events if event.get('cat') == 'kernel']
    assert kernels
