# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""The wall time that SummaryHook tells of a training in several parts."""

import json

import pytest
import torch
from clocked_runs import FakeClock, clocked_runner

from hpml_mm.engine.hooks.summary_hook import SummaryHook


@pytest.fixture
def clock():
    return FakeClock()


def wall_time(work_dir, clock, length, **kwargs):
    """Of a training that saves a checkpoint after each epoch."""
    hook = SummaryHook()
    hook.clock = clock
    checkpoint = {'checkpoint': {'type': 'CheckpointHook', 'interval': 1}}
    runner = clocked_runner(
        work_dir, clock, [hook], length=length, default_hooks=checkpoint, **kwargs
    )
    runner.train()
    summary = json.loads((work_dir / 'summary.json').read_text())
    return summary['train']['wall_time(s)']


def test_a_resumed_training_counts_the_time_before_and_not_the_pause(tmp_path, clock):
    # An epoch: 1 s to start, 5 iterations of .2 s, 3 s for the checkpoint.
    assert wall_time(tmp_path, clock, 1) == pytest.approx(5)
    clock.advance(1000)
    assert wall_time(tmp_path, clock, 2, resume=True) == pytest.approx(10)
    clock.advance(1000)
    assert wall_time(tmp_path, clock, 4, resume=True) == pytest.approx(20)


def test_weights_that_are_loaded_only_bring_no_time(tmp_path, clock):
    wall_time(tmp_path, clock, 1)
    load_from = str(tmp_path / 'epoch_1.pth')
    other = tmp_path / 'other'
    assert wall_time(other, clock, 1, load_from=load_from) == pytest.approx(5)


def test_the_time_before_a_checkpoint_without_it_is_unknown(tmp_path, clock):
    wall_time(tmp_path, clock, 1)
    path = tmp_path / 'epoch_1.pth'
    checkpoint = torch.load(path, weights_only=False)
    del checkpoint['hpml_mm_wall_time']
    torch.save(checkpoint, path)
    assert wall_time(tmp_path, clock, 2, resume=True) is None
