# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Errors of a training whose other processes have ended: loader's workers, ranks."""

import signal
from collections.abc import Callable, Iterator
from traceback import walk_tb
from types import FrameType

import torch.utils.data.dataloader
from mmengine.runner import Runner
from torch import distributed

from .request import StopRequest

_LOADER = torch.utils.data.dataloader.__file__
# Of a worker, and of the thread that its batches go through to a GPU.
_DEATHS = ('DataLoader worker', 'Pin memory thread exited')
#: Of shared memory, in which workers hand over their batches.
_BUS_ERROR = ('Bus error', 'shared memory')
# Gloo's errors have no class of their own.
_GLOO = '/gloo/'


class LostProcessError(RuntimeError):
    """A process of this training has ended, and the training with it."""


def is_worker_death(error: BaseException | None) -> bool:
    """True for the error by which a loader says that one of its workers has ended."""
    if isinstance(error, RuntimeError):
        return any(words in str(error) for words in _DEATHS)
    # One that dies while it hands a batch over breaks the connection; what a sample
    # raises comes another way.
    return isinstance(error, OSError | EOFError) and any(
        (frame.f_code.co_filename, frame.f_code.co_name) == (_LOADER, '_try_get_data')
        for frame in frames_of(error)
    )


def explain_worker_death(text: str) -> str:
    """Make one line of the error of a loader whose worker has ended: remedies too.

    Args:
        text: That of torch.
    """
    said = ' '.join(text.split()).rstrip('. ')
    if any(word in text for word in _BUS_ERROR):
        remedy = (
            'most likely /dev/shm is full (see df -h /dev/shm; docker run --shm-size '
            'sets its size): free some, or use a smaller batch_size or num_workers'
        )
    else:
        remedy = (
            'most often memory was short and the system killed it (see dmesg): use '
            'fewer num_workers, a smaller prefetch_factor or batch_size'
        )
    return f'a process that loads data has ended ({said}); {remedy}'


def is_peer_loss(error: BaseException | None) -> bool:
    """True for the error of a collective operation that another process has left."""
    return isinstance(error, RuntimeError) and (
        isinstance(error, distributed.DistError) or _GLOO in str(error)
    )


def explain_peer_loss(error: BaseException) -> str:
    """Make one line of the error of a collective operation."""
    said = str(error).strip().splitlines()[0].rpartition('] ')[2]
    return (
        f'another process of this training has ended ({said.rstrip(". ")}); its own '
        'message is above or in the log of its machine'
    )


def explain_loss(error: BaseException, noted: str = '') -> str:
    """Make one line of the error of a lost process; empty for any other error.

    Args:
        error: The error that ends the training.
        noted: What torch had to say when a worker ended.
    """
    if is_worker_death(error):
        return explain_worker_death(noted or str(error))
    return explain_peer_loss(error) if is_peer_loss(error) else ''


class WorkerDeaths:
    """Keeps torch from raising an error for a dead worker amid an iteration.

    The loader finds out by itself when it waits for that worker's batch, which is
    between two iterations.

    Attributes:
        noted: Text of the error.
    """

    def __init__(self) -> None:
        self.noted = ''
        self._raise_error: Callable | None = None

    def postpone(self, request: StopRequest) -> None:
        """Take over the handler that torch has installed since, if it has.

        Args:
            request: Keeper of the handlers; nothing is done if it has none.
        """
        handler = signal.getsignal(signal.SIGCHLD)
        own = isinstance(getattr(handler, '__self__', None), WorkerDeaths)
        if request.listening and callable(handler) and not own:
            self._raise_error = handler
            request.replace_handler(signal.SIGCHLD, self._note)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        assert self._raise_error is not None
        try:
            self._raise_error(signum, frame)
        except RuntimeError as error:
            if not is_worker_death(error):
                raise
            self.noted = str(error)


def raised_by_loader(error: BaseException) -> bool:
    """Return whether the loop's own loader raised this, so between two iterations.

    A hook may load data of its own amid an iteration.
    """
    frames = list(frames_of(error))
    in_hook = any(frame.f_code is Runner.call_hook.__code__ for frame in frames)
    return not in_hook and any(frame.f_code.co_filename == _LOADER for frame in frames)


def frames_of(error: BaseException) -> Iterator[FrameType]:
    """Frames of an error's traceback, from the outside in."""
    return (frame for frame, _ in walk_tb(error.__traceback__))
