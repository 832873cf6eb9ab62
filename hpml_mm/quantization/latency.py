# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""How long engines take for a batch, measured in turns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch

from hpml_mm.utils.stats import percentile, quartiles, turns

BATCHES = (1, 32)


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a call.

    Attributes:
        p50: Median.
        p95: 95 % of the calls take no longer.
        iqr: Interquartile range; None where one call has none.
        n: Calls that were measured.
    """

    p50: float
    p95: float
    iqr: float | None
    n: int

    def record(self) -> dict[str, float | int | None]:
        """The numbers, with units in their names."""
        return {
            'latency/p50(ms)': self.p50,
            'latency/p95(ms)': self.p95,
            'latency/iqr(ms)': self.iqr,
            'n': self.n,
        }


@dataclass(frozen=True)
class Plan:
    """How often engines are called.

    Attributes:
        rounds: Measured rounds, in each of which every engine has a turn.
        calls: Measured calls of a turn.
        settle: Calls before them.

    Raises:
        ValueError: If it measures nothing.
    """

    rounds: int = 20
    calls: int = 10
    settle: int = 3

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.calls < 1:
            raise ValueError(f'latency: {self} measures nothing')


def affordable(seconds: float, budget: float) -> Plan:
    """The default plan, or a smaller one where engines are slow.

    Args:
        seconds: What one call of each engine takes, all together.
        budget: Seconds for the whole measurement; at least 3 rounds of 1 call are
            made, whatever they take.
    """
    most = Plan()
    turns = budget / seconds
    turn = max(2, min(most.calls + most.settle, int(turns / (most.rounds + 1))))
    settle = most.settle if turn > 2 * most.settle else 1
    rounds = max(3, min(most.rounds, int(turns / turn) - 1))
    return Plan(rounds, turn - settle, settle)


def measure_latency(
    engines: Mapping[str, Callable[[torch.Tensor], Any]],
    images: torch.Tensor,
    plan: Plan | None = None,
    *,
    budget: float = 30.0,
    clock: Callable[[], float] = perf_counter,
) -> dict[str, Latency]:
    """Time engines on the same batch, so that what slows the machine slows all.

    In each round every engine has its turn, in an order that is reversed from round to
    round. The first calls of a turn are not measured: threads of the engine before may
    still be waiting for work, and the caches hold what is not ours. The first round is
    warm-up and is not measured at all.

    Args:
        engines: What is called with ``images``, by name.
        images: Batch of shape (N, C, H, W).
        plan: How often; None for what the budget allows.
        budget: About how many seconds the measurement may take.
        clock: Seconds; tests put their own here.
    """
    with torch.inference_mode():
        if plan is None:
            plan = affordable(_one_call_each(engines, images, clock), budget)
        taken: dict[str, list[float]] = {name: [] for name in engines}
        for index, names in enumerate(turns(list(engines)[::-1], plan.rounds + 1)):
            for name in names:
                times = _turn(engines[name], images, plan, clock)
                if index:
                    taken[name] += times
    return {name: _summary(times) for name, times in taken.items()}


def _one_call_each(
    engines: Mapping[str, Callable[[torch.Tensor], Any]],
    images: torch.Tensor,
    clock: Callable[[], float],
) -> float:
    """Seconds; those of the second calls, as the first ones may compile."""
    for engine in engines.values():
        engine(images)
    start = clock()
    for engine in engines.values():
        engine(images)
    return clock() - start


def _turn(
    engine: Callable[[torch.Tensor], Any],
    images: torch.Tensor,
    plan: Plan,
    clock: Callable[[], float],
) -> list[float]:
    for _ in range(plan.settle):
        engine(images)
    times = []
    for _ in range(plan.calls):
        start = clock()
        engine(images)
        times.append(1000 * (clock() - start))
    return times


def _summary(times: Sequence[float]) -> Latency:
    return Latency(
        percentile(times, 50), percentile(times, 95), quartiles(times).iqr, len(times)
    )
