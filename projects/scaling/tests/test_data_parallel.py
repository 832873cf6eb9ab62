# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""DataParallel beside DistributedDataParallel, as far as a CPU can tell."""

import subprocess
import sys

import pytest
import torch

from hpml_mm.config.overrides import load_config
from projects.scaling.data_parallel import (
    Heatmaps,
    by_one_process,
    by_processes,
    measure,
    rows,
    seconds_a_step,
)

LEAF = (
    'configs/cat_pose/'
    'td-hm_mobilenet-v2_1xb32-bf16-lr1e-3-channels-last-sigma2-10e_cats-128x128.py'
)


@pytest.fixture
def model():
    cfg = load_config(LEAF, {})
    cfg.model.backbone.init_cfg = None
    return cfg.model


def test_a_step_trains(model):
    network = Heatmaps(model)
    images = torch.rand(2, 3, 64, 64)
    assert network(images).shape == (2, 17, 16, 16)
    before = [p.detach().clone() for p in network.parameters()]
    assert seconds_a_step(network, images, steps=1, warmup=1) > 0
    pairs = zip(before, network.parameters(), strict=True)
    assert all(not one.equal(other) for one, other in pairs)


def test_one_device_is_the_network_alone(model):
    assert by_one_process(model, (64, 64), 2, ['cpu'], steps=1) > 0


@pytest.mark.system
def test_two_processes_train_together(model):
    assert by_processes(model, (64, 64), 2, ['cpu', 'cpu'], steps=1) > 0


def test_rounds_alternate():
    order = []
    sides = {
        name: lambda name=name: order.append(name) or float(len(order))
        for name in ('one', 'dp')
    }
    assert measure(sides, 2) == {'one': [1.0, 4.0], 'dp': [2.0, 3.0]}
    assert order == ['one', 'dp', 'dp', 'one']


def test_rows_by_hand():
    # One GPU: 8 images in a second. Two by one process: 16 in 1.6 s, 10 a second, of
    # 16 that two should do; by two processes: 16 in 1.25 s, 12.8 a second.
    found = {'one': [1.0, 1.0], 'dp': [1.6, 1.6], 'ddp': [1.25, 1.25]}
    made = {
        (r.experiment, r.metric): r
        for r in rows('x', found, batch=8, gpus=2, argv=['-m', 'x'])
    }
    assert made['x/one', 'throughput/all(img/s)'].value == 8
    assert made['x/dp', 'throughput/all(img/s)'].value == 10
    assert made['x/dp', 'throughput/all(img/s)'].ratio == 1.25
    assert made['x/dp', 'efficiency(%)'].value == pytest.approx(62.5)
    assert made['x/ddp', 'efficiency(%)'].value == pytest.approx(80)
    assert ('x/one', 'efficiency(%)') not in made


def test_without_two_gpus_it_says_so():
    command = [sys.executable, '-m', 'projects.scaling.data_parallel', LEAF]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'DataParallel needs at least two GPUs, and there are' in done.stderr
