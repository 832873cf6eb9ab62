# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Stop with a checkpoint at the next iteration when a signal asks for it."""

import bisect
import math
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, is_main_process, master_only
from mmengine.hooks.hook import DATA_BATCH
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from hpml_mm.config.work_dir.stores import POINTER
from hpml_mm.engine.checkpoints import write_checkpoint, writing_by
from hpml_mm.engine.resume import continue_epoch
from hpml_mm.registry import HOOKS
from hpml_mm.utils.files import write_atomic
from hpml_mm.utils.model import single_wrappers

from .checkpoint_hook import CheckpointHook
from .loop_hook import LoopHook

CHECKPOINT = 'interrupted.pth'
# torchrun and a terminal may both pass on one Ctrl-C: two signals within this
# many seconds are one request.
_SAME_REQUEST = 1.0


class StoppedBySignalError(SystemExit):
    """Training was stopped by a signal and left a checkpoint.

    Its ``code`` is the shell's for that signal: 130 for SIGINT, 143 for SIGTERM.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)


def save_interrupted(runner: Runner, iteration: int) -> Path:
    """Save a checkpoint beside the last one, then make it the last one.

    Args:
        runner: One that trains. Its first process writes.
        iteration: Iterations that are done.
    """
    path = Path(runner.work_dir, CHECKPOINT)
    if not is_main_process():
        return path
    # What is still being written must not put its own name into the pointer later.
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook):
            hook.finish_in_any_case(runner)
    meta = {'epoch': runner.epoch, 'iter': iteration}
    with writing_by(write_checkpoint):
        runner.save_checkpoint(runner.work_dir, CHECKPOINT, meta=meta, by_epoch=False)
    write_atomic(path.with_name(POINTER), str(path))
    return path


@HOOKS.register_module()
class GracefulStopHook(LoopHook):
    """Save a checkpoint and stop on SIGINT and SIGTERM; a second one stops at once.

    The checkpoint is ``interrupted.pth`` in the work dir. It is written after
    the current iteration, or after the validation that is running. A resumed
    epoch goes on after its last trained batch.

    Gradients that are accumulated would be lost, so training goes on to where no
    optimizer wrapper holds any. With several wrappers that is where the accumulations
    of all of them end together; one backward pass in each iteration gets there within
    the least common multiple of their ``accumulative_counts``. After so many iterations
    that might have been the last it stops in any case, with a warning.

    A training that a hook runs within another one leaves the signals to the outer one,
    which stops when the inner one has ended.

    Args:
        agree_interval: Iterations between two exchanges of the request among
            several processes. With one process every iteration may stop.
    """

    priority = 'LOWEST'

    def __init__(self, agree_interval: int = 10) -> None:
        if agree_interval < 1:
            raise ValueError(
                f'agree_interval counts iterations, from 1; got {agree_interval}'
            )
        self.agree_interval = agree_interval
        self.resume_command: str | None = None
        self._signum = 0
        self._asked_at = 0.0
        self._waited = 0
        self._handlers: dict[int, Any] = {}
        self._pid = os.getpid()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: dict | None = None,
    ) -> None:
        """Stop if a signal asked for it and a resume can continue exactly from here."""
        done = runner.iter + 1
        if runner.world_size > 1 and done % self.agree_interval:
            return
        if self._wanted(runner) and self._resumable(runner, done):
            self._stop(runner, iteration=done)

    def after_val(self, runner: Runner) -> None:
        """Stop after a validation by the training loop, unless training is over."""
        training = bool(self._handlers) and not self.nested(runner)
        over = runner.iter >= runner.max_iters if training else True
        if not over and self._wanted(runner):
            self._stop(runner, iteration=runner.iter)

    @property
    def stop_requested(self) -> bool:
        """Return whether a signal asked this run to stop."""
        return bool(self._signum)

    def request(self, signum: int, frame: FrameType | None = None) -> None:
        """Signal handler: note the first request, give up on the second."""
        if os.getpid() != self._pid:  # a loader's worker, forked with the handler
            return
        now = time.monotonic()
        if not self._signum:
            self._signum, self._asked_at = signum, now
            # A signal to the whole process group (timeout, a scheduler) kills loader
            # workers as well; torch would raise for that amid the current step.
            self._replace_handler(signal.SIGCHLD, signal.SIG_DFL)
            name = signal.Signals(signum).name
            # print() may be what was interrupted, and does not allow to re-enter.
            os.write(2, f'\n{name}: stopping; once more to stop at once\n'.encode())
        elif now - self._asked_at > _SAME_REQUEST:
            self._restore_handlers()
            raise KeyboardInterrupt

    def loop_started(self, runner: Runner) -> None:
        """Install the handlers, and continue an epoch that was interrupted."""
        self._signum = self._waited = 0
        self._pid = os.getpid()
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            continue_epoch(runner.train_loop)
        if threading.current_thread() is not threading.main_thread():
            runner.logger.warning(
                'GracefulStopHook does nothing: only the main thread gets signals'
            )
            return
        outer = getattr(signal.getsignal(signal.SIGINT), '__self__', None)
        if isinstance(outer, GracefulStopHook):
            return
        for signum in (signal.SIGINT, signal.SIGTERM):
            self._replace_handler(signum, self.request)

    def loop_ended(self, runner: Runner) -> None:
        """Restore the handlers; stop if a signal killed the loader's workers."""
        self._restore_handlers()
        error = sys.exception()
        # The signal may have come while the loop waited for a batch that its killed
        # workers never sent; that is between two iterations.
        killed = isinstance(error, RuntimeError) and 'DataLoader worker' in str(error)
        if self._signum and killed:
            self._save(runner, runner.iter)
            raise StoppedBySignalError(self._signum) from error

    def _replace_handler(self, signum: int, handler: Any) -> None:
        self._handlers.setdefault(signum, signal.signal(signum, handler))

    def _restore_handlers(self) -> None:
        while self._handlers:
            signum, handler = self._handlers.popitem()
            signal.signal(signum, handler or signal.SIG_DFL)

    def _wanted(self, runner: Runner) -> bool:
        """Return whether any process was asked; all processes must ask together."""
        if runner.world_size > 1:
            signum = torch.tensor(self._signum)
            all_reduce(signum, op='max')
            self._signum = int(signum)
        return bool(self._signum)

    def _resumable(self, runner: Runner, done: int) -> bool:
        """Return False amid accumulated gradients and right before a validation.

        An iteration-based loop that resumes behind an iteration leaves out the
        validation that was due after it.
        """
        wrappers = [
            wrapper
            for wrapper in single_wrappers(runner.optim_wrapper).values()
            if isinstance(wrapper, OptimWrapper)  # another one may not accumulate
        ]
        if not all(wrapper.should_update() for wrapper in wrappers):
            self._waited += 1
            most = math.lcm(*(wrapper._accumulative_counts for wrapper in wrappers))
            if self._waited < most:
                return False
            runner.logger.warning(
                f'GracefulStopHook: the gradients accumulated by {len(wrappers)} '
                f'optimizer wrappers were not all used after any of {most} iterations; '
                'this stop loses some, and the resumed run will differ by them'
            )
        loop = runner.train_loop
        if not isinstance(loop, IterBasedTrainLoop) or runner.val_loop is None:
            return True
        # The loop looks its interval up before it decides whether to validate.
        step = bisect.bisect(loop.dynamic_milestones, done + 1)
        interval = loop.dynamic_intervals[step - 1]
        due = done % interval == 0 or done == loop.max_iters
        return done < loop.val_begin or not due

    def _stop(self, runner: Runner, iteration: int) -> None:
        signum = self._signum
        self._save(runner, iteration)
        barrier()  # a process that leaves early has the launcher kill the others
        raise StoppedBySignalError(signum)

    @master_only
    def _save(self, runner: Runner, iteration: int) -> None:
        """Save, and say how to go on."""
        path = save_interrupted(runner, iteration)
        setting = f'resume=True and load_from={str(path)!r} in the config'
        how = self.resume_command or setting
        runner.logger.info(
            f'Stopped in epoch {runner.epoch + 1} after iteration {iteration}; '
            f'saved {path}. To resume:\n{how}'
        )
