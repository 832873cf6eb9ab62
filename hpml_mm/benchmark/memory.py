# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Memory that limits a training: the GPU's, or the host's on a CPU."""

import multiprocessing
from pathlib import Path

import torch

from hpml_mm.utils.device import GIB, peak_memory_gib

_KIB = 1024


def used_memory_gib(device: torch.device) -> float | None:
    """Peak memory of this training so far, in GiB.

    On CUDA, what torch's allocator holds, which is more than what its tensors use. On
    a CPU, the process's peak resident set, and the pages that its loader's workers,
    where they live now, do not share with it.
    """
    if device.type == 'cuda':
        return torch.cuda.max_memory_reserved(device) / GIB
    own = peak_memory_gib(device)
    if own is None:
        return None
    children = [child.pid for child in multiprocessing.active_children()]
    return own + sum(private_gib(pid) or 0.0 for pid in children if pid)


def private_gib(pid: int, root: Path = Path('/proc')) -> float | None:
    """Memory that only this process maps, in GiB; None if it is not known."""
    try:
        text = (root / str(pid) / 'smaps_rollup').read_text()
    except OSError:
        return None
    lines = (line.split() for line in text.splitlines())
    sizes = [int(words[1]) for words in lines if words[0].startswith('Private_')]
    return sum(sizes) * _KIB / GIB


def available_gib(meminfo: Path = Path('/proc/meminfo')) -> float | None:
    """Memory that a new training may take on the GPU or, without one, the host, in GiB.

    Returns:
        None if the system does not report it.
    """
    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0] / GIB
    if not meminfo.is_file():
        return None
    for line in meminfo.read_text().splitlines():
        if line.startswith('MemAvailable:'):
            return int(line.split()[1]) * _KIB / GIB
    return None
