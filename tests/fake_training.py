# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""A shell script in Python's place: ends as the name of the config says, at once."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hpml_mm.experiments.executors import Ended, Executor
from hpml_mm.experiments.jobs import Job
from hpml_mm.experiments.records import prepare

_SCRIPT = r"""#!/bin/sh
while [ "$1" != train ]; do shift; done
echo "$@" >> FOLDER/calls
config=$2
while [ "$1" != --work-dir ]; do shift; done
mkdir -p "$2"
case $(basename "$config" .py),$(basename "$(dirname "$2")") in
    fail,* | *,broken) echo "a first line"; echo "boom $2"; exit 3;;
    die,*) kill -9 $$;;
    wait,*) trap 'echo saved; exit 143' TERM; trap 'echo saved; exit 140' USR2
        echo begun; : > "$2/begun"; while :; do sleep 0.05; done;;
    *) echo "cuda=$CUDA_VISIBLE_DEVICES"; cp FOLDER/finished.json "$2/summary.json";;
esac
"""
#: A summary that rows are made of.
SUMMARY = {
    'status': 'finished',
    'metrics': {'accuracy/top1': 50.0},
    'measurements': {'throughput(img/s)': 100.0},
    'environment': {
        'commit': 'abc',
        'dirty': False,
        'device': 'a CPU',
        'torch': '2',
        'date': '2026-01-02T03:04:05+00:00',
    },
}


def fake_python(
    folder: Path, monkeypatch: pytest.MonkeyPatch, summary: Mapping[str, Any] = SUMMARY
) -> None:
    """Have executors start the script, and make its configs in a folder.

    Args:
        folder: Takes the configs, and the arguments of each training in ``calls``.
        monkeypatch: Puts Python back.
        summary: What a training leaves.
    """
    (folder / 'finished.json').write_text(json.dumps(summary))
    script = folder / 'python'
    script.write_text(_SCRIPT.replace('FOLDER', str(folder)))
    script.chmod(0o755)
    monkeypatch.setattr(sys, 'executable', str(script))
    # On whatever machine: four cores, which are not taken.
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: {0, 1, 2, 3})
    monkeypatch.setattr(os, 'sched_setaffinity', lambda pid, cores: None)
    for number, kind in enumerate(('finish', 'finish2', 'fail', 'die', 'wait')):
        (folder / f'{kind}.py').write_text(f'number = {number}\n')


def calls(folder: Path) -> list[list[str]]:
    """Arguments of the trainings that were started."""
    path = folder / 'calls'
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.split() for line in lines]


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
