# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A shell script in Python's place: ends as the name of the config says, at once."""

import sys
from pathlib import Path

import pytest

from hpml_mm.experiments.executors import Ended, Executor
from hpml_mm.experiments.jobs import Job, prepare

_SCRIPT = r"""#!/bin/sh
while [ "$1" != train ]; do shift; done
kind=$(basename "$2" .py)
while [ "$1" != --work-dir ]; do shift; done
mkdir -p "$2"
end() { echo "{\"status\": \"$1\", \"environment\": {}}" > "$2/summary.json"; }
case $kind in
    finish*) echo "cuda=$CUDA_VISIBLE_DEVICES"; grep Cpus_allowed_list /proc/self/status
        end finished "$2";;
    fail) echo "a first line"; echo "boom $2"; exit 3;;
    die) kill -9 $$;;
    wait) trap 'echo saved; end interrupted "$2"; exit 143' TERM
        trap 'echo saved; end interrupted "$2"; exit 140' USR2
        echo begun; : > "$2/begun"; while :; do sleep 0.05; done;;
esac
"""


def fake_python(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have executors start the script, and make its configs in a folder."""
    script = folder / 'python'
    script.write_text(_SCRIPT)
    script.chmod(0o755)
    monkeypatch.setattr(sys, 'executable', str(script))
    for number, kind in enumerate(('finish', 'finish2', 'fail', 'die', 'wait')):
        (folder / f'{kind}.py').write_text(f'number = {number}\n')


def fake_job(folder: Path, kind: str) -> Job:
    """Training, prepared, of a config of that name."""
    job = Job(folder / 'jobs' / kind, (str(folder / f'{kind}.py'),))
    prepare(job)
    return job


def await_end(executor: Executor, count: int = 1) -> list[Ended]:
    """Ends of so many jobs."""
    found: list[Ended] = []
    while len(found) < count:
        found += executor.ended()
    return found


def await_text(path: Path, text: str) -> None:
    while not (path.is_file() and text in path.read_text()):
        pass
