# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Run the toy config of ``tests/data``: in this process, or through a tool."""

import contextlib
import io
import os
import runpy
import subprocess
import sys
import uuid
from pathlib import Path
from unittest import mock

from mmengine.config import Config
from mmengine.runner import Runner
from python_process import TIMEOUT, run_python

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / 'tests' / 'data'
TOY = DATA / 'toy_2e.py'


def toy_config(work_dir: Path, **changes) -> Config:
    """The toy config, with whole top-level keys replaced."""
    if str(DATA) not in sys.path:
        sys.path.insert(0, str(DATA))
    cfg = Config.fromfile(TOY)
    cfg.work_dir = str(work_dir)
    # Runners keep their logs by this name; two in one second would share them.
    cfg.experiment_name = uuid.uuid4().hex
    cfg.visualizer = dict(type='Visualizer', vis_backends=[])
    for key, value in changes.items():
        cfg[key] = value
    return cfg


def toy_runner(work_dir: Path, **changes) -> Runner:
    return Runner.from_cfg(toy_config(work_dir, **changes))


def environment(**extra: str) -> dict[str, str]:
    """Few threads, and the toy parts importable."""
    path = os.pathsep.join([str(ROOT), str(DATA)])
    return {**os.environ, 'PYTHONPATH': path, 'OMP_NUM_THREADS': '1', **extra}


def run_tool(
    tool: str, *arguments: object, cwd: Path, **extra: str
) -> subprocess.CompletedProcess:
    """Run in ``cwd`` a command of ``hpml``, such as ``'data faces'``.

    Also ``tools/<tool>``, where it has an ending, and a module of ``projects``. A
    script of the shell is run by bash.
    """
    module, words = _module_and_words(tool)
    place = ['-m', module] if module else [str(ROOT / 'tools' / tool)]
    words = [*place, *words, *map(str, arguments)]
    env = environment(**{'PYTHON': sys.executable, **extra})
    if not tool.endswith('.sh'):
        return run_python(words, cwd, env)
    return subprocess.run(
        ['bash', *words],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def call_tool(
    tool: str, *arguments: object, cwd: Path
) -> subprocess.CompletedProcess[str]:
    """Do as :func:`run_tool` does, but within this process."""
    module, words = _module_and_words(tool)
    path = module or str(ROOT / 'tools' / tool)
    run = runpy.run_module if module else runpy.run_path
    program = 'hpml' if words else path
    words, code = [program, *words, *map(str, arguments)], 0
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        mock.patch.object(sys, 'argv', words),
        mock.patch.object(sys, 'path', [str(DATA), *sys.path]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            run(path, run_name='__main__')
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


def _module_and_words(tool: str) -> tuple[str | None, list[str]]:
    """Module to run, None for a script of ``tools``, and its first words."""
    if tool.startswith('projects.'):
        return tool, []
    return (None, []) if '.' in tool else ('hpml_mm.cli', tool.split())
