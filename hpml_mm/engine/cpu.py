# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""CPU set-up of a process before its first tensor: threads, memory, cores."""

import ctypes
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

# Parameters of glibc's `mallopt`, from its malloc.h, and the kernel's advice.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_MADV_HUGEPAGE = 14
_MEMORY_VARIABLES = ('MALLOC_MMAP_THRESHOLD_', 'MALLOC_TRIM_THRESHOLD_')
_HUGE_PAGES = Path('/sys/kernel/mm/transparent_hugepage')
# Of the machine's memory, shared by its ranks: addresses alone, until they are used.
_GIB = 2**30
_HEAP_SHARE, _MAX_HEAP = 0.25, 8 * _GIB


@dataclass(frozen=True)
class CpuSetup:
    """Settings that were applied; ``str()`` gives one line for a log.

    Args:
        threads: Text on threads.
        memory: Text on freed memory.
        cores: Text on cores.
    """

    threads: str
    memory: str
    cores: str

    def __str__(self) -> str:
        return f'CPU: {self.threads}; {self.memory}; {self.cores}'


def setup_cpu(environ: Mapping[str, str] = os.environ) -> CpuSetup:
    """Set this process up for computing on a CPU; loader workers inherit it.

    - **Threads**: no more than the cores of this process (affinity and the quota of
      its control group), shared by the ranks of the machine. ``OMP_NUM_THREADS`` is
      respected.
    - **Memory**: glibc keeps what is freed. By default it gives large tensors back to
      the system after each step and has their pages made anew in the next. The heap
      is laid out ahead and asks for huge pages, which spare most look-ups of
      addresses: a quarter of the machine's memory, at most 8 GiB, that nothing holds
      before it is used. ``HPML_MM_KEEP_MEMORY=0`` leaves all as it is, as do glibc's
      own variables and another allocator.
    - **Cores**: where several ranks compute on the CPU, each keeps to its own, unless
      the launcher has bound them already. A single process is left to the system.
      ``HPML_MM_BIND=0`` leaves all unbound.

    Args:
        environ: Variables to read.

    Raises:
        ValueError: If one of the two variables is neither 0 nor 1.
    """
    keep = _switch(environ, 'HPML_MM_KEEP_MEMORY')
    bind = _switch(environ, 'HPML_MM_BIND')
    ranks = int(environ.get('LOCAL_WORLD_SIZE', 1))
    rank = int(environ.get('LOCAL_RANK', 0))
    visible = visible_cores()
    memory = _keep_memory(environ) if keep else 'memory as HPML_MM_KEEP_MEMORY=0 says'
    cores = _bind(visible, ranks, rank) if bind else 'cores as HPML_MM_BIND=0 says'
    threads = _set_threads(environ, len(visible), ranks)
    return CpuSetup(threads, memory, cores)


def visible_cores() -> list[int]:
    """Numbers of the cores that this process may run on."""
    if hasattr(os, 'sched_getaffinity'):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cpu_quota(root: Path = Path('/sys/fs/cgroup'), group: str = '/') -> float | None:
    """CPUs' worth of time that a control group grants, its parents' limits included.

    Args:
        root: Where the control groups are mounted (version 2, or the ``cpu``
            controller of version 1).
        group: Path of the group below it.

    Returns:
        The lowest limit, or None without one.
    """
    place = root / group.strip('/')
    quotas = []
    for folder in (place, *place.parents):
        quotas += _own_quota(folder)
        if folder == root:
            break
    return min(quotas, default=None)


def _own_quota(folder: Path) -> list[float]:
    try:
        if (file := folder / 'cpu.max').is_file():
            quota, period = file.read_text().split()
        elif (file := folder / 'cpu.cfs_quota_us').is_file():
            quota = file.read_text().strip()
            period = file.with_name('cpu.cfs_period_us').read_text()
        else:
            return []
        limited = quota not in ('max', '-1')
        return [int(quota) / int(period)] if limited else []
    except (OSError, ValueError):  # unreadable for this user, or a form of its own
        return []


def _this_quota() -> float | None:
    """The quota of this process, in either version of control groups."""
    try:
        lines = Path('/proc/self/cgroup').read_text().splitlines()
    except OSError:
        return None
    limits = []
    for line in lines:
        _, controllers, group = line.split(':', 2)
        if not controllers:
            limits.append(cpu_quota(group=group))
        elif 'cpu' in controllers.split(','):
            limits.append(cpu_quota(Path('/sys/fs/cgroup/cpu'), group))
    return min((limit for limit in limits if limit is not None), default=None)


