# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hpml_mm.engine.cpu import (
    cpu_quota,
    own_cores,
    setup_cpu,
    thread_count,
    visible_cores,
)


def offers_huge_pages():
    offer = Path('/sys/kernel/mm/transparent_hugepage/enabled')
    return offer.is_file() and '[never]' not in offer.read_text()


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch):
    """Nothing of the process that runs the tests is changed."""
    threads = torch.get_num_threads()
    monkeypatch.setattr(ctypes, 'CDLL', lambda _: Libc(calls))
    calls = []
    yield calls
    torch.set_num_threads(threads)


class Libc:
    def __init__(self, calls):
        self.calls = calls
        self.malloc = lambda size: None

    def mallopt(self, parameter, value):
        self.calls.append((parameter, value))
        return 1


@pytest.mark.parametrize(
    ('cores', 'quota', 'ranks', 'threads'),
    [
        (8, None, 1, 8),
        (8, 2.0, 1, 2),
        (8, 2.5, 1, 2),
        (8, 0.5, 1, 1),
        (8, None, 3, 2),
        (8, 4.0, 2, 2),
        (2, None, 4, 1),
    ],
)
def test_threads_fit_into_what_a_rank_gets(cores, quota, ranks, threads):
    assert thread_count(cores, quota, ranks) == threads


def test_ranks_get_disjoint_neighbouring_cores():
    cores = [2, 3, 6, 7, 8]
    assert [own_cores(cores, 2, rank) for rank in (0, 1)] == [[2, 3], [6, 7]]
    assert own_cores([0, 1], 3, 0) == []


def test_the_lowest_quota_on_the_way_up_counts(tmp_path):
    group = tmp_path / 'a' / 'b'
    group.mkdir(parents=True)
    assert cpu_quota(tmp_path, '/a/b') is None
    (group / 'cpu.max').write_text('max 100000\n')
    assert cpu_quota(tmp_path, '/a/b') is None
    (tmp_path / 'a' / 'cpu.max').write_text('150000 100000\n')
    (tmp_path / 'cpu.max').write_text('400000 100000\n')
    assert cpu_quota(tmp_path, '/a/b') == 1.5
    assert cpu_quota(tmp_path) == 4


def test_version_1_of_control_groups_is_read(tmp_path):
    (tmp_path / 'cpu.cfs_quota_us').write_text('200000\n')
    (tmp_path / 'cpu.cfs_period_us').write_text('100000\n')
    assert cpu_quota(tmp_path, '/not/mounted/here') == 2
    (tmp_path / 'cpu.cfs_quota_us').write_text('-1\n')
    assert cpu_quota(tmp_path) is None


def test_omp_num_threads_is_respected():
    before = torch.get_num_threads()
    setup = setup_cpu({'OMP_NUM_THREADS': '7', 'LOCAL_WORLD_SIZE': '1'})
    assert torch.get_num_threads() == before
    assert setup.threads == f'{before} threads, as OMP_NUM_THREADS says'


def test_ranks_share_the_cores(monkeypatch):
    torch.set_num_threads(8)
    monkeypatch.setattr('hpml_mm.engine.cpu.visible_cores', lambda: [0, 1, 2, 3])
    monkeypatch.setattr('hpml_mm.engine.cpu._this_quota', lambda: None)
    environ = {'LOCAL_WORLD_SIZE': '2', 'HPML_MM_BIND': '0'}
    assert setup_cpu(environ).threads == '2 threads (4 cores, 2 ranks)'
    assert torch.get_num_threads() == 2


