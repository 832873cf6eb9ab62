# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Verdict: the bottleneck of a training, and the setting to change."""

from dataclasses import dataclass

# A tenth of the time is where a faster loader starts to be worth the work: it can
# gain 1.1x at the most.
INPUT_BOUND_PERCENT = 10.0
# Between steps a busy device idles for launches and logging only.
HOST_BOUND_PERCENT = 20.0


@dataclass(frozen=True)
class LoaderSetup:
    """Loader and machine, on which the advice depends.

    Attributes:
        num_workers: Worker processes of one loader.
        persistent_workers: True if workers live on from epoch to epoch.
        cpus: CPUs for each training process.
        on_cpu: True if the model trains on those CPUs as well.
    """

    num_workers: int
    persistent_workers: bool
    cpus: int
    on_cpu: bool


def verdict(
    data_wait: float | None,
    setup: LoaderSetup,
    first_batch: float | None = None,
    device_idle: float | None = None,
) -> str | None:
    """Say in one line if training is input-bound or compute-bound, and what to change.

    Args:
        data_wait: Steady share of time waiting for the loader, percent.
        setup: The loader and the machine.
        first_batch: Share of all time waiting for first batches, percent.
        device_idle: Share of time the device idled between steps, percent.

    Returns:
        One line, or None where no share was measured.
    """
    if data_wait is None:
        return None
    if data_wait >= INPUT_BOUND_PERCENT:
        gain = 'everything' if data_wait >= 100 else f'{1 / (1 - data_wait / 100):.2f}x'
        return (
            f'input-bound: {data_wait:.1f} % of the time waits for the loader, at most '
            f'{gain} to gain; {_input_advice(setup)}'
        )
    if first_batch is not None and first_batch >= INPUT_BOUND_PERCENT:
        return (
            f'input-bound: {first_batch:.1f} % of the time waits for first batches, '
            f'{data_wait:.1f} % for the others; {_start_advice(setup)}'
        )
    waits = f'compute-bound: {data_wait:.1f} % of the time waits for the loader'
    if device_idle is not None and device_idle >= HOST_BOUND_PERCENT:
        return (
            f'{waits}, but the device idles {device_idle:.1f} % between steps; '
            'try fewer or rarer hooks and logs, or a larger batch'
        )
    return f'{waits}; {_compute_advice(setup)}'


def _input_advice(setup: LoaderSetup) -> str:
    if setup.num_workers == 0:
        workers = min(2, setup.cpus)
        return (
            'num_workers=0 loads in the training process itself: try '
            f'num_workers={workers} with persistent_workers=True, cached or smaller '
            'images, or cheaper transforms'
        )
    if setup.num_workers < setup.cpus:
        return (
            f'try more workers (num_workers={setup.num_workers}, {setup.cpus} CPUs), '
            'cached or smaller images, or cheaper transforms'
        )
    return (
        f'num_workers={setup.num_workers} takes all {setup.cpus} CPUs already: try '
        'cached or smaller images, cheaper transforms, or fewer workers'
    )


def _start_advice(setup: LoaderSetup) -> str:
    if setup.num_workers > 0 and not setup.persistent_workers:
        return 'try persistent_workers=True, so that workers start only once'
    if setup.num_workers > 0:
        return 'try fewer workers, or longer epochs'
    return 'the first batch costs more than others: look for a cache that it fills'


def _compute_advice(setup: LoaderSetup) -> str:
    advice = 'AMP, channels_last or a larger batch may help, if not in use'
    if setup.on_cpu and setup.num_workers > 0:
        return f'{advice}; fewer workers would leave the model more CPU'
    return advice