def thread_count(cores: int, quota: float | None, ranks: int) -> int:
    """Threads of one of ``ranks`` equal processes; at least 1.

    Args:
        cores: Cores that all of them may run on.
        quota: CPUs' worth of time that all of them get, None without a limit.
        ranks: Processes that compute at the same time.
    """
    granted = cores if quota is None else min(cores, int(quota))
    return max(1, granted // ranks)


def own_cores(cores: Sequence[int], ranks: int, rank: int) -> list[int]:
    """Cores of one rank: adjacent, and shared with no other rank.

    Returns:
        At least one core where there are enough for all, else an empty list.
    """
    each = len(cores) // ranks
    return list(cores[rank * each : (rank + 1) * each])


def _switch(environ: Mapping[str, str], name: str) -> bool:
    value = environ.get(name, '1')
    if value not in ('0', '1'):
        raise ValueError(f'{name} is {value!r}: set it to 0 or 1, or not at all')
    return value == '1'


def _set_threads(environ: Mapping[str, str], cores: int, ranks: int) -> str:
    before = torch.get_num_threads()
    if 'OMP_NUM_THREADS' in environ:
        return f'{before} threads, as OMP_NUM_THREADS says'
    quota = _this_quota()
    # PyTorch's own number is that of physical cores: never more than that.
    threads = min(before, thread_count(cores, quota, ranks))
    if threads != before:
        torch.set_num_threads(threads)
    limit = '' if quota is None else f', quota {quota:g}'
    shared = '' if ranks == 1 else f', {ranks} ranks'
    return f'{threads} threads ({cores} cores{limit}{shared})'


def _keep_memory(environ: Mapping[str, str]) -> str:
    """Make glibc keep freed memory instead of returning it to the system."""
    if platform.libc_ver()[0] != 'glibc':
        return 'memory as it is (no glibc)'
    if 'malloc' in environ.get('LD_PRELOAD', ''):
        return 'memory as LD_PRELOAD says'
    own = [name for name in _MEMORY_VARIABLES if name in environ]
    if own or 'glibc.malloc' in environ.get('GLIBC_TUNABLES', ''):
        return f'memory as {own[0] if own else "GLIBC_TUNABLES"} says'
    libc = ctypes.CDLL(None)
    # All comes from the heap, and nothing is trimmed from its end.
    if not (libc.mallopt(_MMAP_MAX, 0) and libc.mallopt(_TRIM_THRESHOLD, -1)):
        return 'memory as it is (refused)'
    huge = _huge_heap(libc, int(environ.get('LOCAL_WORLD_SIZE', 1)))
    # But for what is too large to be kept. Older versions refuse a high threshold.
    if libc.mallopt(_MMAP_THRESHOLD, _GIB):
        libc.mallopt(_MMAP_MAX, 2**16)
    return f'freed memory is kept{", in huge pages" if huge else ""}'


def _huge_heap(libc: ctypes.CDLL, ranks: int) -> bool:
    """Extend the heap, and ask for huge pages in what was added.

    Returns:
        Success; no where the system has none, or grants no such range of addresses.
    """
    try:
        side = int((_HUGE_PAGES / 'hpage_pmd_size').read_text())
        offered = '[never]' not in (_HUGE_PAGES / 'enabled').read_text()
    except (OSError, ValueError):  # a kernel without huge pages, or a closed /sys
        return False
    memory = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    size = min(int(memory * _HEAP_SHARE) // ranks, _MAX_HEAP)
    if not offered or size < 2 * side:
        return False
    libc.malloc.restype = ctypes.c_void_p
    start = libc.malloc(ctypes.c_size_t(size))
    if not start:
        return False
    first, last = -(-start // side) * side, (start + size) // side * side
    done = libc.madvise(
        ctypes.c_void_p(first), ctypes.c_size_t(last - first), _MADV_HUGEPAGE
    )
    libc.free(ctypes.c_void_p(start))
    return done == 0


def _bind(cores: Sequence[int], ranks: int, rank: int) -> str:
    if ranks == 1 or not hasattr(os, 'sched_setaffinity'):
        return 'not bound to cores'
    if torch.cuda.is_available():  # the cores that are near a GPU are not known
        return 'not bound to cores (GPU)'
    if os.sched_getaffinity(os.getppid()) != set(cores):
        return f'bound by the launcher to cores {_listed(cores)}'
    own = own_cores(cores, ranks, rank)
    if not own:
        return f'not bound to cores ({len(cores)} for {ranks} ranks)'
    os.sched_setaffinity(0, own)  # threads and workers that start from now inherit it
    return f'bound to cores {_listed(own)}'


def _listed(cores: Sequence[int]) -> str:
    return ','.join(map(str, cores))
