# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Peaks by name, and memory peaks that outlive a reset."""

import os
import resource

import pytest
import torch

from hpml_mm.utils.device import (
    GIB,
    MemoryPeak,
    cpu_name,
    device_name,
    peak_flops,
    peak_memory_gib,
    usable_cpus,
)


@pytest.mark.parametrize(
    ('name', 'precision', 'tflops'),
    [
        ('A100-SXM4-40GB', 'tf32', 156),
        ('NVIDIA A100 80GB PCIe', 'float32', 19.5),
        ('NVIDIA H100 PCIe', 'bfloat16', 756),
        ('NVIDIA H200', 'float16', 989.4),
        ('Tesla V100-PCIE-32GB', 'float32', 14),
        ('Tesla T4', 'float16', 65),
        ('NVIDIA A10', 'bfloat16', 125),
        ('NVIDIA GeForce RTX 4090', 'float16', 165.2),
    ],
)
def test_known_peaks(name, precision, tflops):
    assert peak_flops(name, precision) == pytest.approx(tflops * 1e12)


@pytest.mark.parametrize(
    ('name', 'precision'),
    [
        ('NVIDIA A10G', 'bfloat16'),  # not an A10
        ('NVIDIA L40S', 'bfloat16'),  # not an L4
        ('NVIDIA GeForce RTX 3090 Ti', 'bfloat16'),
        ('NVIDIA GeForce RTX 4090 Laptop GPU', 'bfloat16'),
        ('NVIDIA A100-SXM4-40GB MIG 1g.5gb', 'bfloat16'),
        ('Tesla T4', 'bfloat16'),  # it has no units for it
        ('Tesla V100-SXM2-16GB', 'tf32'),
        ('NVIDIA H200', 'mixed'),
        ('AMD EPYC', 'float32'),
    ],
)
def test_no_peak_is_guessed(name, precision):
    assert peak_flops(name, precision) is None


def test_cpu_memory_is_the_resident_set_in_gib():
    peak = peak_memory_gib('cpu')
    assert peak == pytest.approx(
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB, rel=0.05
    )
    block = torch.ones(2**27, dtype=torch.uint8)  # 128 MiB
    assert peak_memory_gib('cpu') > 0.12
    del block


def test_no_memory_where_it_is_not_known():
    assert peak_memory_gib('meta') is None


def test_names():
    assert device_name('cpu') == cpu_name()
    assert 1 <= usable_cpus() <= os.cpu_count()


class FakeCuda:
    """CUDA's counters, reset by whoever likes."""

    def __init__(self):
        self.allocated = 0

    def max_memory_allocated(self, device):
        return self.allocated

    def max_memory_reserved(self, device):
        return 2 * self.allocated

    def reset_peak_memory_stats(self, device):
        self.allocated = 0


def test_peak_outlives_a_reset_by_the_logger():
    cuda = FakeCuda()
    memory = MemoryPeak(torch.device('cuda'), cuda)
    cuda.allocated = 3 * GIB
    memory.read()
    cuda.allocated = 1 * GIB  # the logger has reset it meanwhile
    memory.read()
    assert (memory.allocated, memory.reserved) == (3.0, 6.0)


def test_restart_forgets_what_was_not_read():
    cuda = FakeCuda()
    memory = MemoryPeak(torch.device('cuda'), cuda)
    cuda.allocated = 1 * GIB
    memory.read()
    cuda.allocated = 9 * GIB  # a validation
    memory.restart()
    memory.read()
    assert memory.allocated == 1.0
