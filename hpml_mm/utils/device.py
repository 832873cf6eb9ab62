# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Name, peak and used memory of a device."""

import os
import platform
import re
import resource
import sys
from pathlib import Path
from typing import Any

import torch

GIB = 1024**3

# Peak TFLOP/s without sparsity, by precision. The keys are patterns of whole
# device names as torch.cuda.get_device_name gives them: "A10" must match neither
# "A100" nor "A10G". Tensor cores accumulate in float32, as PyTorch asks them to.
# A missing precision is one that the device has no units for, or whose peak its
# maker does not state. Sources, all NVIDIA's:
#   A100: A100 datasheet (A100 40GB/80GB, PCIe and SXM alike)
#   H100, H200: H100 and H200 datasheets; tensor figures there are with sparsity,
#     twice the dense ones
#   V100: V100 datasheet;  T4: T4 datasheet;  L4: L4 datasheet;  A10: A10 datasheet
#   RTX 3090: GA102 whitepaper, table 9;  RTX 4090: Ada whitepaper, appendix A
_PEAK_TFLOPS: dict[str, dict[str, float]] = {
    r'(NVIDIA )?A100[- ].*': dict(bfloat16=312, float16=312, tf32=156, float32=19.5),
    r'NVIDIA H100 80GB HBM3': dict(
        bfloat16=989.4, float16=989.4, tf32=494.7, float32=66.9
    ),
    r'NVIDIA H100 PCIe': dict(bfloat16=756, float16=756, tf32=378, float32=51),
    r'NVIDIA H100 NVL': dict(bfloat16=835, float16=835, tf32=417, float32=60),
    r'NVIDIA H200': dict(bfloat16=989.4, float16=989.4, tf32=494.7, float32=66.9),
    r'NVIDIA H200 NVL': dict(bfloat16=835, float16=835, tf32=417, float32=60),
    r'(Tesla|NVIDIA) V100-SXM2-.*': dict(float16=125, float32=15.7),
    r'(Tesla|NVIDIA) V100-PCIE-.*': dict(float16=112, float32=14),
    r'(Tesla|NVIDIA) V100S-PCIE-.*': dict(float16=130, float32=16.4),
    r'(Tesla|NVIDIA) T4': dict(float16=65, float32=8.1),
    r'NVIDIA L4': dict(bfloat16=121, float16=121, tf32=60, float32=30.3),
    r'NVIDIA A10': dict(bfloat16=125, float16=125, tf32=62.5, float32=31.2),
    r'NVIDIA GeForce RTX 3090': dict(bfloat16=71, float16=71, tf32=35.6, float32=35.6),
    r'NVIDIA GeForce RTX 4090': dict(
        bfloat16=165.2, float16=165.2, tf32=82.6, float32=82.6
    ),
}


def peak_flops(name: str, precision: str) -> float | None:
    """Peak FLOP/s of a device, dense, by its maker's data sheet.

    Args:
        name: Full device name, e.g. 'NVIDIA H200'.
        precision: 'bfloat16', 'float16', 'tf32' or 'float32'.

    Returns:
        FLOP/s, or None for a device or precision that is not in the table: a CPU,
        an unknown GPU, a slice of a GPU (MIG), bfloat16 on a T4.
    """
    for pattern, peaks in _PEAK_TFLOPS.items():
        if 'MIG' not in name and re.fullmatch(pattern, name):
            tflops = peaks.get(precision)
            return None if tflops is None else tflops * 1e12
    return None


def cpu_name() -> str | None:
    """Model name of the CPU; None if the system does not report it."""
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.is_file():
        with cpuinfo.open() as lines:
            for line in lines:
                if line.startswith('model name'):
                    return line.partition(':')[2].strip()
    return platform.processor() or None


def usable_cpus() -> int:
    """CPUs that this process may run on, which can be fewer than the machine's."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def device_name(device: torch.device | str = 'cpu') -> str | None:
    """Name of a device: the GPU's, or the CPU's model name."""
    device = torch.device(device)
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    return cpu_name() if device.type == 'cpu' else device.type


def peak_memory_gib(device: torch.device | str = 'cpu') -> float | None:
    """Most memory used so far, in GiB (1024^3 bytes).

    On CUDA, what tensors held since the last reset of the peak; MMEngine's
    LoggerHook resets it with every line that it logs, see :class:`MemoryPeak`. On
    a CPU, the peak resident set of the whole process (code, data, tensors) since it
    started, without its loader workers.

    Returns:
        GiB, or None on other devices.
    """
    device = torch.device(device)
    if device.type == 'cuda':
        return torch.cuda.max_memory_allocated(device) / GIB
    if device.type == 'cpu':
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # Linux counts in KiB, macOS in bytes.
        return peak / GIB if sys.platform == 'darwin' else peak * 1024 / GIB
    return None


class MemoryPeak:
    """Memory peak of a run, although others reset the device's counters.

    ``mmengine.device.get_max_cuda_memory``, which the logger calls, resets CUDA's
    peak. Reading before each of its calls and keeping the maximum loses nothing.

    Args:
        device: Device that the model trains on.
        cuda: The module that holds CUDA's counters; tests pass a fake.
    """

    def __init__(self, device: torch.device, cuda: Any = torch.cuda) -> None:
        self._device = device
        self._cuda = cuda
        self.on_cuda = device.type == 'cuda'
        self.allocated: float | None = None
        self.reserved: float | None = None

    def restart(self) -> None:
        """Reset the device's counters; a CPU's cannot be reset."""
        if self.on_cuda:
            self._cuda.reset_peak_memory_stats(self._device)

    def read(self) -> None:
        """Update ``allocated`` and ``reserved`` (GiB) from the device's counters."""
        if self.on_cuda:
            allocated = self._cuda.max_memory_allocated(self._device) / GIB
            reserved = self._cuda.max_memory_reserved(self._device) / GIB
            self.allocated = max(self.allocated or 0.0, allocated)
            self.reserved = max(self.reserved or 0.0, reserved)
        else:
            self.allocated = peak_memory_gib(self._device)
