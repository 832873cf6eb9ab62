# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Small trainings in forked children, which a test may kill."""

import atexit
import importlib
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import mmengine.runner.runner
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

import hpml_mm  # noqa: F401

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[2]
WARM = (
    *('hpml_mm.config.run', 'hpml_mm.experiments.runs', 'hpml_mm.runner'),
    *('hpml_mm.visualization.hooks', 'hpml_mm.quantization.hooks'),
)


class ToyNet(BaseModel):
    """A linear layer, beside ballast that makes a checkpoint take its time."""

    def __init__(self, ballast: int = 0) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.register_buffer('ballast', torch.zeros(ballast))

    def forward(self, inputs, labels, mode='loss'):
        scores = self.layer(inputs)
        if mode == 'loss':
            return dict(loss=nn.functional.cross_entropy(scores, labels))
        return scores.argmax(1)


class ToyData(Dataset):
    """Points with the sign of their first number as a label."""

    def __init__(self, length: int = 32) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        generator = torch.Generator().manual_seed(index)
        inputs = torch.randn(4, generator=generator)
        return dict(inputs=inputs, labels=int(inputs[0] > 0))


def toy_runner(work_dir: Path, hook: dict, ballast: int = 0, **changes) -> Runner:
    """A training of six iterations that saves after each one."""
    settings = dict(
        model=ToyNet(ballast),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=4,
            num_workers=0,
            dataset=ToyData(),
            sampler=dict(type='InfiniteSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=False, max_iters=6),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        default_hooks=dict(
            checkpoint=dict(by_epoch=False, interval=1, max_keep_ckpts=1) | hook
        ),
        experiment_name=uuid.uuid4().hex,
        log_level='ERROR',
        default_scope='mmengine',
        randomness=dict(seed=0),
    )
    return Runner(**settings | changes)


def warm_up() -> None:
    """Import here what every child would import, and spare each the long questions.

    The children of a warm parent start in a moment.
    """
    # It asks compilers and git for their versions.
    mmengine.runner.runner.collect_env = dict
    with tempfile.TemporaryDirectory() as folder:
        toy_runner(Path(folder), {'type': 'hpml_mm.CheckpointHook'})


def fork(work: Callable[[], None]) -> int:
    """Start a child that does some work and exits with 0, or 1 after an error."""
    pid = os.fork()
    if not pid:
        _run(work)
    return pid


def _run(work: Callable[[], None]) -> NoReturn:
    code = 1
    try:
        with Path(os.devnull).open('w') as sys.stdout:
            work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait(pid: int) -> int:
    """Wait for a child; its exit code, below 0 for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill(pid: int) -> None:
    """End a child at once, as a machine that goes away does."""
    os.kill(pid, signal.SIGKILL)
    wait(pid)


def warm_up_tools() -> None:
    """Import here what a tool would import, and spare it the long questions."""
    for name in WARM:
        importlib.import_module(name)
    # It asks compilers and git for their versions.
    mmengine.runner.runner.collect_env = dict


class ToolRun:
    """A tool of this project, and all the processes that come of it.

    Args:
        words: Name of the tool in ``tools/`` and arguments. One in Python runs in a
            fork of this process, which spares it the imports; one of the shell is new.
        folder: Where it runs, and leaves its output.
        env: What its environment has besides this one's.
        cold: True to start a new Python.
    """

    def __init__(
        self, words: list[str], folder: Path, cold: bool = False, **env: str
    ) -> None:
        self.mark = f'HPML_MM_MARK={uuid.uuid4().hex}'
        name, _, value = self.mark.partition('=')
        path = os.pathsep.join([str(ROOT), str(ROOT / 'tests' / 'data')])
        own = {'PYTHONPATH': path, 'OMP_NUM_THREADS': '1', 'PYTHON': sys.executable}
        self.env = {**os.environ, **own, **env, name: value}
        self.words = [str(ROOT / 'tools' / words[0]), *words[1:]]
        self.folder, self.code = folder, None
        self.out = folder / f'{value}.txt'
        shell = words[0].endswith('.sh')
        if cold or shell:
            command = ['bash' if shell else sys.executable, *self.words]
            with self.out.open('wb') as out:
                process = subprocess.Popen(
                    command,
                    cwd=folder,
                    env=self.env,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
            # It is waited for by its number, as a fork is.
            self.pid, process.returncode = process.pid, 0
            return
        self.pid = os.fork()
        if not self.pid:
            self._become_tool()

    def processes(self) -> list[int]:
        """Numbers of its processes, without those that have ended and wait for it."""
        found = []
        for place in Path('/proc').glob('[0-9]*'):
            try:
                # torchrun's have a session of their own, and a fork's environment is
                # that of its parent.
                marked = self.mark.encode() in (place / 'environ').read_bytes()
                status = (place / 'stat').read_text().rpartition(') ')[2].split()
            except OSError:  # it has just ended, or is not ours
                continue
            if status[0] != 'Z' and (marked or int(status[3]) == self.pid):
                found.append(int(place.name))
        return found

    def wait(self, seconds: float) -> int | None:
        """Wait for its end; its exit code, None if it goes on."""
        end = time.monotonic() + seconds
        while self.code is None and time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        return self.code

    def end(self) -> list[int]:
        """Kill what is left of it; the numbers of that."""
        left = self.processes()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        self.wait(10)
        return left

    def text(self) -> str:
        """Output so far."""
        return self.out.read_text(errors='replace')

    def _become_tool(self) -> NoReturn:
        code: object = 1
        try:
            os.setsid()
            handle = os.open(self.out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(handle, 1)
            os.dup2(handle, 2)
            os.chdir(self.folder)
            os.environ.clear()
            os.environ.update(self.env)
            sys.argv = self.words
            folders = [str(ROOT / 'tools'), *self.env['PYTHONPATH'].split(os.pathsep)]
            sys.path[:0] = folders
            try:
                runpy.run_path(self.words[0], run_name='__main__')
                code = 0
            finally:
                atexit._run_exitfuncs()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code if isinstance(code, int) else 1)
