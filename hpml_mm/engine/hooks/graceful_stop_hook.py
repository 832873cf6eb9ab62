# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Stop with a checkpoint when a signal asks for it or no data can be loaded."""

import bisect
import inspect
import math
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from mmengine.dist import all_reduce, barrier, is_main_process
from mmengine.hooks.hook import DATA_BATCH
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from hpml_mm.config.work_dir import recorded_checkpoint
from hpml_mm.config.work_dir.stores import POINTER
from hpml_mm.engine.checkpoints import write_checkpoint, writing_by
from hpml_mm.engine.process_states import accumulating_wrappers, gradients_pending
from hpml_mm.engine.resume import continue_epoch
from hpml_mm.engine.screen.quiet import ON_SCREEN
from hpml_mm.engine.stopping.leave_validation import can_be_left, take_back_averages
from hpml_mm.engine.stopping.lost_processes import (
    LostProcessError,
    WorkerDeaths,
    explain_loss,
    is_worker_death,
    raised_by_loader,
)
from hpml_mm.engine.stopping.request import Agreement, StoppedBySignalError, StopRequest
from hpml_mm.registry import HOOKS
from hpml_mm.utils.files import write_atomic

from .checkpoint_hook import CheckpointHook
from .loop_hook import LoopHook
from .resume_hook import ResumeHook, gather_states

CHECKPOINT = 'interrupted.pth'


def save_interrupted(runner: Runner, iteration: int, by_any: bool = False) -> Path:
    """Save a checkpoint beside the last one, then make it the last one.

    Args:
        runner: One that trains. Its first process writes.
        iteration: Iterations that are done.
        by_any: True where this process writes, whichever it is.
    """
    path = Path(runner.work_dir, CHECKPOINT)
    if not (by_any or is_main_process()):
        return path
    # What is still being written must not put its own name into the pointer later.
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook):
            hook.finish_in_any_case(runner)
    meta = {'epoch': runner.epoch, 'iter': iteration}
    save = runner.save_checkpoint
    if not is_main_process():  # MMEngine's is for the first process only
        save = partial(inspect.unwrap(type(runner).save_checkpoint), runner)
    with writing_by(write_checkpoint):
        save(runner.work_dir, CHECKPOINT, meta=meta, by_epoch=False)
    write_atomic(path.with_name(POINTER), str(path))
    return path


