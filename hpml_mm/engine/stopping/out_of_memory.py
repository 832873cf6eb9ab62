# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Errors of a training for which memory is short, told with what was in memory."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import Runner
from torch import nn

from hpml_mm.config.command.disk_errors import find_disk_error
from hpml_mm.utils.model import bare_model, model_device, single_wrappers

# PyTorch's error on a CPU is a plain RuntimeError.
_WORDS = ("DefaultCPUAllocator: can't allocate memory", 'CUDA out of memory')
_SNAPSHOT = 'out_of_memory.pickle'
_MIB = 2**20


class OutOfMemoryError(RuntimeError):
    """Memory is short; the message tells what was in it, and what to change."""


def is_out_of_memory(error: BaseException) -> bool:
    """True for the errors of Python, of PyTorch on a CPU, and of a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(word in text for word in _WORDS)


@contextmanager
def explaining_shortage(runner: Runner) -> Iterator[None]:
    """Context of a training that tells a shortage of memory in one line.

    On a GPU it writes a snapshot of what is allocated into the work dir, for
    https://pytorch.org/memory_viz.

    Raises:
        OutOfMemoryError: Memory was short.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        model = bare_model(runner.model)
        device = model_device(model)
        text = describe_shortage(
            device.type,
            held_bytes(model, _optimizers(runner)),
            getattr(runner.train_dataloader, 'batch_size', None),
            ' '.join(str(error).split())[:200] or type(error).__name__,
        )
        if device.type == 'cuda':
            text += _write_snapshot(Path(runner.work_dir, _SNAPSHOT))
        raise OutOfMemoryError(text) from error


def held_bytes(
    model: nn.Module, optimizers: Iterable[torch.optim.Optimizer]
) -> dict[str, int]:
    """Bytes that a training holds between two iterations, by what they are for."""
    parameters = list(model.parameters())
    states = [value for one in optimizers for value in one.state.values()]
    return {
        'parameters': _size(parameters),
        'buffers': _size(model.buffers()),
        'gradients': _size(p.grad for p in parameters if p.grad is not None),
        'optimizer state': _size(_tensors(states)),
    }


def describe_shortage(
    device: str, held: Mapping[str, int], batch_size: int | None, said: str
) -> str:
    """Describe in one line what filled the memory, and what to change.

    Args:
        device: Kind of device that the model is on.
        held: See :func:`held_bytes`; the rest are activations and batches.
        batch_size: Samples of a batch, where it is known.
        said: Text of the error.
    """
    parts = ', '.join(f'{name} {size / _MIB:.1f} MiB' for name, size in held.items())
    batch = 'batches of unknown size' if batch_size is None else f'batch {batch_size}'
    halved = 'a smaller batch_size'
    if batch_size is not None and batch_size > 1:
        halved = (
            f'train_dataloader.batch_size={batch_size // 2} with '
            'optim_wrapper.accumulative_counts=2'
        )
    remedies = [halved, '--amp', 'with_cp=True where the backbone has it']
    if device == 'cpu':
        remedies.append('fewer num_workers, each of which holds a copy of the data set')
    return (
        f'memory of the {device} is short ({said}). In it were {parts}, and the '
        f'activations of {batch}. Try {"; ".join(remedies)}'
    )


def _write_snapshot(path: Path) -> str:
    try:
        torch.cuda.memory._dump_snapshot(str(path))
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and find_disk_error(error) is None:
            raise
        return f'. No snapshot: {error}'
    return f'. {path} shows it on https://pytorch.org/memory_viz'


def _optimizers(runner: Runner) -> Iterator[torch.optim.Optimizer]:
    wrapper = runner.optim_wrapper
    if wrapper is None or isinstance(wrapper, dict):  # not built yet
        return
    for one in single_wrappers(wrapper).values():
        optimizer = getattr(one, 'optimizer', None)
        if isinstance(optimizer, torch.optim.Optimizer):
            yield optimizer


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _size(tensors: Iterable[torch.Tensor]) -> int:
    return sum(one.numel() * one.element_size() for one in tensors)
