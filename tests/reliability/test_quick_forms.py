# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Each promise of ``docs/reliability.md`` holds in a few of its cases."""

import os

import pytest
from all_promises import COUNT, HERE, SCRIPTS
from python_process import run_python


@pytest.mark.system
@pytest.mark.parametrize('script', SCRIPTS)
def test_a_promise_holds(script):
    if script == 'disk_faults' and os.geteuid():
        pytest.skip('it mounts disks, which needs root')
    # In a process of its own: it forks, and a test runner has threads.
    words = [str(HERE / f'{script}.py'), '--quick']
    done = run_python(words, HERE.parents[1], dict(os.environ))
    assert done.returncode == 0, done.stderr[-3000:]
    counts = [c for c in map(COUNT.fullmatch, done.stdout.splitlines()) if c]
    ours = [count for count in counts if count['arm'] == 'hpml_mm']
    assert ours
    assert all(c['kept'] == c['tried'] != '0' for c in ours), done.stdout