@HOOKS.register_module()
class GracefulStopHook(LoopHook):
    """Save a checkpoint and stop on a signal; a second one stops at once.

    The signals are SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2; one that is ignored
    when training starts, as ``nohup`` ignores SIGHUP, stays so.

    The checkpoint is ``interrupted.pth`` in the work dir. It is written after the
    current iteration. A resumed epoch goes on after its last trained batch. A
    validation is left after its current batch where ``ResumeHook`` will make up for it
    and no hook from elsewhere prepares it, and else after its end.

    Gradients that are accumulated would be lost, so training goes on to where no
    optimizer wrapper holds any. With several wrappers that is where the accumulations
    of all of them end together; one backward pass in each iteration gets there within
    the least common multiple of their ``accumulative_counts``. After so many iterations
    that might have been the last it stops in any case, with a warning.

    A checkpoint is saved, too, when the loader fails between two iterations: a worker
    was killed, or a sample raised an error. A death among the workers waits for that.

    A training that a hook runs within another one leaves the signals to the outer one,
    which stops when the inner one has ended.

    Args:
        agree_interval: Iterations between two exchanges of the request among
            several processes, at most; slow ones exchange about every second. With
            one process every iteration may stop.
    """

    priority = 'LOWEST'

    def __init__(self, agree_interval: int = 10) -> None:
        if agree_interval < 1:
            raise ValueError(
                f'agree_interval counts iterations, from 1; got {agree_interval}'
            )
        self.agree_interval = agree_interval
        self.resume_command: str | None = None
        self._request = StopRequest()
        self._agreement = Agreement(agree_interval)
        self._waited = 0
        self._began = 0
        self._deaths = WorkerDeaths()
        self._may_leave = False

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None
    ) -> None:
        """Have a death among the loader's workers wait for the next batch."""
        self._deaths.postpone(self._request)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: dict | None = None,
    ) -> None:
        """Stop if a signal asked for it and a resume can continue exactly from here."""
        done = runner.iter + 1
        if runner.world_size > 1 and not self._agreement.due(done):
            return
        if self._wanted(runner, done) and self._resumable(runner, done):
            self._stop(runner, iteration=done)

    def before_val(self, runner: Runner) -> None:
        """Note whether this validation may be left before its end."""
        self._may_leave = (
            self._request.listening
            and not self.nested(runner)
            and any(isinstance(h, ResumeHook) and h.exact for h in runner.hooks)
            and can_be_left(runner)
        )

    def before_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: DATA_BATCH = None
    ) -> None:
        """Have a death among the loader's workers wait for the next batch."""
        self._deaths.postpone(self._request)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: DATA_BATCH = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Leave a validation by the training loop."""
        if self._request.signum and not self.nested(runner):
            self._leave_if_wanted(runner)

    def after_val(self, runner: Runner) -> None:
        """Stop after a validation by the training loop, unless training is over."""
        training = self._request.listening and not self.nested(runner)
        self._may_leave = False
        over = runner.iter >= runner.max_iters if training else True
        if not over and self._wanted(runner, runner.iter):
            self._stop(runner, iteration=runner.iter)

    @property
    def stop_requested(self) -> bool:
        """Return whether a signal asked this run to stop."""
        return bool(self._request.signum)

    def loop_started(self, runner: Runner) -> None:
        """Install the handlers, and continue an epoch that was interrupted."""
        self._waited, self._began = 0, runner.iter
        self._may_leave, self._deaths = False, WorkerDeaths()
        self._agreement = Agreement(self.agree_interval)
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            continue_epoch(runner.train_loop)
        if threading.current_thread() is not threading.main_thread():
            runner.logger.warning(
                'GracefulStopHook does nothing: only the main thread gets signals'
            )
            return
        if not self._request.listen() or runner.world_size == 1:
            return
        if (evaluator := getattr(runner._val_loop, 'evaluator', None)) is not None:
            # All processes come here once, those that leave and those that do not.
            agree = partial(self._leave_if_wanted, runner)
            self.patch(evaluator, 'evaluate', agree)

    def loop_ended(self, runner: Runner) -> None:
        """Restore the handlers; save what was trained before the loader failed.

        Raises:
            StoppedBySignalError: A signal has killed the loader's workers as well.
            LostProcessError: A worker or another process of the training has ended.
        """
        self._request.restore()
        error = sys.exception()
        if not isinstance(error, Exception):
            return
        killed = is_worker_death(error)
        saved = False
        if raised_by_loader(error) or (killed and self._may_leave):
            saved = self._save_in_any_case(runner)
        if killed and saved and self._request.signum and runner.world_size == 1:
            raise StoppedBySignalError(self._request.signum) from error
        if text := explain_loss(error, self._deaths.noted):
            last, _ = recorded_checkpoint(Path(runner.work_dir))
            left = (
                f'the last checkpoint is {last}'
                if last
                else 'there is no checkpoint yet'
            )
            how = f'; to go on: {self.resume_command}' if self.resume_command else ''
            raise LostProcessError(f'{text}; {left}{how}') from error

    def _wanted(self, runner: Runner, done: int) -> bool:
        """Return whether any process was asked; all processes must ask together."""
        if runner.world_size > 1:
            mine = [float(self._request.signum), self._agreement.seconds(done)]
            both = torch.tensor(mine, dtype=torch.float64)
            all_reduce(both, op='max')
            self._request.signum = int(both[0])
            self._agreement.set_pace(float(both[1]))
        return bool(self._request.signum)

    def _leave_if_wanted(self, runner: Runner) -> None:
        if not self._may_leave:
            return
        wanted, self._may_leave = self._wanted(runner, runner.iter), False
        if wanted:
            take_back_averages(runner)
            self._stop(runner, iteration=runner.iter)

    def _resumable(self, runner: Runner, done: int) -> bool:
        """Return False amid accumulated gradients and right before a validation.

        An iteration-based loop that resumes behind an iteration leaves out the
        validation that was due after it.
        """
        if gradients_pending(runner):
            wrappers = accumulating_wrappers(runner)
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
        signum = self._request.signum
        gather_states(runner)
        if is_main_process():
            self._save(runner, iteration)
        barrier()  # a process that leaves early has the launcher kill the others
        raise StoppedBySignalError(signum)

    def _save(self, runner: Runner, iteration: int, by_any: bool = False) -> None:
        """Save, and say how to go on."""
        path = save_interrupted(runner, iteration, by_any)
        setting = f'resume=True and load_from={str(path)!r} in the config'
        how = self.resume_command or setting
        runner.logger.info(
            f'Stopped in epoch {runner.epoch + 1} after iteration {iteration}; '
            f'saved {path}. To resume:\n{how}',
            extra=ON_SCREEN,
        )

    def _save_in_any_case(self, runner: Runner) -> bool:
        """Save what this run has trained; an error on the way is but a line."""
        if runner.iter <= self._began:
            return False
        if self._may_leave:
            take_back_averages(runner)
        try:
            self._save(runner, runner.iter, by_any=True)
        except Exception as error:  # the one that is being raised matters more
            runner.logger.error(f'{CHECKPOINT} could not be saved: {error}')
            return False
        return True
