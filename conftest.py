# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Fixtures shared by all tests; the stricter rules of a CI run."""

import fcntl
import gc
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def pytest_configure(config: pytest.Config):
    """Set up the environment before anything starts CUDA.

    Only ``-m gpu`` shows the GPUs: the others run on fake clocks and compare exact
    numbers, on any machine as on one without a GPU. A relative data root must hold
    in tests that run in another directory.
    """
    gc.disable()  # to collect tests imports everything: a search takes it all for live
    if config.getoption('markexpr').split()[:1] != ['gpu']:
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    if root := os.environ.get('HPML_MM_DATA'):
        os.environ['HPML_MM_DATA'] = os.path.abspath(root)
    if worker := os.environ.get('PYTEST_XDIST_WORKER'):
        # Launchers of two test processes at once must not meet at one port.
        os.environ['PORT'] = str(29500 + int(worker.removeprefix('gw')))


def pytest_collection_finish():
    """Leave what is imported by now out of all garbage collection, which begins."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """With ``HPML_MM_REQUIRE_DATA=1``, a skipped test of data or of the system fails.

    A test that needs a GPU as well may be skipped: its data may all be there.
    """
    report = yield
    needed = (
        item.get_closest_marker('real_data')
        or item.get_closest_marker('system')
        or 'real_data' in getattr(item, 'fixturenames', ())
    )
    required = os.environ.get('HPML_MM_REQUIRE_DATA') == '1'
    if required and report.skipped and needed and not hasattr(report, 'wasxfail'):
        if item.get_closest_marker('gpu'):
            return report
        reason = report.longrepr[-1] if report.longrepr else 'no reason given'
        report.outcome = 'failed'
        report.longrepr = f'HPML_MM_REQUIRE_DATA=1, yet this test was: {reason}'
    return report


@pytest.fixture(scope='session')
def modules_at_freeze() -> list[int]:
    """Number of modules that were imported when objects were left out last."""
    return [len(sys.modules)]


@pytest.fixture(autouse=True)
def quick_garbage_collection(modules_at_freeze: list[int]) -> None:
    """Leave what is imported out of the collection that each data set of MMEngine asks
    for: half a second of a CPU. Tests import the largest packages as they go."""
    if len(sys.modules) > modules_at_freeze[-1] + 20:
        gc.collect()
        gc.freeze()
        modules_at_freeze.append(len(sys.modules))


@pytest.fixture(scope='session')
def names_in_root(pytestconfig: pytest.Config) -> set[str]:
    """Names in the root of the repository, as far as tests know them."""
    return set(os.listdir(pytestconfig.rootpath))


@pytest.fixture(autouse=True)
def root_stays_clean(
    names_in_root: set[str], pytestconfig: pytest.Config
) -> Iterator[None]:
    """Fail a test during which a file appears in the root that git does not ignore."""
    yield
    new = set(os.listdir(pytestconfig.rootpath)) - names_in_root
    if new:
        names_in_root |= new
        git = ['git', 'ls-files', '--others', '--exclude-standard', '--', *new]
        found = subprocess.run(
            git, cwd=pytestconfig.rootpath, capture_output=True, text=True
        )
        assert not found.stdout, f'made in the root, not in tmp_path: {found.stdout}'


@pytest.fixture
def real_data() -> Path:
    """Root of the real data sets; the test is skipped where there is none."""
    root = Path(os.environ.get('HPML_MM_DATA', 'data'))
    if not root.is_dir():
        pytest.skip(f'no real data at {root.resolve()}; set HPML_MM_DATA')
    return root.resolve()


@pytest.fixture
def much_memory() -> Iterator[None]:
    """For a test that takes several GiB: of all these, one runs at a time.

    Two trainings of HRNet-W32 take 15 GiB, and the machine may have only 24.
    """
    path = Path(tempfile.gettempdir(), f'hpml_mm-much-memory-{os.getuid()}')
    with path.open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope='module')
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium without a window; the test is skipped where there is none."""
    from browsers import headless

    with headless(tmp_path_factory.mktemp('profile'), '1600,4000') as browser:
        yield browser
