# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import resource
import subprocess
import sys

import pytest
import torch
from torch import nn
from toy_tools import ROOT, TOY, environment, toy_runner

from hpml_mm.engine.stopping.out_of_memory import (
    OutOfMemoryError,
    describe_shortage,
    explaining_shortage,
    held_bytes,
    is_out_of_memory,
)


def test_bytes_are_counted_by_what_they_are_for():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(model[:1].parameters())
    assert held_bytes(model, [optimizer]) == {
        'parameters': 4 * (12 + 4 + 4 + 4),
        'buffers': 4 * (4 + 4) + 8,
        'gradients': 0,
        'optimizer state': 0,
    }
    model(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    held = held_bytes(model, [optimizer])
    assert held['gradients'] == held['parameters']
    # Two moments of 16 numbers, and a step each of weight and bias.
    assert held['optimizer state'] == 4 * (2 * 16 + 2)


def test_a_line_tells_what_was_held_and_what_to_change():
    held = {'parameters': 2**20, 'gradients': 0}
    said = describe_shortage('cuda', held, 64, 'Tried to allocate 2 GiB')
    assert 'memory of the cuda is short (Tried to allocate 2 GiB)' in said
    assert 'parameters 1.0 MiB, gradients 0.0 MiB' in said
    assert 'activations of batch 64' in said
    assert 'batch_size=32 with optim_wrapper.accumulative_counts=2' in said
    assert 'num_workers' not in said
    alone = describe_shortage('cpu', held, 1, '')
    assert 'a smaller batch_size' in alone
    assert 'num_workers' in alone
    assert 'batches of unknown size' in describe_shortage('cpu', held, None, '')


@pytest.mark.parametrize(
    ('error', 'short'),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError('CUDA out of memory. Tried'), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you"), True),
        (RuntimeError('shape mismatch'), False),
        (ValueError('CUDA out of memory'), False),
    ],
)
def test_which_errors_are_of_memory(tmp_path, error, short):
    assert is_out_of_memory(error) is short
    with (
        pytest.raises(OutOfMemoryError if short else type(error)),
        explaining_shortage(toy_runner(tmp_path)),
    ):
        raise error


@pytest.mark.slow
def test_a_training_without_memory_ends_with_one_line(tmp_path):
    """An activation of 32 TB, which no limit allows."""
    config = tmp_path / 'huge.py'
    config.write_text(
        f"_base_ = '{TOY}'\ncustom_hooks = [dict(type='FillMemoryHook')]\n"
    )
    done = subprocess.run(
        [sys.executable, ROOT / 'tools' / 'train.py', config],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2**35, 2**35)),
    )
    assert done.returncode == 2
    assert 'Traceback' not in done.stderr
    (line,) = [t for t in done.stderr.splitlines() if t.startswith('error: ')]
    assert 'memory of the cpu is short' in line
    assert 'activations of batch 4' in line
