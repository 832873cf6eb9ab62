# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Each promise of ``docs/reliability.md`` holds in a few of its cases."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
OTHERS = ('harness', 'outcomes', 'all_promises')
SCRIPTS = sorted(
    path.stem
    for path in HERE.glob('*.py')
    if path.stem not in OTHERS and not path.stem.startswith('test_')
)


@pytest.mark.system
@pytest.mark.parametrize('script', SCRIPTS)
def test_a_promise_holds(script):
    # In a process of its own: it forks, and a test runner has threads.
    done = subprocess.run(
        [sys.executable, str(HERE / f'{script}.py'), '--quick'],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    counts = [line for line in done.stdout.splitlines() if '(hpml_mm): ' in line]
    assert counts
    for line in counts:
        kept, tried = line.rpartition(': ')[2].split(' of ')
        assert int(tried) > 0
        assert kept == tried, done.stdout
