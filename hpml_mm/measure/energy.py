# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Energy of GPUs and CPU packages, by the counters that they have."""

from collections.abc import Callable, Mapping

import torch

from hpml_mm.compat.packages import require

#: Joules since any moment that stays the same.
Counter = Callable[[], float]


class EnergyMeter:
    """Sums up what counters count between a start and a stop, and while not paused.

    It begins paused, and is used as the clock of a training is.

    Args:
        counters: Counter of each part, such as ``gpu`` and ``cpu``.
        synchronize: Waits for what the device still has to do, before each reading.
    """

    def __init__(
        self,
        counters: Mapping[str, Counter],
        synchronize: Callable[[], None] = lambda: None,
    ) -> None:
        self._counters = dict(counters)
        self._synchronize = synchronize
        self._begun = self._read()
        self._mark: dict[str, float] | None = None
        self._active = 0.0

    def resume(self) -> None:
        """Count from here on."""
        self._mark = self._read()

    def pause(self) -> None:
        """Count until here."""
        if self._mark is not None:
            self._active += self._since(self._mark)
        self._mark = None

    def restart(self) -> None:
        """Forget what was counted since :meth:`resume`."""
        self._mark = self._read()

    @property
    def active(self) -> float:
        """Joules of all parts while not paused."""
        running = 0.0 if self._mark is None else self._since(self._mark)
        return self._active + running

    def parts(self) -> dict[str, float]:
        """Joules of each part since the meter was made, paused or not."""
        now = self._read()
        return {name: now[name] - self._begun[name] for name in now}

    def _since(self, mark: Mapping[str, float]) -> float:
        return sum(value - mark[name] for name, value in self._read().items())

    def _read(self) -> dict[str, float]:
        self._synchronize()
        return {name: count() for name, count in self._counters.items()}


def find_counters(
    device: torch.device, packages: bool
) -> tuple[dict[str, Counter], str | None]:
    """Find the counters of a process, by `zeus`: NVML, AMD SMI and RAPL.

    Args:
        device: Its GPU; another device has no counter of its own.
        packages: True to count the CPU packages and their memory too. They count what
            all processes of the machine do.

    Returns:
        Counters by part, ``gpu`` and ``cpu``, and the reason for which there is none.

    Raises:
        ImportError: `zeus` is not installed; the message names the extra.
    """
    zeus = require('zeus.device', extra='energy')
    errors = require('zeus.device.exception', extra='energy')
    found: dict[str, Counter] = {}
    reasons = []
    if device.type == 'cuda':
        try:
            found['gpu'] = _gpu_counter(zeus.get_gpus(), device.index or 0)
        except errors.ZeusBaseGPUError as error:
            reasons.append(f'no counter of the GPU: {error}')
    if packages:
        try:
            found['cpu'] = _package_counter(zeus.get_cpus())
        except errors.ZeusBaseCPUError as error:
            reasons.append(f'no counter of the CPU packages: {error}')
    return found, None if found else '; '.join(reasons) or 'nothing to count'


def _gpu_counter(gpus: object, index: int) -> Counter:
    def count() -> float:
        millijoules = gpus.get_total_energy_consumption(index)  # type: ignore[attr-defined]
        return millijoules / 1000

    count()  # An old GPU has no such counter: an error here.
    return count


def _package_counter(cpus: object) -> Counter:
    def count() -> float:
        readings = [
            cpus.get_total_energy_consumption(index)  # type: ignore[attr-defined]
            for index in range(len(cpus))  # type: ignore[arg-type]
        ]
        return sum(one.cpu_mj + (one.dram_mj or 0.0) for one in readings) / 1000

    return count
