# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Schedules of the learning rate that take their length from the run."""

import math
from typing import Any

from mmengine.optim import OptimWrapper
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import INF, _ParamScheduler
from torch.optim import Optimizer

from hpml_mm.registry import PARAM_SCHEDULERS

_LENGTH = ('begin', 'end', 'warmup')


@PARAM_SCHEDULERS.register_module()
class OneCycle(LRSchedulerMixin, _ParamScheduler):
    """One cycle: up to the optimizer's learning rate on a line, to 0 on a cosine.

    MMEngine's ``OneCycleLR`` takes its own maximum and ignores the optimizer's ``lr``
    without a word. Smith & Topin 2018 (arXiv:1708.07120) fall on a line; the cosine is
    PyTorch's default.

    A Runner fills in ``end``: its epochs, or its iterations where ``by_epoch`` is
    False. ``convert_to_iter_based=True`` counts epochs and steps in each iteration.

    Args:
        optimizer: Its learning rate is the peak.
        pct_start: Share of the cycle that climbs. A climb of less than two steps is
            left out.
        div_factor: The peak over the learning rate of the first step.
        begin: First step of the cycle.
        end: The step after its last.
        last_step: Index of the last step, to resume without a state.
        by_epoch: Step in each epoch rather than in each iteration.
        verbose: Log each learning rate.
        warmup: Steps that climb, where these are not ``pct_start`` of all.
    """

    def __init__(
        self,
        optimizer: Optimizer | OptimWrapper,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
        warmup: int | None = None,
    ) -> None:
        if not (0 <= pct_start < 1 and div_factor >= 1):
            raise ValueError(
                f'hpml_mm.OneCycle: pct_start is {pct_start} and div_factor '
                f'{div_factor}; take from 0 to less than 1, and 1 or more'
            )
        if end >= INF:
            raise ValueError('hpml_mm.OneCycle has no end: build it by a Runner')
        if by_epoch and end - begin < 2:  # as in a run that counts iterations
            raise ValueError(
                f'hpml_mm.OneCycle: a cycle from epoch {begin} to {end} has one rate: '
                'set convert_to_iter_based=True, or by_epoch=False in a run of '
                'iterations'
            )
        warmup = int(pct_start * (end - begin)) if warmup is None else warmup
        self.warmup = warmup if warmup > 1 else 0
        self.start_factor = 1 / div_factor
        super().__init__(optimizer, begin, end, last_step, by_epoch, verbose)

    @classmethod
    def build_iter_from_epoch(
        cls,
        *,
        epoch_length: int,
        pct_start: float = 0.3,
        begin: int = 0,
        end: int = INF,
        by_epoch: bool = True,
        **settings: Any,
    ) -> 'OneCycle':
        """Build the scheduler that steps in each iteration, from numbers of epochs.

        The peak is at ``pct_start`` of the epochs, whole or not, rounded down to an
        iteration.
        """
        return cls(
            pct_start=pct_start,
            warmup=int(pct_start * (end - begin) * epoch_length),
            begin=int(begin * epoch_length),
            end=int(end * epoch_length),
            by_epoch=False,
            **settings,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume a cycle.

        Raises:
            ValueError: If the checkpoint's cycle has another length: it would end with
                the learning rate of the wrong step.
        """
        for key in _LENGTH:
            if state_dict.get(key) != getattr(self, key):
                raise ValueError(
                    f'the checkpoint was trained on a schedule with {key}='
                    f'{state_dict.get(key)}, and the one cycle of this run has {key}='
                    f'{getattr(self, key)}: resume with the length, batch size and '
                    'schedule of the checkpoint, or start anew with load_from'
                )
        super().load_state_dict(state_dict)

    def _get_value(self) -> list[float]:
        # In factors from step to step, as in MMEngine: other schedulers may join in.
        factor = self._factor(self.last_step)
        return [
            group[self.param_name] * factor for group in self.optimizer.param_groups
        ]

    def _factor(self, step: int) -> float:
        """Learning rate of a step over that of the step before."""
        start, climb = self.start_factor, 1 - self.start_factor
        if step < self.warmup:
            if step == 0:
                return start
            return 1 + climb / ((self.warmup - 1) * start + (step - 1) * climb)
        step -= self.warmup
        if step == 0:
            return 1
        fall = self.end - self.begin - self.warmup
        here, before = (math.cos(math.pi * at / fall) for at in (step, step - 1))
        return (1 + here) / (1 + before)


@PARAM_SCHEDULERS.register_module()
class DelayedStep(LRSchedulerMixin, _ParamScheduler):
    """Steps of the learning rate that begin late.

    The rate at time t is ``lr * rate ** ((t - start) // every)`` from ``start`` on. It
    is light FER's rule, which counts 300 epochs, with all times as shares of the run,
    so that it fits any length.

    A Runner fills in ``end``, as for :class:`OneCycle`.

    Args:
        optimizer: Its learning rate is the first.
        start: Share of the run after which the steps begin.
        every: Share of the run between two steps.
        rate: Factor of each step.
        begin: First step of the schedule.
        end: The step after its last.
        last_step: Index of the last step, to resume without a state.
        by_epoch: Step in each epoch rather than in each iteration.
        verbose: Log each learning rate.
    """

    def __init__(
        self,
        optimizer: Optimizer | OptimWrapper,
        start: float,
        every: float,
        rate: float,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        if not (0 <= start < 1 and 0 < every < 1 and 0 < rate <= 1):
            raise ValueError(
                f'hpml_mm.DelayedStep: start is {start}, every {every} and rate '
                f'{rate}; they are shares of the run and a factor, from 0 to 1'
            )
        if end >= INF:
            raise ValueError('hpml_mm.DelayedStep has no end: build it by a Runner')
        self.start, self.every, self.rate = start, every, rate
        super().__init__(optimizer, begin, end, last_step, by_epoch, verbose)

    @classmethod
    def build_iter_from_epoch(
        cls,
        *,
        epoch_length: int,
        begin: int = 0,
        end: int = INF,
        by_epoch: bool = True,
        **settings: Any,
    ) -> 'DelayedStep':
        """Build the scheduler that steps in each iteration, from numbers of epochs."""
        return cls(
            begin=int(begin * epoch_length),
            end=int(end * epoch_length),
            by_epoch=False,
            **settings,
        )

    def _get_value(self) -> list[float]:
        factor = self._power(self.last_step) - self._power(self.last_step - 1)
        return [
            group[self.param_name] * self.rate**factor
            for group in self.optimizer.param_groups
        ]

    def _power(self, step: int) -> int:
        """Count the steps of the learning rate until a step of the run."""
        length = self.end - self.begin
        # Products of shares are not exact: what is a step by arithmetic must be one.
        past = (step - self.start * length) / (self.every * length)
        return max(0, math.floor(past + 1e-9))
