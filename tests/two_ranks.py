# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Two processes of one gloo group on the CPU."""

import gc
from collections.abc import Callable
from pathlib import Path

import torch
from python_process import warm_context
from torch import distributed, multiprocessing


def on_two_ranks(function: Callable, folder: Path, *args) -> None:
    """Call ``function(rank, folder, *args)`` in two processes of one gloo group."""
    warm_context()
    multiprocessing.start_processes(
        _on_rank, (function, folder, args), nprocs=2, start_method='forkserver'
    )


def _on_rank(rank: int, function: Callable, folder: Path, args: tuple) -> None:
    torch.set_num_threads(1)
    store = f'file://{folder}/rendezvous'
    distributed.init_process_group('gloo', store, rank=rank, world_size=2)
    function(rank, folder, *args)
    # A distributed model that outlives its process group can hang.
    gc.collect()
    distributed.barrier()
    distributed.destroy_process_group()
