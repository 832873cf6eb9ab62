# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Latency of inference engines, measured in alternating turns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from hpml_mm.utils.stats import percentile, quartiles, turns

BATCHES = (1, 32)

Engine = Callable[[Tensor], Any]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Latency:
    """Milliseconds of ``n`` calls: median, 95th percentile and interquartile range."""

    p50: float
    p95: float
    iqr: float | None
    n: int


@dataclass(frozen=True)
class Plan:
    """Numbers of calls of each engine.

    Attributes:
        rounds: Measured rounds, in each of which every engine has a turn.
        calls: Measured calls of a turn.
        settle: Calls before them.
    """

    rounds: int = 20
    calls: int = 10
    settle: int = 3


def plan_within(budget: float, seconds: float) -> Plan:
    """The default plan, or a smaller one where engines are slow.

    Args:
        budget: Seconds for the whole measurement; at least 3 rounds of 1 call are
            made, whatever they take.
        seconds: Time of one call of each engine, all together.
    """
    most = Plan()
    turns = budget / seconds
    turn = max(2, min(most.calls + most.settle, int(turns / (most.rounds + 1))))
    settle = most.settle if turn > 2 * most.settle else 1
    rounds = max(3, min(most.rounds, int(turns / turn) - 1))
    return Plan(rounds, turn - settle, settle)


def measure_latency(
    engines: Mapping[str, Engine],
    images: Tensor,
    plan: Plan | None = None,
    *,
    budget: float = 30.0,
    clock: Clock = perf_counter,
) -> dict[str, Latency]:
    """Time engines on the same batch in turns, so that noise affects all alike.

    In each round every engine has its turn, in an order that is reversed from round to
    round. The first calls of a turn are not measured: threads of the engine before may
    still be waiting for work, and the caches hold what is not ours. The first round is
    warm-up and is not measured at all.

    Args:
        engines: Called with ``images``, by name; one under two names is timed once.
        images: Batch of shape (N, C, H, W).
        plan: Numbers of calls; None for what the budget allows.
        budget: About how many seconds the measurement may take.
        clock: Seconds; tests put their own here.
    """
    distinct = list(dict.fromkeys(engines.values()))
    times: dict[Engine, list[float]] = {engine: [] for engine in distinct}
    with torch.inference_mode():
        if plan is None:
            # Of the second calls, as the first ones may compile.
            once = Plan(rounds=0, calls=1, settle=1)
            second = [_turn(engine, images, once, clock) for engine in distinct]
            plan = plan_within(budget, sum(map(sum, second)) / 1000)
        for index, side in enumerate(turns(distinct[::-1], plan.rounds + 1)):
            for engine in side:
                turn = _turn(engine, images, plan, clock)
                times[engine] += turn if index else []
    found = {engine: _summary(each) for engine, each in times.items()}
    return {name: found[engine] for name, engine in engines.items()}


def _turn(engine: Engine, images: Tensor, plan: Plan, clock: Clock) -> list[float]:
    """Milliseconds of each measured call of a turn."""
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
