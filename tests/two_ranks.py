# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Two processes of one gloo group on the CPU, which all tests of a session share."""

import atexit
import gc
import traceback
import uuid
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch
from python_process import TIMEOUT, warm_context
from torch import distributed


class _Pair:
    """The processes; an error in one of them ends both."""

    def __init__(self) -> None:
        context = warm_context()
        self.pipes, self.processes = [], []
        for rank in (0, 1):
            pipe, other = context.Pipe()
            process = context.Process(target=_serve, args=(rank, other))
            process.start()
            other.close()
            self.pipes.append(pipe)
            self.processes.append(process)

    def call(self, *task: object) -> None:
        for pipe in self.pipes:
            pipe.send(task)
        waiting = list(self.pipes)
        while waiting:
            ready = wait(waiting, TIMEOUT)
            answers = [_answer(pipe) for pipe in ready] or [f'no answer to {task}']
            if errors := list(filter(None, answers)):
                self.end()
                raise AssertionError('\n'.join(errors))
            waiting = [pipe for pipe in waiting if pipe not in ready]

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.join()


_pairs: list[_Pair] = []


def on_two_ranks(function: Callable, folder: Path, *args) -> None:
    """Call ``function(rank, folder, *args)`` in two processes of one gloo group."""
    if not _pairs or not all(p.is_alive() for p in _pairs[-1].processes):
        _pairs[:] = [_Pair()]
        atexit.register(_pairs[-1].end)
    _pairs[-1].call(f'file://{folder}/{uuid.uuid4().hex}', function, folder, args)


def _answer(pipe: Connection) -> str:
    try:
        return pipe.recv()
    except EOFError:
        return 'a process has ended'


def _serve(rank: int, pipe: Connection) -> None:
    torch.set_num_threads(1)
    while True:
        try:
            task = pipe.recv()
        except EOFError:  # the tests are over
            return
        try:
            _run(rank, *task)
            pipe.send('')
        except BaseException:
            pipe.send(f'rank {rank}: {traceback.format_exc()}')


def _run(rank: int, store: str, function: Callable, folder: Path, args: tuple) -> None:
    torch.set_default_dtype(torch.float32)
    distributed.init_process_group(
        'gloo', store, rank=rank, world_size=2, timeout=timedelta(minutes=5)
    )
    gc.freeze()  # MMEngine collects garbage at each data set
    function(rank, folder, *args)
    # A distributed model that outlives its process group can hang.
    gc.collect()
    distributed.barrier()
    distributed.destroy_process_group()