def test_a_number_of_threads_is_never_raised(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr('hpml_mm.engine.cpu.visible_cores', lambda: [0, 1, 2, 3])
    assert setup_cpu({}).cores == 'not bound to cores'
    assert torch.get_num_threads() == 1


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='mallopt is glibc')
@pytest.mark.parametrize(
    ('environ', 'calls', 'text'),
    [
        ({}, 4, 'freed memory is kept'),
        ({'HPML_MM_KEEP_MEMORY': '0'}, 0, 'HPML_MM_KEEP_MEMORY=0'),
        ({'MALLOC_TRIM_THRESHOLD_': '5'}, 0, 'MALLOC_TRIM_THRESHOLD_ says'),
        ({'GLIBC_TUNABLES': 'glibc.malloc.top_pad=1'}, 0, 'GLIBC_TUNABLES says'),
        ({'LD_PRELOAD': '/usr/lib/libjemalloc.so.2'}, 0, 'LD_PRELOAD says'),
    ],
)
def test_memory_is_kept_unless_somebody_says_otherwise(as_it_was, environ, calls, text):
    assert text in setup_cpu(environ).memory
    assert len(as_it_was) == calls


def test_without_glibc_nothing_is_called(as_it_was, monkeypatch):
    monkeypatch.setattr(platform, 'libc_ver', lambda: ('', ''))
    assert setup_cpu({}).memory == 'memory as it is (no glibc)'
    assert as_it_was == []


def test_a_variable_that_is_no_switch_is_refused():
    with pytest.raises(ValueError, match="HPML_MM_BIND is 'yes': set it to 0 or 1"):
        setup_cpu({'HPML_MM_BIND': 'yes'})


_RANK = """
import os
from hpml_mm.engine.cpu import setup_cpu, visible_cores
line = str(setup_cpu({'LOCAL_WORLD_SIZE': '2', 'LOCAL_RANK': os.environ['R']}))
print(line, visible_cores(), sep='|')
"""


def rank(number, cores=None):
    def narrow():
        if cores is not None:
            os.sched_setaffinity(0, cores)

    done = subprocess.run(
        [sys.executable, '-c', _RANK],
        env={**os.environ, 'R': str(number), 'CUDA_VISIBLE_DEVICES': ''},
        preexec_fn=narrow,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip().splitlines()[-1].split('|')


_PAGES = """
import re
import sys
from pathlib import Path
import torch
from hpml_mm.engine.cpu import setup_cpu
print(setup_cpu({}).memory)

def kib(name):
    rollup = Path('/proc/self/smaps_rollup').read_text()
    return int(re.search(rf'^{name}: +(\\d+)', rollup, re.M)[1])

before = kib('Rss')
for _ in range(3):
    large = torch.zeros(2**26)  # 256 MiB
    del large
print(before, kib('Rss'), kib('AnonHugePages'))
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != 'glibc' or not offers_huge_pages(),
    reason='the system has no huge pages to ask for',
)
@pytest.mark.parametrize('keep', ['1', '0'])
def test_a_large_tensor_lies_in_huge_pages_that_are_kept(keep):
    done = subprocess.run(
        [
            sys.executable,
            '-c',
            _PAGES.replace('{}', f"{{'HPML_MM_KEEP_MEMORY': '{keep}'}}"),
        ],
        env={**os.environ, 'CUDA_VISIBLE_DEVICES': ''},
        capture_output=True,
        text=True,
        check=True,
    )
    line, numbers = done.stdout.splitlines()[-2:]
    before, after, huge = map(int, numbers.split())
    kept = keep == '1'
    assert ('in huge pages' in line) == kept
    # Laid out ahead, but held by nothing before it is used.
    assert before < 1_000_000
    assert (after - before > 250_000) == kept
    assert (huge > 250_000) == kept


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(os, 'sched_getaffinity') or len(visible_cores()) < 2,
    reason='needs two cores that can be told apart',
)
def test_real_ranks_are_bound_to_their_own_cores_unless_they_are_already():
    cores = visible_cores()
    half = len(cores) // 2
    line, seen = rank(1)
    assert seen == str(cores[half : 2 * half])
    assert 'freed memory is kept' in line
    line, seen = rank(1, cores[:1])
    assert f'bound by the launcher to cores {cores[0]}' in line
    assert seen == str(cores[:1])
