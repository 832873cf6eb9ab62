# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Energy of GPUs and CPU packages, by the counters that they have."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType

import torch

from hpml_mm.compat.packages import require

#: Joules since any moment that stays the same.
Counter = Callable[[], float]
#: Of Linux: https://docs.kernel.org/power/powercap/powercap.html.
POWERCAP = Path('/sys/class/powercap')


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

    def look(self) -> None:
        """Read the counters, so that none wraps twice unseen."""
        for count in self._counters.values():
            count()

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


class WrappingCounter:
    """Joules of a file of Linux that counts microjoules and begins again at its range.

    It must be read more often than it wraps, which takes minutes.

    Args:
        zone: Folder of ``energy_uj`` and ``max_energy_range_uj``.
    """

    def __init__(self, zone: Path) -> None:
        self._file = zone / 'energy_uj'
        self._range = int((zone / 'max_energy_range_uj').read_text(encoding='ascii'))
        self._last = self._read()
        self._wrapped = 0

    def __call__(self) -> float:
        """Return the joules, wraps included."""
        now = self._read()
        if now < self._last:
            self._wrapped += self._range
        self._last = now
        return (self._wrapped + now) / 1e6

    def _read(self) -> int:
        return int(self._file.read_text(encoding='ascii'))


def find_counters(
    device: torch.device, packages: bool
) -> tuple[dict[str, Counter], str | None]:
    """Find the counters of a process.

    Args:
        device: Its GPU, which NVML counts; another device has no counter of its own.
        packages: True to count the CPU packages and their memory too. They count what
            all processes of the machine do.

    Returns:
        Counters by part, ``gpu`` and ``cpu``, and the reason for which there is none.

    Raises:
        ImportError: NVML's binding is not installed; the message names the extra.
    """
    found: dict[str, Counter] = {}
    reasons = []
    if device.type == 'cuda':
        nvml = require('pynvml', extra='energy')
        try:
            found['gpu'] = _gpu_counter(nvml, device)
        except nvml.NVMLError as error:  # No driver, or a GPU before Volta.
            reasons.append(f'no counter of the GPU: {error}')
    if packages:
        try:
            found['cpu'] = package_counter(POWERCAP)
        except (OSError, ValueError) as error:
            reasons.append(f'no counter of the CPU packages: {error}')
    return found, None if found else '; '.join(reasons) or 'nothing to count'


def package_counter(powercap: Path) -> Counter:
    """Counter of all CPU packages and their memory.

    Args:
        powercap: Folder of zones such as ``intel-rapl:0``, also of AMD's.

    Raises:
        OSError: Where it cannot be read; on most systems that takes root.
        ValueError: Where there is no package.
    """
    zones = list(_package_zones(powercap))
    if not zones:
        raise ValueError(f'{powercap} has none')
    counters = [WrappingCounter(zone) for zone in zones]
    return lambda: sum(count() for count in counters)


def _package_zones(powercap: Path) -> Iterator[Path]:
    for zone in sorted(powercap.glob('intel-rapl:*')):
        name = (zone / 'name').read_text(encoding='ascii').strip()
        # Others are parts of a package, or the whole platform.
        if name.startswith('package') or name == 'dram':
            yield zone


def _gpu_counter(nvml: ModuleType, device: torch.device) -> Counter:
    nvml.nvmlInit()
    # By its UUID, since NVML's order is not that of CUDA_VISIBLE_DEVICES.
    uuid = f'GPU-{torch.cuda.get_device_properties(device).uuid}'
    handle = nvml.nvmlDeviceGetHandleByUUID(uuid)

    def count() -> float:
        return nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000

    count()  # An old GPU has no such counter: an error here.
    return count
