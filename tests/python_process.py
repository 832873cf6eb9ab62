# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""New Python processes that need not import PyTorch first."""

import atexit
import gc
import multiprocessing
import multiprocessing.forkserver
import os
import runpy
import subprocess
import sys
import tempfile
from multiprocessing.context import BaseContext
from pathlib import Path
from unittest import mock

TIMEOUT = 900
# Of other projects and slow; none of them puts anything into a registry of ours.
SLOW_IMPORTS = [
    *('torch.distributed.optim', 'torch.utils.tensorboard', 'torchvision.models'),
    *('albumentations', 'cv2', 'matplotlib.pyplot', 'mmengine.runner', 'scipy.stats'),
]


def warm_context() -> BaseContext:
    """Makes processes by forking one that has imported what is slow to import."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(SLOW_IMPORTS)
    # OpenMP reads it once.
    with mock.patch.dict(os.environ, OMP_NUM_THREADS='1'):
        multiprocessing.forkserver.ensure_running()
    return context


def run_python(
    words: list[str], cwd: Path, env: dict[str, str]
) -> subprocess.CompletedProcess:
    """Run a script, or ``-m`` and a module, as ``python`` does, in a new process."""
    context = warm_context()
    with tempfile.TemporaryDirectory() as folder:
        streams = [Path(folder, name) for name in ('stdout', 'stderr')]
        process = context.Process(target=_main, args=(words, cwd, env, streams))
        process.start()
        process.join(TIMEOUT)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f'{words} took longer than {TIMEOUT} s')
        printed = [path.read_text(errors='replace') for path in streams]
        return subprocess.CompletedProcess(words, process.exitcode, *printed)


def _main(
    words: list[str], cwd: Path, env: dict[str, str], streams: list[Path]
) -> None:
    gc.freeze()  # MMEngine collects garbage at each data set, among all imports
    for number, path in enumerate(streams, start=1):
        with path.open('wb') as file:
            os.dup2(file.fileno(), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    as_module = words[0] == '-m'
    sys.argv = words[1:] if as_module else words
    folders = [folder for folder in env.get('PYTHONPATH', '').split(':') if folder]
    first = cwd if as_module else Path(words[0]).resolve().parent
    sys.path[:] = [str(first), *folders, *sys.path]
    try:
        if as_module:
            runpy.run_module(words[1], run_name='__main__', alter_sys=True)
        else:
            runpy.run_path(words[0], run_name='__main__')
    finally:
        # A process of multiprocessing leaves these out.
        atexit._run_exitfuncs()
