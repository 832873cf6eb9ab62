# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Verdict: the bottleneck of a training, and the setting to change."""

from dataclasses import dataclass

from .cpu_load import CpuLoad
from .layer_watch import LayerReport

# A tenth of the time is where a faster loader starts to be worth the work: it can
# gain 1.1x at the most.
INPUT_BOUND_PERCENT = 10.0
# Between steps a busy device idles for launches and logging only.
HOST_BOUND_PERCENT = 20.0
# From here on others take enough of the cores to change what is measured, if few of
# them are left over.
CROWDED_PERCENT = 10.0
LEFT_OVER_PERCENT = 20.0


@dataclass(frozen=True)
class LoaderSetup:
    """Loader and machine, on which the advice depends.

    Attributes:
        num_workers: Worker processes of one loader.
        persistent_workers: True if workers live on from epoch to epoch.
        cpus: CPUs for each training process.
        on_cpu: True if the model trains on those CPUs as well.
        amp_pays: False on a device that emulates mixed precision.
    """

    num_workers: int
    persistent_workers: bool
    cpus: int
    on_cpu: bool
    amp_pays: bool = True


def verdict(
    data_wait: float | None,
    setup: LoaderSetup,
    first_batch: float | None = None,
    device_idle: float | None = None,
    layers: LayerReport | None = None,
    load: CpuLoad | None = None,
) -> str | None:
    """Say in one line if training is input-bound or compute-bound, and what to change.

    Only what is known to be off is advised. Where others took so much of the cores
    that the shares would be different without them, that is said in place of advice.

    Args:
        data_wait: Steady share of time waiting for the loader, percent.
        setup: The loader and the machine.
        first_batch: Share of all time waiting for first batches, percent.
        device_idle: Share of time the device idled between steps, percent.
        layers: Precision and layout that layers computed in.
        load: Use of the CPUs in that time.

    Returns:
        One line, or None where no share was measured.
    """
    if data_wait is None:
        return None
    crowd = crowded(load)
    if data_wait >= INPUT_BOUND_PERCENT:
        gain = 'everything' if data_wait >= 100 else f'{1 / (1 - data_wait / 100):.2f}x'
        return (
            f'input-bound: {data_wait:.1f} % of the time waits for the loader, at most '
            f'{gain} to gain; {crowd or _input_advice(setup)}'
        )
    if first_batch is not None and first_batch >= INPUT_BOUND_PERCENT:
        return (
            f'input-bound: {first_batch:.1f} % of the time waits for first batches, '
            f'{data_wait:.1f} % for the others; {crowd or _start_advice(setup)}'
        )
    waits = f'compute-bound: {data_wait:.1f} % of the time waits for the loader'
    if device_idle is not None and device_idle >= HOST_BOUND_PERCENT:
        advice = 'try fewer or rarer hooks and logs, or a larger batch'
        return (
            f'{waits}, but the device idles {device_idle:.1f} % between steps; '
            f'{crowd or advice}'
        )
    if not setup.on_cpu:
        crowd = None  # a busy GPU does not mind them
    return f'{waits}; {crowd or _compute_advice(setup, layers, load)}'


def crowded(load: CpuLoad | None) -> str | None:
    """Tell what held the training's processes back on the CPUs, and the remedy.

    Returns:
        None where nothing did, as far as is known.
    """
    if load is None:
        return None
    if load.others >= CROWDED_PERCENT and load.idle < LEFT_OVER_PERCENT:
        return (
            f'other processes took {load.others:.0f} % of the cores: measure again '
            'alone'
        )
    if load.throttled is not None and load.throttled >= CROWDED_PERCENT:
        return (
            f'the CPU quota was used up in {load.throttled:.0f} % of its periods: try '
            'fewer threads and workers, or raise the quota'
        )
    return None


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


def _compute_advice(
    setup: LoaderSetup, layers: LayerReport | None, load: CpuLoad | None
) -> str:
    remedies = ['a larger batch']
    if layers is not None and layers.is_channels_last is False:
        remedies.insert(0, 'channels_last')
    if layers is not None and layers.reduced is False and setup.amp_pays:
        remedies.insert(0, 'AMP')
    *others, last = remedies
    advice = f'{", ".join(others)}{" or " if others else ""}{last} may help'
    crowded = load is None or load.idle < LEFT_OVER_PERCENT
    if setup.on_cpu and setup.num_workers > 0 and crowded:
        return f'{advice}; fewer workers would leave the model more CPU'
    return advice
